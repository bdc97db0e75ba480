"""Tables of buckets: few sizes, close enough that padding stays small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engines.runtime.buckets import MOST, Buckets, combinations, geometric
from engines.runtime.stage import MapStage, Port


def test_a_length_goes_into_the_smallest_that_holds_it() -> None:
    buckets = Buckets([24, 16, 36])
    picked = [buckets.pick(n) for n in (1, 15, 16, 17, 24, 25, 36, 37, 10**9)]
    assert picked == [16, 16, 16, 24, 24, 36, 36, None, None]
    assert buckets.largest == 36


@pytest.mark.parametrize("sizes", [[], [0, 8], [-1], [8, 8], range(1, MOST + 2)])
def test_sizes_that_are_no_table_are_refused(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="1 to 8 different sizes"):
        Buckets(sizes)


def test_a_usual_table() -> None:
    assert geometric(32, 512).sizes == (32, 48, 71, 105, 156, 232, 345, 512)
    assert geometric(64, 100, multiple=8).sizes == (64, 80, 104)
    assert geometric(20, 20).sizes == (20,)


@given(smallest=some.integers(1, 500), times=some.floats(1, 100), multiple=some.integers(1, 16))
def test_every_table_reaches_from_end_to_end(smallest: int, times: float, multiple: int) -> None:
    largest = int(smallest * times)
    buckets = geometric(smallest, largest, multiple=multiple)
    assert smallest <= buckets.sizes[0] < smallest + multiple
    assert largest <= buckets.largest < largest + multiple
    assert all(size % multiple == 0 for size in buckets.sizes)
    for small, next_one in zip(buckets.sizes, buckets.sizes[1:], strict=False):
        # rounding to whole multiples adds to the ratio of 2
        assert next_one <= 2 * small + multiple + 1


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((0, 9), "ascend"),
        ((9, 8), "ascend"),
        ((1, 1000), r"would grow by 2\.7: raise the smallest"),
    ],
)
def test_bounds_without_a_sensible_table_are_refused(bounds: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        geometric(*bounds)


def test_a_stage_has_a_graph_for_every_combination() -> None:
    ports = (Port("x", "float32", ("T_a", 2, "T_b")), Port("y", "float32", ("T_a",)))
    stage = MapStage("s", None, ports, (Port("z", "float32", ("T_a",)),))
    table = {"T_a": Buckets([1, 2]), "T_b": Buckets([3, 5]), "T_other": Buckets([7])}
    assert list(combinations(stage, table)) == [
        {"T_a": a, "T_b": b} for a, b in ((1, 3), (1, 5), (2, 3), (2, 5))
    ]
    with pytest.raises(ValueError, match="stage s: no buckets for T_b"):
        list(combinations(stage, {"T_a": Buckets([1])}))
