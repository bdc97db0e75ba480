"""Reference clips to what the two encoders take: resampled, cut, as spectrograms. No torch.

T samples, F frames. The library computes the same with torchaudio.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

import numpy as np

from engines.coqui.xtts.config import CLIP_RATE, MEL_BANDS, SPEAKER_BANDS, SPEAKER_RATE

LOUDEST_HEARD = 0.75  # to which `sound_norm_refs` brings a clip
SHORTEST = 0.33  # seconds: shorter pieces of a clip are passed over
PRE_EMPHASIS = 0.97
LOBES, ROLLOFF = 6, 0.99  # of torchaudio's resampling
_LOG_FLOOR, _SPEAKER_FLOOR, _NORM_FLOOR = 1e-5, 1e-6, 1e-5


def clip(samples: np.ndarray, rate: int, seconds: float, *, level: bool = False) -> np.ndarray:
    """A reference clip at the rate of the GPT's encoder, no longer than that.

    Args:
        level: bring its largest sample to 0.75.

    Returns:
        float32 [T] in [-1, 1].
    """
    heard = np.clip(resample(samples, rate, CLIP_RATE), -1, 1)[: int(seconds * CLIP_RATE)]
    if level and np.abs(heard).max(initial=0) > 0:
        heard = heard / np.abs(heard).max() * np.float32(LOUDEST_HEARD)
    return np.asarray(heard, np.float32)


def pieces(heard: np.ndarray, seconds: float) -> list[np.ndarray]:
    """Pieces of that length; a last one that is too short to tell anything is left out."""
    size = int(seconds * CLIP_RATE)
    cut = (heard[start : start + size] for start in range(0, len(heard), size))
    return [piece for piece in cut if len(piece) >= SHORTEST * CLIP_RATE]


def mel(heard: np.ndarray) -> np.ndarray:
    """The logarithm of 80 mel bands up to 8 kHz of a piece at 22,050 Hz, float32 [80, F]."""
    window = np.hanning(1024 + 1)[:-1]
    power = _power(heard, 2048, 256, window)
    bands = _filters(CLIP_RATE, 2048, MEL_BANDS, 8000.0, equal_area=True) @ power
    return np.log(np.maximum(bands, _LOG_FLOOR)).astype(np.float32)


def speaker_mel(heard: np.ndarray) -> np.ndarray:
    """What the speaker encoder hears of a clip at 22,050 Hz: the logarithm of 64 mel bands at
    16 kHz, each of mean 0 and variance 1 over the clip, float32 [64, F]."""
    low = resample(heard, CLIP_RATE, SPEAKER_RATE).astype(np.float64)
    before = np.concatenate([low[1:2], low[:-1]])
    window = np.hamming(400 + 1)[:-1]
    power = _power(low - PRE_EMPHASIS * before, 512, 160, window)
    filters = _filters(SPEAKER_RATE, 512, SPEAKER_BANDS, SPEAKER_RATE / 2, equal_area=False)
    bands = np.log(filters @ power + _SPEAKER_FLOOR)
    centred = bands - bands.mean(axis=1, keepdims=True)
    variance = centred.var(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + _NORM_FLOOR), np.float32)


def resample(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """A windowed sinc, float32 [T] → [ceil(T * target / rate)]."""
    if rate == target:
        return np.asarray(samples, np.float32)
    step = gcd(rate, target)
    old, new = rate // step, target // step
    kernel, width = _sinc(old, new)
    padded = np.pad(np.asarray(samples, np.float32), (width, width + old))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[0])[::old]
    return (windows @ kernel).reshape(-1)[: ceil(new * len(samples) / old)]


@lru_cache(maxsize=8)
def _sinc(old: int, new: int) -> tuple[np.ndarray, int]:
    """A filter for each of the `new` places between `old` samples, float32 [taps, new]; how far it
    reaches to the left."""
    cutoff = min(old, new) * ROLLOFF
    width = ceil(LOBES * old / cutoff)
    taps = np.arange(-width, width + old) / old
    times = (taps[:, None] - np.arange(new) / new) * cutoff
    times = np.clip(times, -LOBES, LOBES)
    window = np.cos(times * np.pi / LOBES / 2) ** 2
    return (np.sinc(times) * window * (cutoff / old)).astype(np.float32), width


def _power(samples: np.ndarray, n_fft: int, hop: int, window: np.ndarray) -> np.ndarray:
    """Power of each bin and frame, [n_fft / 2 + 1, F]; both ends are mirrored."""
    side = (n_fft - len(window)) // 2
    whole = np.pad(window, (side, n_fft - len(window) - side))
    padded = np.pad(samples.astype(np.float64), n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    return np.abs(np.fft.rfft(frames * whole)).T ** 2


@lru_cache(maxsize=4)
def _filters(rate: int, n_fft: int, bands: int, high: float, *, equal_area: bool) -> np.ndarray:
    """Triangles on the HTK mel scale from 0 Hz, [bands, n_fft / 2 + 1]."""
    highest = 2595 * np.log10(1 + high / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)
    bins = np.linspace(0, rate // 2, n_fft // 2 + 1)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rise, fall))
    if equal_area:
        triangles *= (2 / (edges[2:] - edges[:-2]))[:, None]
    return np.asarray(triangles)
