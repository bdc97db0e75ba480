"""Speaker embeddings, on recordings of real people."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from engines.api import CancelToken
from engines.errors import BadReference, Cancelled
from engines.memory import MemoryManager
from studio import speaker

SPEECH = Path(__file__).resolve().parents[3] / "shared" / "speech"
pytestmark = pytest.mark.skipif(not SPEECH.is_dir(), reason="the recordings are not here")


def recording(name: str) -> tuple[np.ndarray, int]:
    return soundfile.read(SPEECH / f"{name}.wav", dtype="float32")


@pytest.fixture(scope="module")
def embedded() -> dict[str, np.ndarray]:
    names = ("lj_1", "lj_2", "spark_prompt_zh")
    return {name: speaker.embed(*recording(name)) for name in names}


def test_one_speaker_is_nearer_than_two(embedded) -> None:
    same = speaker.similarity(embedded["lj_1"], embedded["lj_2"])
    other = speaker.similarity(embedded["lj_1"], embedded["spark_prompt_zh"])
    assert same > 0.85
    assert other < 0.65


@pytest.mark.parametrize("name", ["lj_1", "spark_prompt_zh"])
def test_it_agrees_with_resemblyzers_own_pipeline(embedded, name) -> None:
    import resemblyzer

    samples, rate = recording(name)
    encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
    theirs = encoder.embed_utterance(resemblyzer.preprocess_wav(samples, rate))
    assert speaker.similarity(embedded[name], theirs) > 0.999


def test_embeddings_have_length_one(embedded) -> None:
    for vector in embedded.values():
        assert (vector.shape, vector.dtype) == ((speaker.DIMENSIONS,), np.float32)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_the_rate_changes_little(embedded, rate) -> None:
    samples, given = recording("lj_1")
    again = speaker.embed(soxr.resample(samples, given, rate), rate)
    assert speaker.similarity(embedded["lj_1"], again) > (0.85 if rate < speaker.RATE else 0.99)


def test_loudness_and_silence_around_change_little(embedded) -> None:
    samples, rate = recording("lj_1")
    pause = np.zeros(2 * rate, np.float32)
    quiet = np.concatenate([pause, samples * 0.02, pause])
    assert speaker.similarity(embedded["lj_1"], speaker.embed(quiet, rate)) > 0.9


def test_only_the_beginning_of_a_long_clip_counts(monkeypatch) -> None:
    assert speaker.MAX_SECONDS == 60
    monkeypatch.setattr(speaker, "MAX_SECONDS", 4.0)
    samples, rate = recording("lj_2")
    start = samples[: 4 * rate]
    assert np.allclose(speaker.embed(start, rate), speaker.embed(samples, rate), atol=1e-6)


def test_a_clip_without_a_voice_still_has_an_embedding() -> None:
    hum = 0.1 * np.sin(np.arange(16_000) * 0.02).astype(np.float32)
    assert np.isfinite(speaker.embed(hum, 16_000)).all()


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros(16_000, np.float32), "silent"),
        (np.zeros(0, np.float32), "shape"),
        (np.ones(100, np.float32), "shape"),
        (np.ones((2, 16_000), np.float32), "shape"),
        (np.full(16_000, np.nan, np.float32), "no numbers"),
        (np.full(16_000, np.inf, np.float32), "no numbers"),
    ],
)
def test_what_nobody_can_be_told_from(samples, said) -> None:
    with pytest.raises(BadReference, match=said):
        speaker.embed(samples, 16_000)


def test_the_encoder_is_accounted_for(embedded) -> None:
    memory = MemoryManager()
    try:
        samples, rate = recording("lj_1")
        again = speaker.embed(samples, rate, memory=memory)
        assert np.allclose(again, embedded["lj_1"], atol=1e-5)
        (held,) = memory.residents()
        assert held.name == speaker.KEY
        assert 5_000_000 < held.bytes <= speaker.NBYTES
        assert held.leases == 0
        assert memory.unload(speaker.KEY)
    finally:
        memory.close()


def test_it_stops_between_windows(monkeypatch) -> None:
    """The token is set while the first windows are in work; the rest is not done."""
    samples, rate = recording("lj_1")
    cancel = CancelToken()
    done = []
    build = speaker._build

    def counting():
        encoder = build()
        forward = encoder.forward

        def forwarded(mels):
            done.append(len(mels))
            cancel.cancel()
            return forward(mels)

        encoder.forward = forwarded
        return encoder

    monkeypatch.setattr(speaker, "_own", [counting()])
    with pytest.raises(Cancelled):
        speaker.embed(np.resize(samples, 30 * rate), rate, cancel=cancel)
    assert done == [speaker.WINDOWS]


def test_threads_get_the_same_as_one(embedded) -> None:
    samples, rate = recording("lj_1")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(speaker.embed(samples, rate)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for vector in found:
        assert np.allclose(vector, embedded["lj_1"], atol=1e-5)
