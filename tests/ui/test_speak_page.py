"""The Speak tab in a real browser: a person types, hears, repairs a sentence, takes it home."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.speech_check import HARVARD_SENTENCES, recognise

pytestmark = pytest.mark.browser

THREE = " ".join(HARVARD_SENTENCES[:3])
LONG = " ".join(HARVARD_SENTENCES * 80)


def test_a_text_is_heard_at_once_and_what_is_downloaded_is_that_text(page) -> None:
    sentence = HARVARD_SENTENCES[0]
    page.choose("Voice", "English (America)")
    page.speak(sentence)
    page.wait_until_it_sounds()
    samples, rate = soundfile.read(page.download("sound"))
    assert recognise(samples, rate) == sentence
    shown = page.tab.inner_text(".vv-status")
    assert re.match(r"1 sentence · [\d.]+ s of audio · made in .* real time", shown)
    page.picture("speak-1280")


def test_sound_plays_while_the_rest_is_made_and_stops_within_a_chunk(page) -> None:
    page.write(LONG)
    page.tab.click("#vv-speak")
    page.wait_until_it_sounds()
    assert page.state() == "speaking"
    page.wait_for("document.querySelectorAll('.vv-list li').length === 20")
    page.wait_for("document.querySelector('.vv-status').textContent.includes('of about')")
    status = page.tab.inner_text(".vv-status")
    assert re.match(r"Sentence [\d,]+ of about [\d,]+ · .* of audio · [\d.]+× real time", status)
    assert page.tab.locator("#vv-cancel").is_visible()
    page.picture("speaking-1280")
    page.tab.keyboard.press("Escape")
    page.wait_for_state("stopped")
    assert page.text == LONG
    assert page.tab.inner_text(".vv-status").startswith("Stopped · ")
    assert page.tab.locator("#vv-cancel").is_hidden()
    assert len(page.rows()) == 20, "a long list is shown by the page"
    page.tab.click("[aria-label='Later sentences']")
    page.wait_for("document.querySelector('.vv-list').start === 21")
    assert page.tab.inner_text(".vv-pages span").startswith("21–40 of ")


def test_the_finished_take_can_be_moved_about_in(page) -> None:
    page.speak(THREE)
    page.wait_until_it_sounds()
    box = page.tab.locator(".vv-wave").bounding_box()
    page.tab.mouse.click(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    frames = page.tab.evaluate("+document.querySelector('.vv-wave').ariaValueMax") * 22050
    page.wait_for(f"window.vivavoce.player.position > {0.6 * frames}")
    page.wait_until_it_sounds()
    page.tab.click("[aria-label='Pause']")
    stood = page.player("position")
    page.tab.focus(".vv-wave")
    page.tab.keyboard.press("ArrowLeft")
    assert page.player("position") == max(0, stood - 5 * 22050)
    page.tab.keyboard.press("Home")
    assert page.player("position") == 0
    page.tab.keyboard.press("Space")
    page.wait_until_it_sounds()


def test_it_plays_at_its_own_pace_and_once(page) -> None:
    page.speak(THREE)
    page.wait_until_it_sounds()
    paces = page.tab.evaluate(
        """async () => {
            const { player } = window.vivavoce;
            const [from, time] = [player.position, player.context.currentTime];
            await new Promise((resolve) => setTimeout(resolve, 1500));
            return (player.position - from) / (player.context.currentTime - time);
        }"""
    )
    assert paces == pytest.approx(22050, rel=0.02)
    assert page.tab.locator("audio").count() == 0, "nothing else plays it a second time"


def test_a_sentence_is_played_alone_and_made_again(page) -> None:
    page.speak(THREE)
    page.tab.click("[aria-label='Pause']")
    assert [row.strip() for row in page.rows()] == list(HARVARD_SENTENCES[:3])
    before = page.download("sound").read_bytes()
    page.tab.click("[aria-label='Play sentence 3']")
    page.wait_until_it_sounds()
    page.wait_for("!window.vivavoce.player.playing")
    page.tab.click("[aria-label='Make sentence 2 again']")
    page.wait_for("document.querySelector('.vv-status').textContent.startsWith('Sentence 2 made')")
    page.wait_until_it_sounds()
    start, end = page.tab.evaluate(
        "(() => { const p = window.vivavoce.player; return [p.position, p.position]; })()"
    )
    assert start > 22050, "it plays the new sentence, not the take from its beginning"
    after = page.download("sound")
    assert after.read_bytes() != before
    samples, rate = soundfile.read(after)
    thirds = sentence_bounds(page.download("srt").read_text("utf-8"))
    first, second = thirds[0], thirds[1]
    for (begin, end), sentence in zip((first, second), HARVARD_SENTENCES, strict=False):
        cut = samples[int(begin * rate) : int(end * rate)]
        assert recognise(cut, rate) == sentence


def sentence_bounds(srt: str) -> list[tuple[float, float]]:
    def seconds(stamp: str) -> float:
        hours, minutes, rest = stamp.replace(",", ".").split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(rest)

    spans = re.findall(r"([\d:,]+) --> ([\d:,]+)", srt)
    return [(seconds(begin), seconds(end)) for begin, end in spans]


def test_every_format_and_both_captions_can_be_downloaded(page) -> None:
    page.speak(THREE)
    starts = {
        "wav": b"RIFF", "flac": b"fLaC", "mp3": b"ID3", "opus": b"OggS", "aac": None, "pcm": None,
    }  # fmt: skip
    offered = page.tab.eval_on_selector_all(".vv-export option", "all => all.map(o => o.value)")
    assert offered == list(starts)
    for name, start in starts.items():
        page.tab.select_option(".vv-export select", name)
        file = page.download("sound")
        assert file.suffix == f".{name}"
        data = file.read_bytes()
        assert len(data) > 5000
        assert start is None or data.startswith(start)
    raw = np.frombuffer(data, "<i2")
    assert np.abs(raw).max() > 3000
    srt, vtt = page.download("srt"), page.download("vtt")
    assert len(sentence_bounds(srt.read_text("utf-8"))) == 3
    assert vtt.read_text("utf-8").startswith("WEBVTT")


def test_a_page_that_was_not_touched_waits_for_a_click_to_sound(open_page) -> None:
    """Browsers let a page sound from the first click on. What Playwright evaluates counts as one,
    so this page is worked through the protocol below, which does not."""
    page = open_page(touched=False)
    protocol = page.context.new_cdp_session(page.tab)

    def evaluate(expression: str):
        asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        return protocol.send("Runtime.evaluate", asked)["result"]["value"]

    spoken = evaluate(
        """(async () => {
            const until = async (done) => {
                while (!done()) await new Promise((resolve) => setTimeout(resolve, 50));
            };
            await until(() => window.vivavoce && document.querySelector("#vv-text textarea"));
            await new Promise((resolve) => setTimeout(resolve, 500));
            const box = document.querySelector("#vv-text textarea");
            box.value = "Hello there, this is a test of a page that nobody touched.";
            box.dispatchEvent(new Event("input", { bubbles: true }));
            document.querySelector("#vv-speak").click();
            const panel = document.querySelector(".vv-take");
            await until(() => panel.classList.contains("vv-blocked"));
            return panel.dataset.state;
        })()"""
    )
    assert spoken in ("speaking", "done")
    assert evaluate("window.vivavoce.player.position") == 0
    assert evaluate("document.querySelector('.vv-play').ariaLabel") == "Play"
    x, y = evaluate(
        "(({ x, y, width }) => [x + width / 2, y + width / 2])"
        "(document.querySelector('.vv-play').getBoundingClientRect())"
    )
    page.tab.mouse.click(x, y)
    moved = """(async () => {
        const { player } = window.vivavoce;
        while (!player.position) await new Promise((resolve) => setTimeout(resolve, 50));
        return player.position;
    })()"""
    assert evaluate(moved) > 0
    page.wait_until_it_sounds()


# text


def test_a_dropped_file_becomes_the_text(page) -> None:
    page.drop("Grüße aus Köln.".encode("latin-1"))
    page.wait_for("document.querySelector('#vv-text textarea').value === 'Grüße aus Köln.'")
    page.drop(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "picture.txt")
    assert "no plain text" in page.alert()
    assert page.text == "Grüße aus Köln."
    page.drop(b"a" * 5_000_000)
    page.wait_for("/5,000,000 bytes/.test(document.querySelector('.vv-alert').innerText)")
    assert page.text == "Grüße aus Köln."


def test_the_text_outlives_a_reload(page) -> None:
    page.write("Not to be lost.")
    page.wait_for("/^15 characters/.test(document.querySelector('#vv-count').textContent)")
    page.tab.reload()
    page.wait_for("document.querySelector('#vv-text textarea')?.value === 'Not to be lost.'")
    page.tab.click("#vv-speak")
    page.wait_for_state("done")


def test_an_error_is_shown_where_one_looks_and_the_text_stays(page) -> None:
    page.write("😀 🎉")
    page.tab.click("#vv-speak")
    assert "emoji" in page.alert()
    assert page.text == "😀 🎉"
    page.speak("Now it works.")
    assert page.tab.locator(".vv-alert").is_hidden()


def test_first_time_visitors_are_told_what_to_do_and_may_try_an_example(page) -> None:
    assert page.tab.locator(".vv-welcome").is_visible()
    page.tab.click("text=Deutsch")
    page.wait_for("document.querySelector('#vv-text textarea').value.startsWith('Guten Morgen')")
    page.wait_for("document.querySelector('[aria-label=Language]').value === 'German'")
    page.tab.keyboard.press("Control+Enter")
    page.wait_for_state("done")
    page.wait_until_it_sounds()
    assert page.tab.locator(".vv-welcome").is_hidden()


# settings


def test_seeds_are_shown_kept_and_repeated(page) -> None:
    seed = page.tab.get_by_label("Seed", exact=True)
    keep = page.tab.get_by_label("Keep this seed")
    page.speak(HARVARD_SENTENCES[0])
    drawn = seed.input_value()
    first = page.download("sound").read_bytes()
    assert drawn.isdecimal()
    keep.check()
    page.speak(HARVARD_SENTENCES[0])
    assert seed.input_value() == drawn
    assert page.download("sound").read_bytes() == first
    keep.uncheck()
    page.speak(HARVARD_SENTENCES[0])
    assert seed.input_value() != drawn
    assert page.download("sound").read_bytes() != first
    seed.fill("12")
    page.speak(HARVARD_SENTENCES[0])
    assert (seed.input_value(), keep.is_checked()) == ("12", True)


def test_controls_come_from_the_engine_and_the_preset_and_go_back(page) -> None:
    page.tab.click("#vv-fine button")

    def wait_for_control(name: str, comparison: str) -> None:
        box = f"[aria-label^='number input for {name}']"
        page.wait_for(f'document.querySelector("{box}").value {comparison}')

    wait_for_control("Rate", "=== '175'")
    variation = page.tab.get_by_label("number input for Variation")
    usual = variation.input_value()
    page.choose("Preset", "Audiobook")
    wait_for_control("Rate", "!== '175'")
    wait_for_control("Variation", f"!== '{usual}'")
    page.choose("Preset", "None")
    wait_for_control("Rate", "=== '175'")
    wait_for_control("Variation", f"=== '{usual}'")
    variation.fill("0")
    variation.press("Tab")
    page.speak(HARVARD_SENTENCES[0])
    assert "Variation is 0" in page.tab.inner_text(".vv-fixed")
    page.tab.click("[aria-label='Make sentence 1 again']")
    assert "would sound the same" in page.alert()
    page.picture("fine-tuning-1280")
    page.tab.click("#vv-reset")
    wait_for_control("Variation", f"=== '{usual}'")


def test_the_voice_follows_the_language(page) -> None:
    page.choose("Language", "French")
    page.wait_for("document.querySelector('[aria-label=Voice]').value === 'Amélie · female'")
    page.speak("Bonjour tout le monde.")
    page.tab.get_by_label("Voice", exact=True).fill("fr")
    options = page.tab.get_by_role("option").all_inner_texts()
    assert any("France" in option for option in options)


# the page


def test_everything_can_be_reached_by_keyboard(page) -> None:
    page.speak(THREE)
    page.tab.focus("#vv-text textarea")
    reached = []
    for _ in range(60):
        page.tab.keyboard.press("Tab")
        reached.append(
            page.tab.evaluate(
                "(e => e.getAttribute('aria-label') || e.innerText || e.id)(document.activeElement)"
            )
        )
    for name in ("Speak", "Voice", "Pause", "Position", "Download", "Make sentence 2 again"):
        assert any(name in one for one in reached), (name, reached)
    page.tab.focus("[aria-label='Make sentence 2 again']")
    page.tab.keyboard.press("Shift+Tab")
    page.tab.keyboard.press("Tab")
    outline = page.tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_every_field_and_button_has_a_name(page) -> None:
    page.speak(THREE)
    nameless = page.tab.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, [role=slider]")]
            .filter((e) => e.offsetParent && !(e.ariaLabel || e.innerText.trim() || e.title ||
                e.labels?.length || e.closest("label")))
            .map((e) => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_any_window_in_dark_and_light(open_page, width, scheme) -> None:
    page = open_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.picture(f"welcome-{width}-{scheme}")
    assert page.overflow() == 0
    page.speak(THREE)
    page.wait_for("document.querySelectorAll('.vv-list li').length === 3")
    page.picture(f"take-{width}-{scheme}")
    assert page.overflow() == 0
    assert page.tab.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")
    for selector in (".vv-status", ".vv-text", ".vv-length", "#vv-count", ".vv-header p"):
        if page.tab.locator(selector).first.is_visible():
            assert contrast(page, selector) >= 4.5, selector
    page.tab.get_by_role("tab", name="Devices").click()
    page.tab.wait_for_selector(".vv-plot")
    page.picture(f"devices-{width}-{scheme}")
    assert page.overflow() == 0


def contrast(page, selector: str) -> float:
    """Of a text against the first opaque ground behind it, as WCAG counts it."""
    ink, ground = page.tab.eval_on_selector(
        selector,
        """(node) => {
            const paint = document.createElement("canvas").getContext("2d");
            const rgba = (colour) => {
                paint.clearRect(0, 0, 1, 1);
                paint.fillStyle = colour;
                paint.fillRect(0, 0, 1, 1);
                return [...paint.getImageData(0, 0, 1, 1).data];
            };
            let behind = node;
            while (rgba(getComputedStyle(behind).backgroundColor)[3] < 255)
                behind = behind.parentElement;
            const ground = rgba(getComputedStyle(behind).backgroundColor);
            return [rgba(getComputedStyle(node).color), ground];
        }""",
    )

    def luminance(colour: list[int]) -> float:
        parts = [part / 255 for part in colour[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_choice_of_dark_or_light_is_remembered(page) -> None:
    page.tab.click("[aria-label='Dark or light colours']")
    page.wait_for("document.body.classList.contains('dark')")
    page.tab.reload()
    page.wait_for("window.vivavoce && document.body.classList.contains('dark')")


def test_leaving_the_page_ends_its_request(open_page) -> None:
    page, other = open_page(), open_page()
    page.write(LONG)
    page.tab.click("#vv-speak")
    page.wait_until_it_sounds()
    other.tab.get_by_role("tab", name="Devices").click()
    other.wait_for("/The birch canoe/.test(document.querySelector('#vv-devices').innerText)")
    page.tab.reload()
    other.wait_for(
        "/Nothing is being spoken/.test(document.querySelector('#vv-devices').innerText)"
    )


def test_a_request_can_be_cancelled_from_the_devices_tab(page) -> None:
    page.write(LONG)
    page.tab.click("#vv-speak")
    page.wait_until_it_sounds()
    page.tab.get_by_role("tab", name="Devices").click()
    page.tab.get_by_role("button", name="Cancel The birch").click()
    page.wait_for("/Nothing is being spoken/.test(document.querySelector('#vv-devices').innerText)")
    page.tab.get_by_role("tab", name="Speak").click()
    page.wait_for_state("stopped")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
def test_the_page_and_speech_need_no_heavy_library(page, server) -> None:
    page.speak(HARVARD_SENTENCES[0])
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "numpy" in mapped
    for library in ("libtorch", "onnxruntime", "libtorchaudio"):
        assert library not in mapped
