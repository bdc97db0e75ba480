"""The studio keeps what it speaks: the same sound that the listener heard, and how it was made."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engines.api import CancelToken, SpeechRequest
from engines.errors import EngineFailure
from studio.history import TakeState, request_of
from studio.jobs import Job, Note, SentenceDone, Sound
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.servers import wait_until

WORDS = "One two three. Four five six."


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


def new_studio(folder: Path, **settings) -> Studio:
    given = {"data_dir": folder, "presets_dir": folder / "none", "shared": False, **settings}
    return Studio(Settings(**given))


@pytest.fixture
def studio(tone, tmp_path) -> Iterator[Studio]:
    studio = new_studio(tmp_path)
    yield studio
    studio.close()


def request(text: str = WORDS, **given) -> SpeechRequest:
    return SpeechRequest(text, **{"engine": "tone", "door": "http", **given})


def heard(job: Job) -> tuple[list, bytes]:
    events = list(job.events())
    sound = np.concatenate([event.samples for event in events if isinstance(event, Sound)])
    return events, np.rint(sound * 32767).astype("<i2").tobytes()


def test_what_was_heard_is_what_is_kept(studio) -> None:
    job = studio.submit(request(controls={"frequency": 300}, owner="ann"))
    events, pcm = heard(job)
    take = studio.history.get("ann", job.take_id)
    assert take.state is TakeState.DONE and take.seed == job.plan.seed
    assert take.controls == {"frequency": 300.0, "speed": 1.0}
    assert studio.history.pcm(take, 0, take.frames) == pcm
    told = [event.timing for event in events if isinstance(event, SentenceDone)]
    assert studio.history.timings(take) == told
    assert 0 <= take.queued <= take.first_sound <= take.whole


def test_it_is_made_again_the_same(studio) -> None:
    job = studio.submit(request(owner="ann"))
    heard(job)
    take = studio.history.get("ann", job.take_id)
    again = studio.submit(request_of(take, studio.history.text(take), door="page"))
    heard(again)
    other = studio.submit(request(owner="ann", controls={"frequency": 441}))
    heard(other)
    history = studio.history
    assert history.compare(take, history.get("ann", again.take_id)).same
    assert not history.compare(take, history.get("ann", other.take_id)).same


def test_how_it_went_wrong_is_kept(studio, tone) -> None:
    tone.failure = EngineFailure("The engine broke.", "", "Try again.")
    job = studio.submit(request())
    with pytest.raises(EngineFailure):
        list(job.events())
    take = studio.history.find(job.take_id)
    assert (take.state, take.error) == (TakeState.FAILED, "The engine broke. Try again.")


def test_what_was_heard_of_a_cancelled_one_is_kept(studio) -> None:
    job = studio.submit(request("One two three. " * 200))
    for event in job.events():
        if isinstance(event, Sound):
            job.cancel()
            break
    take_id = job.take_id
    while not job.state.ended:
        pass
    take = studio.history.find(take_id)
    assert take.state is TakeState.CANCELLED and take.frames


@pytest.mark.parametrize(
    ("which", "doors"), [("all", ["http", "page"]), ("page", ["page"]), ("off", [])]
)
def test_the_setting_says_what_is_kept(tone, tmp_path, which, doors) -> None:
    studio = new_studio(tmp_path, history=which)
    for door in ("page", "http", ""):
        job = studio.submit(request(door=door))
        heard(job)
        assert bool(job.take_id) is (door in doors)
    assert [take.door for take in studio.history.page("").takes] == doors
    studio.close()


def test_a_full_disk_stops_no_speech_and_is_told(studio, monkeypatch) -> None:
    _, whole = heard(studio.submit(request(seed=1)))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("studio.history.sound._write", full)
    job = studio.submit(request(seed=1))
    events, pcm = heard(job)
    assert pcm == whole
    notes = [event.message for event in events if isinstance(event, Note)]
    assert len(notes) == 1 and "not kept in the history (No space left" in notes[0]
    take = studio.history.find(job.take_id)
    assert take.state is TakeState.DONE and take.lost == notes[0]


def test_a_damaged_history_stops_no_speech_and_is_told(tone, tmp_path) -> None:
    path = tmp_path / "history" / "history.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"no database " * 1000)
    studio = new_studio(tmp_path)
    job = studio.submit(request())
    events, pcm = heard(job)
    assert pcm and job.take_id == ""
    assert any("history.sqlite" in event.message for event in events if isinstance(event, Note))
    assert path.read_bytes() == b"no database " * 1000
    studio.close()


def test_limits_come_from_the_settings(tone, tmp_path) -> None:
    studio = new_studio(tmp_path, history_takes=7, history_bytes=12_345)
    totals = studio.history.totals()
    assert (totals.max_takes, totals.max_bytes) == (7, 12_345)
    studio.close()


def test_a_cloned_voice_is_compared_with_its_clips(studio, monkeypatch) -> None:
    """The library's embedding of the voice beside that of the take; both are stand-ins here."""
    asked = []

    def embed(samples: np.ndarray, sample_rate: int, **_) -> np.ndarray:
        asked.append((samples.size, sample_rate))
        return np.array([3.0, 4.0], np.float32)

    def embedding(owner: str, voice: str) -> np.ndarray:
        asked.append((owner, voice))
        return np.array([1.0, 0.0], np.float32)

    monkeypatch.setattr("studio.speaker.embed", embed)
    monkeypatch.setattr(
        studio, "_library", SimpleNamespace(embedding=embedding, close=lambda: None)
    )
    plan = studio.plan(request(owner="ann"))
    job = Job(replace(plan, voice=replace(plan.voice, reference="ann-1")), CancelToken())
    recorder = studio.history.begin(job)
    recorder.append(np.full(8000, 0.1, np.float32))
    recorder.end("done")
    wait_until(lambda: studio.history.find(recorder.id).similarity is not None, "it was compared")
    assert studio.history.find(recorder.id).similarity == pytest.approx(0.6)
    assert asked == [("ann", "ann-1"), (8000, fakes.RATE)]
