"""A voice that Spark-TTS makes up is given a name on the page, spoken with, and let go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import Page
from tests.servers import ServerProcess, server_process
from tests.spark_release import copied_release

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    copied_release(folder / "models" / "Tiny")
    with server_process(folder) as server:
        yield server


def test_a_made_voice_is_kept_and_let_go(windows, own_server: ServerProcess) -> None:
    page = Page(windows(), own_server.url)
    tab = page.tab
    page.choose("Engine", "Spark-TTS")
    voice = tab.get_by_label("Voice", exact=True)
    page.wait_for("[...document.querySelectorAll('input')].some(i => i.value === 'Tiny · female')")
    tab.fill("#vv-settings [placeholder='random']", "3")
    page.speak("Hello there, how are you?")
    name = tab.get_by_label("A name for this voice")
    name.wait_for()
    assert "v-" not in tab.inner_text(".vv-notes")
    page.picture("keep-1280")
    name.fill("Nadia")
    tab.get_by_role("button", name="Keep this voice").click()
    page.wait_for("document.querySelector('.vv-notes').textContent.includes('Nadia')")
    page.wait_for("[...document.querySelectorAll('input')].some(i => i.value.startsWith('Nadia'))")
    assert voice.input_value() == "Nadia · female" and not name.is_visible()
    page.speak("Good morning.")
    assert page.state() == "done" and not name.is_visible()

    tab.get_by_role("tab", name="Voices").click()
    tab.get_by_role("button", name="Remove Nadia").click()
    page.picture("kept-1280")
    tab.get_by_role("button", name="Remove", exact=True).click()
    tab.get_by_role("button", name="Remove Nadia").wait_for(state="detached")
    tab.get_by_role("tab", name="Speak").click()
    voice.click()
    options = tab.get_by_role("option")
    options.first.wait_for()
    page.wait_for(
        "![...document.querySelectorAll('[role=option]')].some(o => /Nadia/.test(o.textContent))"
    )
    assert page.complaints == []
