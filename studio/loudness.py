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
HOP = 0.1  # seconds, about, from one measured block to the next, as in BS.1770
HOP_STEP = 512  # samples; multiples of it are quickly transformed
HOPS_A_BLOCK = 4
HOPS_A_FRAME = 8  # a frame is levelled at a time; the first gain comes from the first one
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU
BINS_A_LU = 2
BINS = 80 * BINS_A_LU  # from the absolute gate up to +10 LUFS
FAMILIAR = 6.0  # seconds after which a voice is known; measuring is the dearest part, so from
SPARSE = 4  # then on one passage in so many stands for all
MAX_SLEW = 2.0  # dB a second: slow enough not to be heard as a change of the voice
MAX_GAIN = 30.0  # dB; more would only lift noise
RUN = 0.0015  # seconds, about, that the limiter looks at as one
LOOKAHEAD = 8  # runs in which the gain could go down from 1 to 0
RELEASE = 3.0  # of the gain a second: much slower than a pitch period, faster than a word


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


def hop_size(sample_rate: int) -> int:
    """Samples of one measured block."""
    return HOP_STEP * max(1, round(HOP * sample_rate / HOP_STEP))


def lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power) if power > 0 else -math.inf


class LoudnessMeter:
    """Integrated loudness, gated as in BS.1770, of everything so far; memory O(1).

    The loudness of blocks is kept as a histogram, which makes the relative gate exact to 0.5 LU.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._last = [0.0] * (HOPS_A_BLOCK - 1)  # powers that the next blocks still need
        self._count = [0] * BINS  # lists: NumPy takes longer over a few single numbers
        self._power = [0.0] * BINS

    def integrated(self) -> float:
        """LUFS; -inf while no block was louder than the absolute gate."""
        count = sum(self._count)
        if not count:
            return -math.inf
        gate = lufs(sum(self._power) / count) + RELATIVE_GATE
        first = max(0, int((gate - ABSOLUTE_GATE) * BINS_A_LU))
        return lufs(sum(self._power[first:]) / sum(self._count[first:]))

    def feed(self, hops: np.ndarray, weight: int) -> None:
        """Measure float32 [H, N], which counts `weight` times."""
        self._enter(weighted_power(hops, self._sample_rate).tolist(), weight)

    def pause(self, weight: int) -> None:
        """Count the blocks that reach from the end of the sound into the silence after it."""
        self._enter([0.0] * (HOPS_A_BLOCK - 1), weight)

    def _enter(self, hops: list[float], weight: int) -> None:
        powers = self._last + hops
        self._last = powers[len(hops) :]
        for first in range(len(hops)):
            power = sum(powers[first : first + HOPS_A_BLOCK]) / HOPS_A_BLOCK
            loudness = lufs(power)
            if loudness >= ABSOLUTE_GATE:
                index = min(int((loudness - ABSOLUTE_GATE) * BINS_A_LU), BINS - 1)
                self._count[index] += weight
                self._power[index] += weight * power


class Limiter:
    """Keeps samples at or below a ceiling by turning the gain down smoothly just before a peak.

    The reduction, 1 - gain, is worked out at the edges of short runs of samples and drawn as
    straight lines in between. An edge takes the greater need of its two runs, so no sample exceeds
    the ceiling; on both sides of a need the reduction comes and goes at an even pace.

    Args:
        run: samples a run, a power of two; every `feed` takes whole runs.
        longest: runs in the longest `feed`.
        release: how much the reduction falls a run after a peak.
        ceiling: greatest magnitude that may leave, linear.
    """

    def __init__(self, run: int, longest: int, release: float, ceiling: float) -> None:
        self._run = run
        self._ceiling = ceiling
        self._releases = release * np.arange(longest)
        self._attacks = np.arange(longest + LOOKAHEAD) / LOOKAHEAD
        up = np.arange(run, dtype=np.float32) / run
        self._slopes = np.stack((1 - up, up))
        self._reset()

    def _reset(self) -> None:
        self._pending = NOTHING  # samples whose gain is not known yet
        self._need = 0.0  # reduction that the last run seen needs
        self._levels = NOTHING  # reductions at the edges that a coming peak may still raise
        self._gains = NOTHING  # at the first edge of `_pending`
        self._idle = False  # nothing is being turned down

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """float32 [T] → float32 [T'], delayed by the look-ahead."""
        size = samples.size
        delayed = np.concatenate((self._pending, samples))
        if self._idle and max(samples.max(), -samples.min()) <= self._ceiling:
            self._pending = delayed[size:]
            return delayed[:size]
        peaks = np.abs(samples)
        while peaks.size > size // self._run:  # in halves: twice as fast as by rows
            peaks = np.maximum(peaks[::2], peaks[1::2])
        gains = np.concatenate((self._gains, self._edge_gains(peaks)))
        count = max(0, gains.size - 1)
        self._gains = gains[count:]
        self._pending = delayed[count * self._run :]
        curve = np.array((gains[:count], gains[1:])).T @ self._slopes
        return delayed[: count * self._run] * curve.ravel()

    def flush(self) -> np.ndarray:
        """What is held back, given that silence follows; the limiter then starts afresh."""
        size = self._pending.size
        out = self.feed(np.zeros(LOOKAHEAD * self._run, np.float32))[:size]
        self._reset()
        return out

    def _edge_gains(self, peaks: np.ndarray) -> np.ndarray:
        """Gains of the edges that became known; peaks are those of runs, float32 [K]."""
        needs = 1 - self._ceiling / np.maximum(peaks, self._ceiling)
        releases = self._releases[: needs.size]
        levels = needs + releases
        np.maximum(levels[1:], needs[:-1] + releases[1:], out=levels[1:])
        last = self._levels[-1] - self._releases[1] if self._levels.size else 0.0
        levels[0] = max(needs[0], self._need, last)
        levels = np.maximum(np.maximum.accumulate(levels) - releases, 0)
        self._need = needs[-1]
        levels = np.concatenate((self._levels, levels))
        attacks = self._attacks[: levels.size]
        reduction = (np.maximum.accumulate(levels[::-1] + attacks) - attacks)[::-1]
        count = max(0, levels.size - LOOKAHEAD + 1)
        self._levels = levels[count:]
        self._idle = not self._levels.any()
        return (1 - reduction[:count]).astype(np.float32)


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
        self._hop = hop_size(sample_rate)
        self._frame = self._hop * HOPS_A_FRAME
        self._steps = np.arange(self._frame, dtype=np.float32)
        self._meter = LoudnessMeter(sample_rate)
        run = min(HOP_STEP, 2 ** round(math.log2(RUN * sample_rate)))
        release = RELEASE * run / sample_rate
        self._limiter = Limiter(run, self._frame // run, release, 10 ** (peak / 20))
        self._waiting: list[np.ndarray] = []
        self._waiting_size = 0
        self._flushed = True  # nothing is held back
        self._gain: float | None = None  # dB, once there was sound
        self._measured = 0.0  # seconds
        self._passages = 0
        self._weight = 1  # of the passage in work; 0 where it isn't measured

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """float32 [T] → float32 [T'], in whole frames."""
        self._flushed = self._flushed and not samples.size
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
        if self._flushed:
            return NOTHING
        self._flushed = True
        rest = np.concatenate([NOTHING, *self._waiting])
        self._waiting, self._waiting_size = [], 0
        padding = -rest.size % self._hop
        out = []
        if rest.size:
            padded = np.concatenate((rest, np.zeros(padding, np.float32)))
            out.append(self._level(padded, last=True))
        samples = np.concatenate([*out, self._limiter.flush()])
        self._passages += 1
        familiar = self._measured > FAMILIAR
        self._weight = (SPARSE if self._passages % SPARSE == 0 else 0) if familiar else 1
        return samples[: samples.size - padding]

    def _level(self, frame: np.ndarray, last: bool = False) -> np.ndarray:
        if self._target is None:
            return self._limiter.feed(frame)
        if self._weight:
            self._meter.feed(frame.reshape(-1, self._hop), self._weight)
            self._measured += frame.size / self._sample_rate
            if last:
                self._meter.pause(self._weight)
        loudness = self._meter.integrated()
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
