"""Speech made longer or shorter without a change of pitch, for paces that the library lacks.

Overlap-add of pieces that are taken from where the waveform fits best to what came before (WSOLA).
Letters: T samples.
"""

from __future__ import annotations

import numpy as np

HOP = 330  # 15 ms at 22050 Hz: a piece holds two to three periods of a low voice
SEARCH = 220  # 10 ms either way: one period of a voice of 100 Hz lies within
_PIECE = 2 * HOP
_WINDOW = np.hanning(_PIECE + 1)[:-1].astype(np.float32)  # adds up to 1 at half a piece


class Stretcher:
    """Stretches one utterance, block by block.

    Args:
        factor: length of the output by that of the input; above 0.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._input = np.zeros(0, np.float32)
        self._dropped = 0  # samples before `_input` that are no longer needed
        self._taken = 0
        self._given = 0
        self._pieces = 0
        self._last = 0  # where the last piece began in the input
        self._tail = np.zeros(HOP, np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take float32 [T]; returns what can be said for sure, float32 [T'], perhaps empty."""
        self._taken += samples.size
        self._input = np.concatenate([self._input, samples])
        # one hop of output is held back, so that it never gets longer than it should
        return self._pieces_until(self._taken - _PIECE - SEARCH - int(HOP / self._factor))

    def finish(self) -> np.ndarray:
        """The rest, so that all output together is `factor` times as long as all input."""
        left = round(self._taken * self._factor) - self._given
        reach = int((self._given + left + _PIECE) / self._factor) + _PIECE
        padding = max(0, reach + _PIECE + SEARCH - self._dropped - self._input.size)
        self._input = np.concatenate([self._input, np.zeros(padding, np.float32)])
        return self._pieces_until(reach)[:left]

    def _pieces_until(self, last_start: int) -> np.ndarray:
        """Lay pieces as long as they and what they are compared with begin by `last_start`."""
        output = []
        while True:
            wanted = round(self._pieces * HOP / self._factor)
            follows = self._last + HOP if self._pieces else 0
            if max(wanted, follows) > last_start:
                break
            start = self._best_start(wanted, follows) if self._pieces else 0
            piece = self._cut(start, _PIECE) * _WINDOW
            output.append(self._tail + piece[:HOP])
            self._tail = piece[HOP:]
            self._last = start
            self._pieces += 1
            self._forget(min(start + HOP, round(self._pieces * HOP / self._factor) - SEARCH))
        self._given += HOP * len(output)
        return np.concatenate([np.zeros(0, np.float32), *output])

    def _best_start(self, wanted: int, follows: int) -> int:
        """Where near `wanted` the input is most like what naturally follows the last piece."""
        first = max(wanted - SEARCH, self._dropped)
        natural = self._cut(follows, _PIECE)
        region = self._cut(first, wanted + SEARCH + _PIECE - first)
        likeness = np.correlate(region, natural, "valid")
        power = np.cumsum(np.concatenate([[0.0], region.astype(np.float64) ** 2]))
        energy = power[_PIECE:] - power[:-_PIECE]
        return first + int(np.argmax(likeness / np.sqrt(energy + 1e-6)))

    def _cut(self, start: int, size: int) -> np.ndarray:
        return self._input[start - self._dropped : start - self._dropped + size]

    def _forget(self, before: int) -> None:
        unneeded = max(0, before - self._dropped)
        self._input = self._input[unneeded:]
        self._dropped += unneeded
