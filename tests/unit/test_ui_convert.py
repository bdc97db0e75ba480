"""Recordings on the Voices tab: chosen, said in a voice, heard."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from studio.settings import Settings
from studio.studio import Studio
from tests import fakes, voice_helpers
from tests.fakes import ConvertingEngine, ToneEngine
from tests.voice_helpers import CONSENT, tone, wav
from ui.convert_handlers import Conversions
from ui.voices_visits import Visits

ME: Any = SimpleNamespace(session_hash="me")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[ToneEngine]:
    return fakes.install(monkeypatch, ConvertingEngine)


@pytest.fixture
def studio(engine, monkeypatch, tmp_path) -> Iterator[Studio]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    (tmp_path / "gradio").mkdir()
    studio = Studio(Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", history="off"))
    studio._library = voice_helpers.library(tmp_path)
    yield studio
    studio.close()


@pytest.fixture
def voice(studio: Studio) -> str:
    clips = [voice_helpers.clip(880.0)]
    return studio.voices_library.add("", "Ann", "de", [], clips, CONSENT).id


@pytest.fixture
def upload(tmp_path: Path) -> str:
    path = tmp_path / "gradio" / "talk.wav"
    path.write_bytes(wav(tone(220, 2.0)))
    return str(path)


@pytest.fixture
def to(studio: Studio) -> Conversions:
    return Conversions(studio, Visits())


def test_what_is_offered(to: Conversions, voice: str) -> None:
    voices, models, devices, missing = to.open(ME, None, "twin")
    assert (voices.choices, voices.value) == ([("Ann", voice)], voice)
    assert [value for _, value in models.choices] == ["turner", "twin"] and models.value == "twin"
    assert [value for _, value in devices.choices] == ["auto", "cpu"]
    assert missing == ""


def test_what_is_missing(studio: Studio, to: Conversions, monkeypatch) -> None:
    monkeypatch.setattr(studio, "converters", lambda: ())
    *_, missing = to.open(ME, None, None)
    assert "FreeVC" in missing and "Make a voice" in missing


def test_a_recording_is_said_in_a_voice(to: Conversions, voice: str, upload: str) -> None:
    *_, shown = to.convert(ME, upload, voice, "turner", "auto", "12")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(shown["data"])))
    peak = np.fft.rfftfreq(samples.size, 1 / rate)[np.abs(np.fft.rfft(samples)).argmax()]
    assert peak == pytest.approx(880, 0.01)
    assert "Seed 12." in shown["said"] and "talk.wav" in shown["title"] and "Ann" in shown["title"]
    assert not Path(upload).exists()  # it does not stay on the disk


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"path": None}, "Record one"),
        ({"path": "/etc/passwd"}, "not uploaded here"),
        ({"voice": None}, "voice"),
        ({"model": "nothing"}, "turner, twin"),
        ({"seed": "many"}, "whole number"),
        ({"device": "mps"}, "not here"),
    ],
)
def test_what_is_refused(to, voice, upload, tmp_path, change, told) -> None:
    values = {"path": upload, "voice": voice, "model": None, "device": "auto", "seed": ""}
    *_, shown = to.convert(ME, *{**values, **change}.values())
    assert told in " ".join(shown["alert"]) and not shown["data"]


def test_stop(to: Conversions, voice: str, upload: str, engine: type[ToneEngine]) -> None:
    engine.gate = threading.Event()
    seen = []
    for shown in to.convert(ME, upload, voice, None, "auto", ""):
        seen.append(shown)
        if shown["said"] == "Working …":
            to.stop(ME)
    assert not seen[-1]["data"] and not seen[-1]["alert"]
