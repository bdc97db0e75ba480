"""Sizes that an axis is padded to, so that a handful of compiled graphs serve every length."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from engines.errors import BadText
from engines.runtime.stage import MapStage

MOST = 8  # sizes of one axis, and graphs of one stage unless its runtime is told otherwise
RATIO = 1.5  # a third of the work is padding at worst, a sixth on average


class TooLong(BadText):
    """An axis is longer than its largest bucket.

    Attributes:
        axis: its name.
        size: what it was.
        largest: what it may be.
    """

    code = "too_long"

    def __init__(self, stage: str, axis: str, size: int, largest: int) -> None:
        super().__init__(
            f"{axis} of {stage} is {size}.",
            f"At most {largest} fit at once.",
            "Send shorter sentences, or the text in parts.",
        )
        self.axis, self.size, self.largest = axis, size, largest


class Buckets:
    """The sizes of one axis.

    Args:
        sizes: 1 to 8 different ones from 1 up, in any order.

    Raises:
        ValueError: they are not.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sorted(sizes))
        if not 1 <= len(set(self.sizes)) == len(self.sizes) <= MOST or self.sizes[0] < 1:
            raise ValueError(f"buckets are 1 to {MOST} different sizes from 1 up, not {sizes}")

    @property
    def largest(self) -> int:
        return self.sizes[-1]

    def pick(self, n: int) -> int | None:
        """The smallest size that holds `n`; None where `n` is longer than the largest."""
        index = bisect_left(self.sizes, n)
        return self.sizes[index] if index < len(self.sizes) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Buckets) and self.sizes == other.sizes

    def __hash__(self) -> int:
        return hash(self.sizes)

    def __repr__(self) -> str:
        return f"Buckets{self.sizes}"


# A family's table: its buckets by the name of the axis.
BucketTable = Mapping[str, Buckets]


def geometric(smallest: int, largest: int, *, multiple: int = 1) -> Buckets:
    """Sizes that grow by about 1.5, or by more where 8 would not reach `largest`.

    Args:
        multiple: every size is rounded up to a multiple of it.

    Raises:
        ValueError: the bounds are no ascending sizes, or so far apart that the sizes would double.
    """
    if not 1 <= smallest <= largest:
        raise ValueError(f"buckets from {smallest} to {largest} do not ascend from 1 up")
    steps = min(MOST - 1, math.ceil(math.log(largest / smallest, RATIO)))
    ratio = (largest / smallest) ** (1 / max(1, steps))
    if ratio > 2:
        raise ValueError(
            f"{MOST} buckets from {smallest} to {largest} would grow by {ratio:.1f}: "
            "raise the smallest or lower the largest"
        )
    sizes = (round(smallest * ratio**step) for step in range(steps + 1))
    return Buckets(sorted({math.ceil(size / multiple) * multiple for size in sizes}))


def combinations(stage: MapStage, table: BucketTable) -> Iterator[dict[str, int]]:
    """Sizes of a stage's input axes, once for each of its graphs; small ones first.

    Raises:
        ValueError: an axis has no buckets.
    """
    axes = stage.axes()
    missing = [axis for axis in axes if axis not in table]
    if missing:
        raise ValueError(f"stage {stage.name}: no buckets for {', '.join(missing)}")
    for sizes in product(*(table[axis].sizes for axis in axes)):
        yield dict(zip(axes, sizes, strict=True))
