"""A recording in another voice: checked, delivered like speech, kept in the history."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.api import Reference
from engines.errors import (
    BadControl,
    BadReference,
    Cancelled,
    UnknownDevice,
    UnknownVoice,
    UnsupportedRuntime,
)
from studio.conversion import ConversionRequest
from studio.jobs import SentenceDone, Sound
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes, voice_helpers
from tests.fakes import ConvertingEngine, ToneEngine
from tests.voice_helpers import CONSENT

CLIP = Reference(voice_helpers.tone(220, 2.0), voice_helpers.RATE)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[ToneEngine]:
    return fakes.install(monkeypatch, ConvertingEngine)


@pytest.fixture
def studio(engine: type[ToneEngine], tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", history="all"))
    studio._library = voice_helpers.library(tmp_path)
    yield studio
    studio.close()


@pytest.fixture
def voice(studio: Studio) -> str:
    clips = [voice_helpers.clip(880.0)]
    return studio.voices_library.add("ann", "Ann", "de", [], clips, CONSENT).id


def asked(voice: str, **more: object) -> ConversionRequest:
    values = {"clip": CLIP, "name": "talk.wav", "owner": "ann", "door": "http", **more}
    return ConversionRequest(voice=voice, **values)  # type: ignore[arg-type]


def test_a_clip_is_said_in_the_voice(studio: Studio, voice: str) -> None:
    job = studio.convert(asked(voice, seed=4))
    events = list(job.events())
    sound = np.concatenate([event.samples for event in events if isinstance(event, Sound)])
    assert job.sample_rate == fakes.RATE
    assert sound.size == pytest.approx(2 * fakes.RATE, abs=fakes.RATE // 20)
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.fft.rfftfreq(sound.size, 1 / fakes.RATE)[spectrum.argmax()] == pytest.approx(
        880, 0.01
    )
    assert 0.05 < np.abs(sound).max() <= 10 ** (-1 / 20) + 1e-3  # levelled at the one exit
    (timing,) = [event.timing for event in events if isinstance(event, SentenceDone)]
    assert timing.end == pytest.approx(2, abs=0.1)
    assert (job.plan.voice.name, job.plan.seed, job.progress) == ("Ann", 4, 1.0)


def test_it_is_kept_in_the_history(studio: Studio, voice: str) -> None:
    job = studio.convert(asked(voice))
    list(job.events())
    (take,) = studio.history.page("ann").takes
    assert take.id == job.take_id and take.voice_name == "Ann"
    assert "talk.wav" in studio.history.page("ann", "talk").takes[0].excerpt
    assert not studio.history.page("bob").takes


def test_the_models_that_do_it(studio: Studio, voice: str) -> None:
    assert [each.id for each in studio.converters()] == ["turner", "twin"]
    assert studio.convert(asked(voice, model="twin")).plan.engine == "tone"


@pytest.mark.parametrize(
    ("change", "error", "param"),
    [
        ({"voice": "0123456789abcdef"}, UnknownVoice, "voice"),
        ({"owner": "bob"}, UnknownVoice, "voice"),
        ({"model": "nothing"}, UnknownVoice, "model"),
        ({"device": "mps"}, UnknownDevice, "device"),
        ({"device": "cuda"}, (UnknownDevice, UnsupportedRuntime), "device"),
        ({"seed": -1}, BadControl, "seed"),
        ({"clip": Reference(np.zeros(48_000, np.float32), 24_000)}, BadReference, "file"),
        ({"clip": Reference(CLIP.samples[:2400], 24_000)}, BadReference, "file"),
        ({"clip": Reference(np.ones(601 * 100, np.float32), 100)}, BadReference, "file"),
    ],
)
def test_what_is_refused(
    studio: Studio, voice: str, change: dict, error: type[Exception], param: str
) -> None:
    with pytest.raises(error) as caught:
        studio.convert(asked(**{"voice": voice, **change}))
    assert caught.value.param == param  # type: ignore[attr-defined]


def test_it_is_cancelled(studio: Studio, voice: str, engine: type[ToneEngine]) -> None:
    engine.gate = threading.Event()
    job = studio.convert(asked(voice))
    job.cancel()
    with pytest.raises(Cancelled):
        list(job.events())


def test_without_a_model(tmp_path: Path) -> None:
    studio = Studio(Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", history="off"))
    try:
        assert not studio.converters()
        with pytest.raises(UnknownVoice, match="FreeVC, OpenVoice and YourTTS"):
            studio.convert(ConversionRequest(CLIP, "0123456789abcdef"))
    finally:
        studio.close()
