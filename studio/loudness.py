"""Loudness while the audio is being made: measure, bring to a target, keep peaks below a limit.

Works on frames of a fixed length, so that the result never depends on how the audio was cut into
chunks. The weighting is that of ITU-R BS.1770, taken in the frequency domain with NumPy alone: its
usual implementation needs scipy.signal, whose import takes longer than speaking a page does. The
tests hold both to the same figures.

Shapes: T samples of one call, H measured hops of N samples, K runs of a millisecond or two.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

NOTHING = np.zeros(0, np.float32)
FRAME = 0.8  # seconds, about, that are levelled at a time; the first gain comes from the first
HOPS_A_FRAME = 8
HOPS_A_BLOCK = 4  # BS.1770 measures blocks of 0.4 s that start every 0.1 s
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU
BINS_A_LU = 10
BINS = 80 * BINS_A_LU  # from the absolute gate up to +10 LUFS
FAMILIAR = 10.0  # seconds after which a voice is known; measuring is the dearest part, so from
SPARSE = 4  # then on one passage in so many stands for all
MAX_SLEW = 2.0  # dB a second: slow enough not to be heard as a change of the voice
MAX_GAIN = 24.0  # dB; more would only lift noise
RUNS_A_FRAME = 512  # of samples that the limiter looks at as one: 1.3 to 2 ms
LOOKAHEAD = 4  # runs
RELEASE = 30.0  # dB a second: much slower than a pitch period, much faster than a word


def k_weighting(sample_rate: int, frequencies: np.ndarray) -> np.ndarray:
    """Power response |H(f)|² of the K-weighting: a high shelf of 4 dB and a high-pass at 38 Hz."""
    z = np.exp(-2j * np.pi * frequencies / sample_rate)
    response = np.ones_like(z)
    for b, a in (_high_shelf(sample_rate), _high_pass(sample_rate)):
        response *= np.polyval(b[::-1], z) / np.polyval(a[::-1], z)
    return np.abs(response) ** 2


def _high_shelf(sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    amplitude = 10 ** (4.0 / 40)
    w = 2 * math.pi * 1500 / sample_rate
    slope = math.sqrt(2 * amplitude) * math.sin(w)  # 2·√A·α with Q = 1/√2
    plus, minus, cos = amplitude + 1, amplitude - 1, math.cos(w)
    b = (plus + minus * cos + slope, -2 * (minus + plus * cos), plus + minus * cos - slope)
    a = (plus - minus * cos + slope, 2 * (minus - plus * cos), plus - minus * cos - slope)
    return amplitude * np.array(b), np.array(a)


def _high_pass(sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    w = 2 * math.pi * 38 / sample_rate
    alpha, cos = math.sin(w), math.cos(w)  # Q = 1/2
    return (
        (1 + cos) / 2 * np.array([1.0, -2.0, 1.0]),
        np.array([1 + alpha, -2 * cos, 1 - alpha]),
    )


@lru_cache(maxsize=16)
def _bin_weights(sample_rate: int, size: int) -> np.ndarray:
    """Weights that turn the squared real and imaginary parts of an rfft into a mean square."""
    weights = k_weighting(sample_rate, np.fft.rfftfreq(size, 1 / sample_rate)) * (2 / size**2)
    weights[0] /= 2
    if size % 2 == 0:
        weights[-1] /= 2
    return np.repeat(weights, 2).astype(np.float32)


def weighted_power(hops: np.ndarray, sample_rate: int) -> np.ndarray:
    """K-weighted mean square of each row; float32 [H, N] → float32 [H]."""
    spectrum = np.fft.rfft(hops).astype(np.complex64, copy=False).view(np.float32)
    return np.square(spectrum) @ _bin_weights(sample_rate, hops.shape[1])


def lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power) if power > 0 else -math.inf


class LoudnessMeter:
    """Integrated loudness, gated as in BS.1770, of everything so far; memory O(1).

    The loudness of blocks is kept as a histogram, which makes the relative gate exact to 0.1 LU.

    Attributes:
        integrated: LUFS; -inf while no block was louder than the absolute gate.
    """

    def __init__(self, sample_rate: int) -> None:
        self.integrated = -math.inf
        self._sample_rate = sample_rate
        self._last = np.zeros(HOPS_A_BLOCK - 1)  # powers that the next blocks still need
        self._count = np.zeros(BINS)
        self._power = np.zeros(BINS)

    def feed(self, hops: np.ndarray, weight: int) -> None:
        """Measure float32 [H, N], which counts `weight` times."""
        self._enter(weighted_power(hops, self._sample_rate), weight)
        count = self._count.sum()
        if count:
            gate = lufs(float(self._power.sum() / count)) + RELATIVE_GATE
            first = max(0, int((gate - ABSOLUTE_GATE) * BINS_A_LU))
            self.integrated = lufs(float(self._power[first:].sum() / self._count[first:].sum()))

    def pause(self, weight: int) -> None:
        """Count the blocks that reach from the end of the sound into the silence after it."""
        self._enter(np.zeros(HOPS_A_BLOCK - 1), weight)

    def _enter(self, hops: np.ndarray, weight: int) -> None:
        powers = np.concatenate((self._last, hops))
        self._last = powers[hops.size :]
        for power in np.convolve(powers, np.full(HOPS_A_BLOCK, 1 / HOPS_A_BLOCK), "valid").tolist():
            loudness = lufs(power)
            if loudness >= ABSOLUTE_GATE:
                index = min(int((loudness - ABSOLUTE_GATE) * BINS_A_LU), BINS - 1)
                self._count[index] += weight
                self._power[index] += weight * power


class Limiter:
    """Keeps samples at or below a ceiling by turning the gain down smoothly just before a peak.

    Gains are worked out at the edges of short runs of samples, in dB, and drawn as straight lines
    in between. An edge takes the lower need of its two runs, so no sample exceeds the ceiling; a
    mean over the look-ahead makes the way down a slope; it rises again at RELEASE.

    Args:
        run: samples a run, a power of two; every `feed` takes a multiple of it.
        rise: dB that the gain may rise a run.
        ceiling: greatest magnitude that may leave, linear.
    """

    def __init__(self, run: int, rise: float, ceiling: float) -> None:
        self._run = run
        self._rise = rise
        self._ceiling = ceiling
        rising = np.arange(run, dtype=np.float32) / run
        self._slopes = np.stack((1 - rising, rising))
        self._reset()

    def _reset(self) -> None:
        self._pending = np.zeros(0, np.float32)  # samples whose gain is not known yet
        self._need = 0.0  # dB, of the last run seen
        self._level = 0.0  # dB, of the last edge: falls at once, rises slowly
        self._levels = np.zeros(0)  # dB, edges whose look-ahead is not complete
        self._lows = np.zeros(LOOKAHEAD - 1)  # dB, minima over the look-ahead, for the mean
        self._gains = NOTHING  # linear, at the first edge of `_pending`
        self._idle = False  # nothing is being turned down

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """float32 [T] → float32 [T'], delayed by the look-ahead."""
        size = samples.size
        within = max(float(samples.max()), -float(samples.min())) <= self._ceiling
        delayed = np.concatenate((self._pending, samples))
        if within and self._idle:
            self._pending = delayed[size:]
            return delayed[:size]
        peaks = np.abs(samples)
        while peaks.size > size // self._run:  # in halves: several times faster than by rows
            peaks = np.maximum(peaks[::2], peaks[1::2])
        needs = 20 * np.log10(self._ceiling / np.maximum(peaks, self._ceiling))
        gains = np.concatenate((self._gains, self._edge_gains(needs)))
        count = max(0, gains.size - 1)
        self._gains = gains[count:]
        self._pending = delayed[count * self._run :]
        curve = np.stack((gains[:count], gains[1:]), axis=1) @ self._slopes
        return delayed[: count * self._run] * curve.ravel()

    def flush(self) -> np.ndarray:
        """What is held back, given that silence follows; the limiter then starts afresh."""
        size = self._pending.size
        out = self.feed(np.zeros(LOOKAHEAD * self._run, np.float32))[:size]
        self._reset()
        return out

    def _edge_gains(self, needs: np.ndarray) -> np.ndarray:
        """Gains of the edges that became known; needs are dB [K], at most 0."""
        previous = np.concatenate(([self._need], needs[:-1]))
        rise = self._rise * np.arange(needs.size)
        lowest = np.minimum(previous, needs) - rise
        lowest[0] = min(lowest[0], self._level + self._rise)
        levels = np.minimum(np.minimum.accumulate(lowest) + rise, 0.0)
        self._need, self._level = needs[-1], levels[-1]
        levels = np.concatenate((self._levels, levels))
        count = max(0, levels.size - LOOKAHEAD + 1)
        lows = levels[:count]
        for ahead in range(1, LOOKAHEAD):
            lows = np.minimum(lows, levels[ahead : ahead + count])
        self._levels = levels[count:]
        lows = np.concatenate((self._lows, lows))
        self._lows = lows[count:]
        self._idle = count > 0 and not (self._lows.any() or self._levels.any())
        means = np.convolve(lows, np.full(LOOKAHEAD, 1 / LOOKAHEAD), "valid")[:count]
        return (10 ** (means / 20)).astype(np.float32)


class Leveller:
    """Brings a signal to a loudness and keeps its peaks down; delays it, never changes its length.

    The first gain comes from the first frame that sounds (or from what there is of it before a
    pause); then the gain follows the loudness of all audio so far, by at most MAX_SLEW.

    Args:
        target: LUFS, or None to leave the loudness alone.
        peak: dBFS.
    """

    def __init__(self, sample_rate: int, target: float | None, peak: float) -> None:
        self._sample_rate = sample_rate
        self._target = target
        self._frame = 2 ** round(math.log2(FRAME * sample_rate))  # a power of two: the fastest FFT
        self._hop = self._frame // HOPS_A_FRAME
        self._steps = np.arange(self._frame, dtype=np.float32)
        self._meter = LoudnessMeter(sample_rate)
        run = self._frame // RUNS_A_FRAME
        self._limiter = Limiter(run, RELEASE * run / sample_rate, 10 ** (peak / 20))
        self._waiting: list[np.ndarray] = []
        self._waiting_size = 0
        self._gain: float | None = None  # dB, once there was sound
        self._measured = 0.0  # seconds
        self._passages = 0
        self._weight = 1  # of the passage in work; 0 where it isn't measured

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """float32 [T] → float32 [T'], in whole frames."""
        self._waiting.append(samples)
        self._waiting_size += samples.size
        if self._waiting_size < self._frame:
            return NOTHING
        waiting = np.concatenate(self._waiting)
        whole = waiting.size - waiting.size % self._frame
        self._waiting = [waiting[whole:]]
        self._waiting_size = waiting.size - whole
        frames = waiting[:whole].reshape(-1, self._frame)
        return np.concatenate([self._level(frame) for frame in frames])

    def flush(self) -> np.ndarray:
        """All that is held back, given that silence follows or nothing more: a passage ends."""
        rest = np.concatenate([NOTHING, *self._waiting])
        self._waiting, self._waiting_size = [], 0
        padding = -rest.size % self._hop
        out = [self._level(np.pad(rest, (0, padding)))] if rest.size else []
        samples = np.concatenate([*out, self._limiter.flush()])
        if self._weight:
            self._meter.pause(self._weight)
        self._passages += 1
        familiar = self._measured > FAMILIAR
        self._weight = (SPARSE if self._passages % SPARSE == 0 else 0) if familiar else 1
        return samples[: samples.size - padding]

    def _level(self, frame: np.ndarray) -> np.ndarray:
        if self._target is None:
            return self._limiter.feed(frame)
        if self._weight:
            self._meter.feed(frame.reshape(-1, self._hop), self._weight)
            self._measured += frame.size / self._sample_rate
        loudness = self._meter.integrated
        if not math.isfinite(loudness):  # nothing but silence so far
            return self._limiter.feed(frame)
        wanted = min(max(self._target - loudness, -MAX_GAIN), MAX_GAIN)
        gain = wanted if self._gain is None else self._gain
        reach = MAX_SLEW * frame.size / self._sample_rate
        self._gain = min(max(wanted, gain - reach), gain + reach)
        start, end = 10 ** (gain / 20), 10 ** (self._gain / 20)
        ramp = self._steps[: frame.size] * np.float32((end - start) / frame.size)
        ramp += np.float32(start)
        return self._limiter.feed(frame * ramp)
