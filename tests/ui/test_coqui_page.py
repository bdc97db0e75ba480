"""Coqui's models on the page: what can be set for them, and a recording in another voice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.settings import Settings
from tests import coqui_models, voice_helpers
from tests.browser import Page
from tests.servers import ServerProcess, server_process
from tests.voice_helpers import CONSENT

pytestmark = pytest.mark.browser

CLIP = "#vv-convert-clip input[type='file']"


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One with a tiny model of each task, and a voice."""
    pytest.importorskip("TTS")
    folder = tmp_path_factory.mktemp("server")
    settings = Settings(data_dir=folder, presets_dir=folder / "none")
    for name in ("your_tts", "freevc"):
        getattr(coqui_models, name)(settings.models / "coqui" / name)
    library = voice_helpers.VoiceLibrary(
        settings.voices_dir, settings.cache_dir, embed=voice_helpers.embed
    )
    library.add("", "Ann", "en", [], [voice_helpers.clip(880.0, seconds=2)], CONSENT)
    library.close()
    with server_process(folder) as server:
        yield server


def test_controls_and_a_conversion(windows, own_server: ServerProcess, tmp_path: Path) -> None:
    page = Page(windows(), own_server.url)
    tab = page.tab
    page.choose("Engine", "Coqui TTS")
    tab.wait_for_function(
        "() => document.querySelector('#vv-settings').textContent.includes('Voice')"
    )
    tab.get_by_role("button", name="Fine-tune the voice").click()
    for label in ("Speed", "Speaker"):
        tab.get_by_label(label).locator("visible=true").first.wait_for()
    for label in ("Temperature", "Top-k", "Quality"):  # YourTTS draws nothing
        assert tab.get_by_label(label).locator("visible=true").count() == 0
    page.picture("coqui-1280")

    page.speak("hello there you")
    assert page.state() == "done"

    tab.get_by_role("tab", name="Voices").click()
    tab.get_by_role("button", name="Convert speech").click()
    tab.wait_for_selector("#vv-convert-go")
    tab.set_input_files(CLIP, coqui_models.clip(tmp_path / "talk.wav", 2.0))
    tab.wait_for_selector("#vv-convert-clip audio", state="attached")
    tab.click("#vv-convert-go")
    page.wait_for("document.querySelector('#vv-convert-player audio').currentTime > 0.1")
    assert "talk" in tab.inner_text("#vv-convert-player")
    page.picture("coqui-convert-1280")
    tab.close()
    assert page.strays == [] and page.complaints == []
