"""A stored voice on its way to an engine that clones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.api import SpeechRequest
from engines.errors import UnknownVoice
from studio.jobs import Sound
from studio.offered import offered
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes, voice_helpers
from tests.espnet_release import write_release
from tests.fakes import CloningEngine, ToneEngine
from tests.voice_helpers import CONSENT


@pytest.fixture
def cloner(monkeypatch: pytest.MonkeyPatch) -> type[ToneEngine]:
    return fakes.install(monkeypatch, CloningEngine)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", history="off"))
    studio._library = voice_helpers.library(tmp_path)
    yield studio
    studio.close()


@pytest.fixture
def voice(studio: Studio) -> str:
    clips = [voice_helpers.clip(880.0)]
    return studio.voices_library.add("ann", "Ann", "de", ["mine"], clips, CONSENT).id


def spoken(studio: Studio, voice: str, **given: str) -> np.ndarray:
    job = studio.submit(SpeechRequest("One two three.", voice=voice, seed=1, **given))
    sound = [event.samples for event in job.events() if isinstance(event, Sound)]
    return np.concatenate(sound)


def pitch(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.fft.rfftfreq(samples.size, 1 / fakes.RATE)[spectrum.argmax()])


def test_the_engine_that_clones_speaks_like_the_clip(cloner, studio, voice) -> None:
    plan = studio.plan(SpeechRequest("One.", voice=voice, owner="ann"))
    assert (plan.engine, plan.voice.name, plan.language) == ("tone", "Ann", "de")
    assert pitch(spoken(studio, voice, owner="ann")) == pytest.approx(880, abs=5)
    assert pitch(spoken(studio, "sine", engine="tone")) == pytest.approx(440, abs=5)


def test_a_clip_is_looked_at_once(cloner, studio, voice) -> None:
    first = spoken(studio, voice, owner="ann")
    assert np.array_equal(spoken(studio, voice, owner="ann"), first)
    assert cloner.conditioned == 1  # type: ignore[attr-defined]


def test_nobody_speaks_with_anothers_voice(cloner, studio, voice) -> None:
    for owner in ("", "bob"):
        with pytest.raises(UnknownVoice):
            studio.submit(SpeechRequest("One.", voice=voice, owner=owner))


def test_an_engine_that_does_not_clone_says_which_do(cloner, studio, voice) -> None:
    with pytest.raises(UnknownVoice, match=r"eSpeak NG cannot.*'Ann'.*Engines that can: tone"):
        studio.submit(SpeechRequest("One.", voice=voice, engine="espeak", owner="ann"))


def test_an_engine_that_takes_the_nearest_of_its_own_comes_last(
    cloner, studio, voice, tmp_path
) -> None:
    assert [one.name for one in studio.cloners()] == ["tone"], "no release of the other is here"
    write_release(tmp_path / "models" / "many", generator={"spks": 3, "global_channels": 6})
    assert [one.name for one in studio.cloners()] == ["tone", "espnet_vits"]
    [listed] = [one for one in offered(studio, "ann") if one.reference == voice]
    assert listed.engine == "tone"


def test_without_an_engine_that_clones_it_says_so(studio, voice) -> None:
    with pytest.raises(UnknownVoice, match="No engine that is installed here"):
        studio.submit(SpeechRequest("One.", voice=voice, owner="ann"))


def test_a_voice_deleted_while_its_request_waits(cloner, studio, voice) -> None:
    plan = studio.plan(SpeechRequest("One.", voice=voice, owner="ann"))
    studio.voices_library.delete("ann", voice)
    engine = studio.engine("tone")
    with pytest.raises(UnknownVoice):
        studio._cloning.conditioned("ann", plan.voice, engine, "cpu", fakes.CancelToken())
