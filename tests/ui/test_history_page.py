"""The History tab in a real browser: find what was spoken, hear it, compare, repeat, delete."""

from __future__ import annotations

import re
from typing import Any

import pytest
import soundfile

pytestmark = pytest.mark.browser

LOUDEST = """
    async (node) => {
        const ear = node.context.createAnalyser();
        node.connect(ear);
        const signal = new Float32Array(ear.fftSize);
        let loudest = 0;
        for (let i = 0; i < 12; i++) {
            await new Promise((resolve) => setTimeout(resolve, 25));
            ear.getFloatTimeDomainData(signal);
            loudest = Math.max(loudest, ...signal.map(Math.abs));
        }
        node.disconnect(ear);
        return loudest;
    }
"""


def search(page: Any, words: str) -> None:
    """Open the tab and look for some words."""
    page.tab.get_by_role("tab", name="History").click()
    page.tab.wait_for_selector(".vv-past-take")
    page.tab.fill(".vv-past-search input", words)
    page.tab.keyboard.press("Enter")
    page.wait_for(f"document.querySelector('.vv-past').textContent.includes({words!r})")
    page.tab.wait_for_function(
        """words => [...document.querySelectorAll(".vv-past-text")].every(
            text => words.split(" ").every(word => text.textContent.includes(word)))""",
        arg=words,
    )


def texts(page: Any) -> list[str]:
    return page.tab.locator(".vv-past-text").all_inner_texts()


def row(page: Any, number: int = 0) -> Any:
    return page.tab.locator(".vv-past-take").nth(number)


def unfold(page: Any, number: int = 0) -> Any:
    row(page, number).locator("button[data-act='more']").click()
    return row(page, number).locator(".vv-past-more")


def said(page: Any, beginning: str) -> str:
    page.wait_for(f"document.querySelector('.vv-past-said').textContent.startsWith({beginning!r})")
    return page.tab.inner_text(".vv-past-said")


def turn(page: Any, expression: str) -> Any:
    return page.tab.evaluate(f"window.vivavoceHistory.turn.{expression}")


def test_what_was_spoken_is_found_heard_and_taken_along(page) -> None:
    sentence = "The small pup gnawed a hole in the sock."
    page.choose("Voice", "English (America)")
    page.speak(sentence)
    page.tab.click("[aria-label='Pause']")
    search(page, "pup gnawed")
    assert texts(page) == [sentence]
    row(page).locator("[data-act='play']").click()
    page.wait_for("window.vivavoceHistory.player.position > 4000")
    heard = page.tab.evaluate(f"({LOUDEST})(window.vivavoceHistory.player.output)")
    assert heard > 0.01
    slider = row(page).locator("[role='slider']")
    slider.press("End")
    page.wait_for("!window.vivavoceHistory.player.playing")
    slider.press("Home")
    assert page.tab.evaluate("window.vivavoceHistory.player.position") == 0
    more = unfold(page)
    assert "× real time" in more.inner_text()
    with page.tab.expect_download() as started:
        more.locator("[data-what='sound']").click()
    assert started.value.suggested_filename == "the-small-pup-gnawed-a-hole.wav"
    samples, rate = soundfile.read(started.value.path())
    assert samples.size / rate > 1
    with page.tab.expect_download() as started:
        more.locator("[data-what='srt']").click()
    assert "gnawed" in started.value.path().read_text("utf-8")


def test_it_is_made_again_the_same(page) -> None:
    page.speak("Kick the ball straight and follow through.")
    search(page, "Kick the ball")
    before = len(texts(page))
    unfold(page).locator("[data-act='again']").click()
    assert said(page, "Made again") == "Made again: the same, sample for sample."
    search(page, "Kick the ball")
    page.wait_for(f"document.querySelectorAll('.vv-past-take').length === {before + 1}")


def test_two_takes_are_heard_in_turn_at_the_same_position(page) -> None:
    first, second = "A pot of tea helps to pass the evening.", "A pot of glue helps to mend it all."
    for sentence in (first, second):
        page.speak(sentence)
    page.tab.click("[aria-label='Pause']")
    search(page, "A pot of")
    row(page, 1).locator("[data-slot='0']").click()
    assert "Choose A and B" in page.tab.inner_text(".vv-turn-hint")
    row(page, 0).locator("[data-slot='1']").click()
    page.tab.wait_for_selector(".vv-turn-side:not(:disabled)")
    sides = page.tab.locator(".vv-turn-side")
    assert first in sides.nth(0).inner_text() and second in sides.nth(1).inner_text()
    assert re.search(r"−1\d\.\d LUFS", sides.nth(0).inner_text())
    page.tab.click("[data-turn='play']")
    page.wait_for("window.vivavoceHistory.turn.position > 0.2")
    loud = [
        page.tab.evaluate(f"({LOUDEST})(window.vivavoceHistory.turn.sides[{side}].gain)")
        for side in (0, 1)
    ]
    assert loud[0] > 0.01 and loud[1] < 1e-4, "A is heard, B is not"
    before, after = page.tab.evaluate(
        """() => {
            const { turn } = window.vivavoceHistory;
            const before = turn.position;
            document.querySelectorAll(".vv-turn-side")[1].click();
            return [before, turn.position];
        }"""
    )
    assert after == pytest.approx(before, abs=0.1) and turn(page, "heard") == 1
    page.wait_for("window.vivavoceHistory.turn.sides[0].gain.gain.value === 0")
    loud = [
        page.tab.evaluate(f"({LOUDEST})(window.vivavoceHistory.turn.sides[{side}].gain)")
        for side in (0, 1)
    ]
    assert loud[1] > 0.01 and loud[0] < 1e-4, "now B"
    page.tab.keyboard.press("1")
    sides.nth(1).focus()
    page.tab.keyboard.press("1")
    assert turn(page, "heard") == 0
    page.picture("history-turn-1280")


def test_blind_nothing_says_which_is_which_until_it_is_revealed(page) -> None:
    for sentence in ("Blue waves broke.", "Blue skies shone."):
        page.speak(sentence)
    search(page, "Blue")
    row(page, 0).locator("[data-slot='0']").click()
    row(page, 1).locator("[data-slot='1']").click()
    page.tab.wait_for_selector(".vv-turn-side:not(:disabled)")
    known = [page.tab.evaluate(f"window.vivavoceHistory.turn.sides[{i}].id") for i in (0, 1)]
    swapped = set()
    for number in range(12):
        page.tab.locator(".vv-turn-blind input").check()
        sides = page.tab.locator(".vv-turn-side").all_inner_texts()
        assert [side.strip() for side in sides] == ["1", "2"]
        assert not turn(page, "playing")
        page.tab.click("[data-turn='reveal']")
        now = [page.tab.evaluate(f"window.vivavoceHistory.turn.sides[{i}].id") for i in (0, 1)]
        swap = now != known
        assert now == (known[::-1] if swap else known)
        names = page.tab.locator(".vv-turn-side b").all_inner_texts()
        assert names == (["1 is B", "2 is A"] if swap else ["1 is A", "2 is B"])
        texts_shown = page.tab.locator(".vv-turn-text").all_inner_texts()
        assert ("skies" in texts_shown[0]) is not swap
        swapped.add(swap)
        page.tab.locator(".vv-turn-blind input").uncheck()
        if len(swapped) == 2 and number > 2:
            break
    assert swapped == {False, True}, "it is drawn by lot"
    page.tab.click("[data-turn='close']")
    assert page.tab.locator(".vv-turn").is_hidden()


def test_a_take_is_deleted_only_after_a_question(page) -> None:
    for sentence in ("Delete the first.", "Delete the second."):
        page.speak(sentence)
    search(page, "Delete the")
    button = unfold(page, 1).locator("[data-act='delete']")
    button.click()
    assert "Delete the first." in page.tab.inner_text("dialog")
    page.tab.click("[data-sure='no']")
    button.click()
    page.tab.keyboard.press("Escape")
    assert texts(page) == ["Delete the second.", "Delete the first."]
    button.click()
    page.tab.click("[data-sure='yes']")
    assert said(page, "Deleted.")
    assert texts(page) == ["Delete the second."]
    focused = "document.activeElement.closest('.vv-past-take') !== null"
    assert page.tab.evaluate(focused), "whoever works with the keyboard stays in the list"


def test_pinned_and_opened_in_speak(page) -> None:
    page.speak("Pin this one down.")
    search(page, "Pin this")
    pin = row(page).locator("[data-act='pin']")
    pin.press("Enter")
    assert said(page, "Pinned")
    assert pin.get_attribute("aria-pressed") == "true"
    assert page.tab.evaluate("document.activeElement.dataset.act") == "pin", "focus stays"
    page.tab.get_by_role("tab", name="Speak").click()
    page.write("Something else.")
    page.tab.get_by_role("tab", name="History").click()
    unfold(page).locator("[data-act='speak']").click()
    page.wait_for("document.querySelector('#vv-text textarea').value === 'Pin this one down.'")
    page.tab.locator("#vv-speak").wait_for(state="visible")
    assert page.tab.locator("#vv-keep input").is_checked()


def test_a_search_that_finds_nothing(page) -> None:
    page.speak("Something.")
    search(page, "Something")
    page.tab.fill(".vv-past-search input", "xyzzyx")
    page.tab.keyboard.press("Enter")
    page.tab.wait_for_selector(".vv-past-empty:not([hidden])")
    assert "xyzzyx" in page.tab.inner_text(".vv-past-empty")
    page.tab.fill(".vv-past-search input", "")
    page.tab.keyboard.press("Enter")
    page.tab.wait_for_selector(".vv-past-take")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_any_window(open_page, width, scheme) -> None:
    page = open_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.speak("A window of any size. " * 30)
    search(page, "A window of any size.")
    row(page).locator("[data-act='play']").click()
    row(page).locator("[data-slot='0']").click()
    unfold(page)
    page.tab.wait_for_selector(".vv-past-facts")
    page.picture(f"history-{width}-{scheme}")
    assert page.overflow() == 0
    row(page).locator("[data-act='text']").click()
    page.wait_for("document.querySelector('.vv-past-whole').textContent.length > 600")
    small = page.tab.evaluate(
        """() => [...document.querySelectorAll(".vv-past button")]
            .filter(one => one.offsetParent && one.getBoundingClientRect().height < 34)
            .map(one => one.outerHTML)"""
    )
    assert small == [], "every button can be hit with a finger"
