"""Speech-like signals and a driver of Master for the tests of delivery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from engines.api import AudioChunk, Span, Utterance, WordTime
from studio.delivery import DeliverySettings, Master
from studio.jobs import SentenceTiming

RATE = 22050


def voice(seconds: float, seed: int = 0, level: float = 0.3, rate: int = RATE) -> np.ndarray:
    """Syllables of a gliding pitch with overtones, and hiss between them: float32 [T]."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(110 + 20 * np.sin(2 * np.pi * 0.7 * t + seed)) / rate
    tones = sum(np.sin(k * pitch + rng.uniform(0, 6)) / k for k in range(1, 25))
    syllables = 0.05 + np.sin(np.pi * 4 * t + rng.uniform(0, 6)) ** 2
    hiss = rng.standard_normal(t.size) * 0.1
    signal = (tones * syllables + hiss) * rng.uniform(0.8, 1.2)
    return (level * signal / np.abs(signal).max()).astype(np.float32)


def silence(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.zeros(round(seconds * rate), np.float32)


def sentence(
    text: str = "Words.", pause: float = 0.3, *, index: int = 0, joined: bool = False
) -> Utterance:
    return Utterance((Span(text, text),), "en", pause, index, joined=joined)


def pause(seconds: float) -> Utterance:
    return Utterance((), "en", seconds)


def deliver(
    pieces: Sequence[tuple[Utterance, np.ndarray]],
    settings: DeliverySettings | None = None,
    *,
    rate: int = RATE,
    engine_rate: int | None = None,
    cuts: Iterable[int] = (),
    words: tuple[WordTime, ...] = (),
) -> tuple[np.ndarray, list[SentenceTiming]]:
    """Send utterances through a Master, their audio cut at the given samples."""
    master = Master(rate, settings or DeliverySettings())
    out: list[np.ndarray] = []
    timings = []
    for utterance, samples in pieces:
        out.append(master.begin(utterance))
        if utterance.spans:
            edges = sorted({cut % (samples.size + 1) for cut in cuts})
            for part in np.split(samples, edges):
                out.append(master.push(AudioChunk(part, engine_rate or rate, words)))
                words = ()
        rest, timing = master.end()
        out.append(rest)
        timings.append(timing)
    out.append(master.finish())
    return np.concatenate(out), timings
