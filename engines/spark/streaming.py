"""Sound while tokens still come: in parts that overlap, so that joined they are what one pass
gives.

T_codes tokens, D channels of the speaker's vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from engines.spark import codec
from engines.spark.config import CodecConfig
from engines.spark.stages import LONGEST_CODES

FIRST_PART = 25  # tokens, half a second: somebody waits for it; each part is twice the one before
LARGEST_PART = 256  # with this the overlaps are a tenth; memory of the generator grows with a part


class Stream:
    """Takes tokens, gives sound as early as it cannot change any more.

    Args:
        bound: the stages of `stages.SPEAKING`.
        d_vector: float32 [1, D].
    """

    def __init__(self, bound: codec.Stages, config: CodecConfig, d_vector: np.ndarray) -> None:
        self._bound = bound
        self._hop = config.hop
        self._d_vector = d_vector
        self._wave_reach = config.decoder.reach
        self._reach = self._wave_reach + config.prenet.reach
        self._largest = min(LARGEST_PART, LONGEST_CODES - 2 * self._reach)
        self._tokens: list[int] = []
        self._spoken = 0
        self._part = min(FIRST_PART, self._largest)

    @property
    def spoken(self) -> int:
        """Tokens whose sound was given."""
        return self._spoken

    @property
    def tokens(self) -> list[int]:
        """Those that were taken."""
        return self._tokens

    def take(self, tokens: Sequence[int]) -> None:
        """All tokens so far, those that were taken before among them."""
        self._tokens += tokens[len(self._tokens) :]

    def push(self, tokens: Sequence[int]) -> Iterator[np.ndarray]:
        """As `take`; gives float32 [hop * n] where enough came after some of them."""
        self.take(tokens)
        while len(self._tokens) - self._reach - self._spoken >= self._part:
            yield self._next(self._part)

    def end(self) -> Iterator[np.ndarray]:
        """The rest, after the last token."""
        while self._spoken < len(self._tokens):
            yield self._next(min(self._largest, len(self._tokens) - self._spoken))

    def _next(self, count: int) -> np.ndarray:
        start, end = self._spoken, self._spoken + count
        left, right = self._around(start, end, self._reach)
        semantic = np.array(self._tokens[left:right], np.int64)
        x = codec.frames(self._bound, semantic, self._d_vector)
        first, last = self._around(start, end, self._wave_reach)
        wav = codec.wave(self._bound, x[:, :, first - left : last - left], self._d_vector)
        self._spoken = end
        self._part = min(2 * self._part, self._largest)
        return wav[(start - first) * self._hop : (end - first) * self._hop]

    def _around(self, start: int, end: int, reach: int) -> tuple[int, int]:
        return max(0, start - reach), min(len(self._tokens), end + reach)
