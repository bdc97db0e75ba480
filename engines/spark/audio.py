"""Sound before it becomes tokens: rate, loudness, the speaker's clip, its mel spectrogram.

No torch here.

T samples, T_mel frames, F mel bands, A bins (n_fft / 2 + 1).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from engines.spark.config import MelConfig

# The original's loudness: where even the peak is quiet it is raised first, then what is loud for
# most of the time is brought to one level.
QUIET_PEAK, LEAST_PEAK = 0.1, 1e-3
AUDIBLE, FEWEST_AUDIBLE = 0.01, 10
LOUD_FROM, LOUD_TO = 0.9, 0.99
LEVEL, LEAST_GAIN, LARGEST_GAIN = 0.2, 0.1, 10.0

VARIANCE = 1e-7


def prepared(samples: np.ndarray, sample_rate: int, to: int, *, normalise: bool) -> np.ndarray:
    """Sound as BiCodec was trained on.

    Args:
        samples: [T], or [T, channels] of which the first is taken.
        sample_rate: Hz.
        to: the release's, Hz.

    Returns:
        float64 [T'].
    """
    mono = np.asarray(samples if samples.ndim == 1 else samples[:, 0], np.float64)
    resampled = resample(mono, sample_rate, to)
    return volume_normalised(resampled) if normalise else resampled


def resample(samples: np.ndarray, sample_rate: int, to: int) -> np.ndarray:
    """float64 [T] → [T']."""
    if sample_rate == to:
        return samples
    import soxr

    return soxr.resample(samples, sample_rate, to, quality="VHQ")


def volume_normalised(samples: np.ndarray) -> np.ndarray:
    """[T] → float64 [T], within [-1, 1]."""
    samples = np.asarray(samples, np.float64)
    if not samples.size:
        return samples
    sizes = np.sort(np.abs(samples))
    if sizes[-1] < QUIET_PEAK:
        samples = samples / max(sizes[-1], LEAST_PEAK) * QUIET_PEAK
    audible = sizes[sizes > AUDIBLE]
    if len(audible) <= FEWEST_AUDIBLE:
        return samples
    loud = audible[int(LOUD_FROM * len(audible)) : int(LOUD_TO * len(audible))]
    samples = samples * np.clip(LEVEL / loud.mean(), LEAST_GAIN, LARGEST_GAIN)
    peak = np.abs(samples).max()
    return samples / peak if peak > 1 else samples


def ref_clip(samples: np.ndarray, size: int) -> np.ndarray:
    """The first samples; a shorter clip is repeated. [T] → [size]."""
    return np.resize(samples, size)


def standardised(samples: np.ndarray) -> np.ndarray:
    """Of mean 0 and variance 1, as wav2vec2 takes it: [T] → float32 [T]."""
    samples = np.asarray(samples, np.float32)
    return ((samples - samples.mean()) / np.sqrt(samples.var() + VARIANCE)).astype(np.float32)


def mel(wav: np.ndarray, config: MelConfig) -> np.ndarray:
    """Amplitudes in mel bands, not their logarithms.

    Args:
        wav: [T], T more than n_fft / 2.

    Returns:
        float32 [T_mel, F], T_mel = 1 + T // hop_length.
    """
    half = config.n_fft // 2
    padded = np.pad(np.asarray(wav, np.float32), half, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.n_fft)[:: config.hop_length]
    spectrum = np.abs(np.fft.rfft(frames * _window(config), axis=1))
    return (spectrum @ _filters(config).T).astype(np.float32)


@cache
def _window(config: MelConfig) -> np.ndarray:
    """Periodic Hann in the middle of a frame, float64 [n_fft]."""
    size, outside = config.win_length, config.n_fft - config.win_length
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return np.pad(hann, (outside // 2, outside - outside // 2))


@cache
def _filters(config: MelConfig) -> np.ndarray:
    """float32 [F, A]."""
    from engines.nn.mel import slaney_filters

    low, high = config.mel_fmin, config.mel_fmax
    return slaney_filters(config.sample_rate, config.n_fft, config.num_mels, low, high)
