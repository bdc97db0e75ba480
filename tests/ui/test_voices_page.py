"""The Voices tab in a real browser: a person makes a voice, and finds, hears and deletes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.browser import FLAGS, PATIENCE, Page
from tests.unit.reference_clips import RATE, SPEECH, encoded, speech, white

pytestmark = pytest.mark.browser

FILE = "#vv-voice-new input[type='file']"
READY = ".vv-clip[data-state='ready']"
MICROPHONE = (
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    f"--use-file-for-fake-audio-capture={SPEECH / 'lj_1.wav'}",
)
PLAYS = "document.querySelector('.vv-sound audio').currentTime > 0.1"


@pytest.fixture
def noisy(tmp_path) -> Path:
    """A clip with silence around it and some noise, as a telephone would record it."""
    voice = np.concatenate([np.zeros(2 * RATE, np.float32), speech(), np.zeros(RATE, np.float32)])
    path = tmp_path / "from a telephone.txt"  # what it is called plays no part
    path.write_bytes(encoded(voice + white(voice.size, -37), "m4a", tmp_path))
    return path


def go_to_voices(page: Page) -> Any:
    tab = page.tab
    tab.get_by_role("tab", name="Voices").click()
    tab.wait_for_selector(".vv-voices-list > *")
    return tab


def fill_in(tab: Any, name: str) -> None:
    form = tab.locator("#vv-voice-form")
    form.get_by_label("Name", exact=True).fill(name)
    form.get_by_label("Tags").fill("warm, narrator")
    form.get_by_label("Who speaks in the clip", exact=True).fill("Linda Johnson")


def test_a_clip_becomes_a_voice_that_is_there_after_a_reload(page, noisy) -> None:
    tab = go_to_voices(page)
    page.picture("voices-empty-1280")
    tab.set_input_files(FILE, noisy)
    tab.wait_for_selector(".vv-report:not([hidden])")
    findings = tab.inner_text(".vv-findings")
    assert "9.7 s of speech, a good length." in findings
    assert "The background is loud" in findings
    assert "Waveform of 12.6 s" in tab.get_attribute(".vv-waveform", "aria-label")
    tab.get_by_label("Reduce noise").check()
    tab.wait_for_selector("text=The background was loud")
    tab.get_by_role("button", name="Listen").click()
    page.wait_for(PLAYS)

    fill_in(tab, "Linda <b>J</b>")
    page.picture("voices-clip-1280")
    tab.get_by_role("button", name="Save the voice").click()
    tab.wait_for_selector("#vv-voice-form .vv-alert")
    assert "the box is not ticked" in tab.inner_text("#vv-voice-form .vv-alert")
    assert tab.locator(".vv-voice").count() == 0, "nothing is stored before"
    tab.get_by_label("The person who speaks in the clip has agreed").check()
    tab.get_by_role("button", name="Save the voice").click()
    tab.wait_for_selector(".vv-voice")
    assert tab.inner_text(".vv-name") == "Linda <b>J</b>"

    tab.reload()
    tab = go_to_voices(page)
    tab.fill(".vv-search", "narr")
    tab.wait_for_selector("text=1 voice found")
    tab.get_by_role("button", name="Play Linda").click()
    page.wait_for(PLAYS)
    tab.get_by_role("button", name="More of Linda").click()
    tab.wait_for_selector("text=Linda Johnson agreed on")
    page.picture("voices-1280")
    with tab.expect_download() as started:
        tab.get_by_role("button", name="Export").click()
    assert started.value.suggested_filename == "linda-b-j-b.voice.zip"
    delete_by_keyboard(page)


def delete_by_keyboard(page: Page) -> None:
    """From the name to the question whether it shall go for good, without a mouse."""
    tab = page.tab
    tab.get_by_label("Name", exact=True).last.focus()
    for _ in range(3):  # Rename, Export, Delete …
        tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    focused = "document.activeElement.textContent === '{}'"
    page.wait_for(focused.format("Keep it"))
    tab.keyboard.press("Escape")
    page.wait_for(focused.format("Delete …"))
    assert tab.locator(".vv-sure").is_hidden()
    tab.keyboard.press("Enter")
    page.wait_for(focused.format("Keep it"))
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("text=No voice has these words.")


def test_what_is_no_clip_is_told_and_another_one_can_be_chosen(page, tmp_path) -> None:
    letter = tmp_path / "recording.wav"
    letter.write_text("Dear Sir or Madam,")
    tab = go_to_voices(page)
    tab.set_input_files(FILE, letter)
    tab.wait_for_selector(".vv-clip .vv-alert:not([hidden])")
    assert "a text, not a recording" in tab.inner_text(".vv-clip .vv-alert")
    assert tab.get_by_role("button", name="Choose a file").is_visible()
    assert tab.locator("#vv-voice-form").count() == 0 or tab.locator("#vv-voice-form").is_hidden()


@pytest.mark.parametrize("look", ["light", "dark"])
def test_on_a_telephone(open_page, noisy, look) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, color_scheme=look)
    tab = go_to_voices(page)
    assert page.overflow() <= 0
    tab.set_input_files(FILE, noisy)
    tab.wait_for_selector(READY)
    fill_in(tab, "A name that is rather long for the width of a telephone")
    tab.get_by_label("The person who speaks in the clip has agreed").check()
    page.picture(f"voices-clip-390-{look}")
    assert page.overflow() <= 0
    tab.get_by_role("button", name="Save the voice").click()
    tab.wait_for_selector(".vv-voice-more")
    page.picture(f"voices-390-{look}")
    assert page.overflow() <= 0
    tab.get_by_role("button", name="Delete …").click()
    tab.get_by_role("button", name="Delete for good").click()
    tab.wait_for_selector(".vv-voice-more", state="detached")


@pytest.fixture
def recording_page(chromium, server) -> Iterator[Page]:
    """A window whose microphone hears a real recording."""
    speech()
    browser = chromium.browser_type.launch(
        executable_path="/usr/bin/chromium", args=(*FLAGS, *MICROPHONE)
    )
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    page = Page(context, server.url)
    yield page
    browser.close()
    assert page.complaints == []


def test_the_microphone_is_recorded_and_understood(recording_page, tmp_path) -> None:
    page = recording_page
    tab = go_to_voices(page)
    tab.get_by_role("button", name="Record").click()
    tab.wait_for_selector(".vv-recording:not([hidden])")
    page.wait_for("parseFloat(document.querySelector('.vv-level i').style.width) > 20")
    page.wait_for("document.querySelector('.vv-clock').textContent >= '0:05'")
    page.picture("voices-recording")
    tab.get_by_role("button", name="Stop").click()
    tab.wait_for_selector(READY)
    seconds = re.search(r"([\d.]+) s of speech", tab.inner_text(".vv-findings"))
    assert seconds and 3 < float(seconds.group(1)) < 9
    assert tab.locator(".vv-bad").count() == 0
    tab.get_by_role("button", name="Original").click()
    page.wait_for(PLAYS)
    heard = tab.evaluate(
        """async () => {
            const answer = await fetch(document.querySelector('.vv-sound audio').src);
            return [...new Uint8Array(await answer.arrayBuffer())];
        }"""
    )
    (tmp_path / "heard.wav").write_bytes(bytes(heard))
    samples, rate = soundfile.read(tmp_path / "heard.wav", dtype="float32")
    assert samples.size > 4 * rate
    assert np.abs(samples).max() > 0.05
