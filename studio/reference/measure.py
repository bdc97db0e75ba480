"""What can be measured in a clip: level, background, music in it, band-width, voices.

Shapes: T samples, F frames of speech.FRAME seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from studio.reference import speech

Embed = Callable[[np.ndarray, int], np.ndarray]  # (float32 [T], Hz) → a unit vector

SILENT = -120.0  # dBFS that stands for less
NO_SPEECH = 0.1  # probability below which a frame is background,
APART = 3  # if it is so many frames away from any speech
LEAST_FRAMES = 8  # of background, for a measure of it
FAINT = 1e-11  # mean square of a frame that was muted, and tells nothing of the room

FINE_FFT = 4096  # fine enough to tell a held note from a voice, whose pitch always moves
FINE_HOP = 1024
NEIGHBOURS = 38  # bins that a partial is held against
PARTIAL = 10.0  # times their median power
HELD = 10  # hops, about 0.4 s, for which it stays where it is
HUM = 0.7  # share of the clip for which a tone that is no music sounds on
NOTES_BAND = (600.0, 5000.0)  # Hz
NOTES = 2  # that sound at once
LONGEST_LOOKED_AT = 60.0  # seconds

FFT = 1024
SPEECH_BAND = (300.0, 3400.0)  # Hz that a telephone carries
UPPER_BAND = (4300.0, 7500.0)  # Hz that it does not

WINDOW = 3.0  # seconds of speech by which voices are compared
MOST_WINDOWS = 10


@dataclass(frozen=True, slots=True)
class Sound:
    """Levels of a clip, in dBFS.

    Attributes:
        level: of the speech. noise: of what is between it.
        background: float32 [T], the sound between speech.
    """

    level: float
    noise: float
    background: np.ndarray

    @property
    def above_noise(self) -> float:
        """dB."""
        return self.level - self.noise


def sound(samples: np.ndarray, sample_rate: int, likely: np.ndarray) -> Sound:
    """
    Args:
        samples: float32 [T].
        likely: float32 [F], of `speech.probabilities`.
    """
    size = round(speech.FRAME * sample_rate)
    count = min(likely.size, samples.size // size)
    frames = samples[: count * size].reshape(count, size)
    power = np.square(frames, dtype=float).mean(axis=1)
    likely = likely[:count]
    speaking = likely >= speech.BEGINS
    quiet = _background(likely)
    heard = power[quiet & (power > FAINT)]
    if heard.size >= LEAST_FRAMES:
        noise = float(np.median(heard))
    elif quiet.sum() >= LEAST_FRAMES:
        noise = 0.0  # muted between words
    else:
        noise = float(np.percentile(power, 5)) if count else 0.0
    level = float(power[speaking].mean()) if speaking.any() else 0.0
    return Sound(_db(level), _db(noise), frames[quiet].reshape(-1))


def music_share(samples: np.ndarray, sample_rate: int) -> float:
    """Share of the time in which several notes are held, 0 to 1; near 0 for speech and noise.

    Args:
        samples: float32 [T]; the first minute is looked at.
    """
    samples = samples[: round(LONGEST_LOOKED_AT * sample_rate)]
    if samples.size < FINE_FFT + HELD * FINE_HOP:
        return 0.0
    windows = np.lib.stride_tricks.sliding_window_view(samples, FINE_FFT)[::FINE_HOP]
    low, high = (round(edge * FINE_FFT / sample_rate) for edge in NOTES_BAND)
    high = low + (high - low) // NEIGHBOURS * NEIGHBOURS
    shape = np.hanning(FINE_FFT).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(windows * shape)[:, low - 1 : high + 1]))
    inner = power[:, 1:-1]
    around = np.median(inner.reshape(len(inner), -1, NEIGHBOURS), axis=2)
    peaks = inner > PARTIAL * np.repeat(around, NEIGHBOURS, axis=1)
    peaks &= (inner > power[:, :-2]) & (inner >= power[:, 2:])
    near = peaks.copy()  # a bin to either side is the same note
    near[:, 1:] |= peaks[:, :-1]
    near[:, :-1] |= peaks[:, 1:]
    held = peaks[: len(peaks) - HELD + 1].copy()
    for later in range(1, HELD):
        held &= near[later : len(near) - HELD + 1 + later]
    held[:, near.mean(axis=0) > HUM] = False
    return float(np.mean(held.sum(axis=1) >= NOTES))


def upper_band(samples: np.ndarray, sample_rate: int) -> float:
    """dB by which what a telephone cuts off is weaker than what it carries; float32 [T]."""
    if samples.size < FFT:
        return 0.0
    spectrum = _spectrum(samples)
    bins = np.fft.rfftfreq(FFT, 1 / sample_rate)

    def density(low: float, high: float) -> float:
        return float(spectrum[(bins >= low) & (bins <= high)].mean())

    return _db(density(*UPPER_BAND)) - _db(density(*SPEECH_BAND))


def least_alike(samples: np.ndarray, sample_rate: int, embed: Embed) -> float:
    """How alike the two most different groups of windows are; 1 where there is but one window.

    Args:
        samples: float32 [T], speech without long pauses.
    """
    size = round(WINDOW * sample_rate)
    count = samples.size // size
    if count < 2:
        return 1.0
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_WINDOWS)).astype(int))
    points = np.stack(
        [embed(samples[at * size : (at + 1) * size], sample_rate) for at in chosen.tolist()]
    )
    likeness = points @ points.T
    one, other = np.unravel_index(likeness.argmin(), likeness.shape)
    nearer = likeness[one] >= likeness[other]
    groups = [points[mask].mean(axis=0) for mask in (nearer, ~nearer) if mask.any()]
    if len(groups) < 2:
        return 1.0
    first, second = (group / np.linalg.norm(group) for group in groups)
    return float(first @ second)


def _background(likely: np.ndarray) -> np.ndarray:
    near = likely >= NO_SPEECH
    reach = np.convolve(near, np.ones(2 * APART + 1), mode="same") > 0
    return ~reach


def _spectrum(samples: np.ndarray) -> np.ndarray:
    """Mean power by bin; float32 [T] → [FFT // 2 + 1]."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, FFT)[:: FFT // 2]
    sums = np.zeros(FFT // 2 + 1)
    shape = np.hanning(FFT).astype(np.float32)
    for first in range(0, len(windows), 512):
        sums += np.square(np.abs(np.fft.rfft(windows[first : first + 512] * shape))).sum(axis=0)
    return sums / max(1, len(windows))


def _db(power: float) -> float:
    return max(SILENT, 10 * math.log10(power)) if power > 0 else SILENT
