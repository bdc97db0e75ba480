"""What a runtime does around a stage, shown on stages made of NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engines.errors import BadText, EngineFailure
from engines.runtime.buckets import Buckets, TooLong
from engines.runtime.padding import Padded
from engines.runtime.stage import Length, MapStage, Port

STAGE = MapStage(
    "double",
    None,
    inputs=(
        Port("x", "float32", (1, "T")),
        Port("x_lengths", "int64", (1,)),
        Port("keep", "bool", (1, "T")),
        Port("scale", "float32", ()),
    ),
    outputs=(Port("y", "float32", (1, "T")), Port("wav", "float32", (1, "T_wav"))),
    out_len={"T_wav": Length("T", 2, 3)},
    lengths={"x_lengths": "T"},
)
TABLE = {"T": Buckets([4, 6])}


class Recorder:
    """Runs STAGE and keeps what it was given."""

    def __init__(self) -> None:
        self.calls: list[list[np.ndarray]] = []

    def __call__(self, arrays: list[np.ndarray]) -> Sequence[np.ndarray]:
        self.calls.append(arrays)
        x, _, keep, scale = arrays
        y = x * keep * scale
        return y, np.pad(np.repeat(y, 2, 1), ((0, 0), (0, 3)))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def inputs(size: int = 3, **others: Any) -> dict[str, Any]:
    x = np.arange(1, size + 1, dtype=np.float32)[None]
    return {"x": x, "keep": np.ones((1, size), bool), "scale": 0.5, **others}


def test_inputs_are_padded_with_zeros_and_outputs_cut(recorder: Recorder) -> None:
    made = Padded(STAGE, TABLE, recorder)(**inputs())
    ((x, x_lengths, keep, scale),) = recorder.calls
    assert x.tolist() == [[1, 2, 3, 0]]
    assert x_lengths.tolist() == [3]
    assert keep.tolist() == [[True, True, True, False]]
    assert scale.shape == ()
    assert [a.dtype.name for a in recorder.calls[0]] == ["float32", "int64", "bool", "float32"]
    assert {name: each.tolist() for name, each in made.items()} == {
        "y": [[0.5, 1, 1.5]],
        "wav": [[0.5, 0.5, 1, 1, 1.5, 1.5, 0, 0, 0]],
    }


def test_without_buckets_nothing_is_padded(recorder: Recorder) -> None:
    bound = Padded(STAGE, {}, recorder)
    bound(**inputs(5))
    assert recorder.calls[0][0].shape == (1, 5)
    assert bound.longest("T") is None
    assert list(bound.warm_up()) == []


def test_a_full_bucket_is_handed_on_without_a_copy(recorder: Recorder) -> None:
    given = inputs(4)
    Padded(STAGE, TABLE, recorder)(**given)
    assert recorder.calls[0][0] is given["x"]


def test_what_may_not_be_written_is_copied(recorder: Recorder) -> None:
    given = inputs(4)
    given["x"].flags.writeable = False
    Padded(STAGE, TABLE, recorder)(**given)
    assert recorder.calls[0][0].flags.writeable


def test_the_warm_up_runs_every_size_that_later_calls_run(recorder: Recorder) -> None:
    bound = Padded(STAGE, TABLE, recorder)
    assert list(bound.warm_up()) == [{"T": 4}, {"T": 6}]
    warm = {tuple((a.shape, a.dtype) for a in call) for call in recorder.calls}
    assert [call[1].tolist() for call in recorder.calls] == [[4], [6]]
    for size in range(1, 7):
        bound(**inputs(size))
    assert {tuple((a.shape, a.dtype) for a in call) for call in recorder.calls} == warm


def test_longer_than_the_largest_bucket(recorder: Recorder) -> None:
    bound = Padded(STAGE, TABLE, recorder)
    assert bound.longest("T") == 6
    with pytest.raises(TooLong, match=r"T of double is 7\. At most 6 fit.*shorter") as caught:
        bound(**inputs(7))
    assert (caught.value.axis, caught.value.size, caught.value.largest) == ("T", 7, 6)
    assert isinstance(caught.value, BadText)
    assert recorder.calls == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"x": np.zeros((1, 3), np.int64)}, None),  # a whole number is a float too
        ({"x": np.zeros((1, 3), np.float64)}, None),
        ({"x": [[1, 2, 3]]}, None),
        ({"x": np.zeros((1, 3), np.complex64)}, "x as complex64. It is float32"),
        ({"keep": np.zeros((1, 3), np.float32)}, "keep as float32. It is bool"),
        ({"x": np.zeros((1, 0)), "keep": np.zeros((1, 0), bool)}, r"x of shape \(1, 0\).*empty"),
        ({"x": np.zeros((2, 3))}, r"x of shape \(2, 3\). It is \(1, 'T'\)"),
        ({"x": np.zeros(3)}, r"x of shape \(3,\)"),
        ({"keep": np.zeros((1, 4), bool)}, r"keep of shape \(1, 4\).* where T = 3"),
        ({"scale": np.zeros(1)}, r"scale of shape \(1,\). It is \(\)"),
        ({"speed": 1.0}, "with speed. It takes x, keep, scale"),
        ({"x_lengths": [3]}, "with x_lengths"),
    ],
)
def test_wrong_inputs(wrong: dict[str, Any], message: str | None, recorder: Recorder) -> None:
    bound = Padded(STAGE, TABLE, recorder)
    if message is None:
        assert bound(**inputs(**wrong))["y"].dtype == np.float32
        return
    with pytest.raises(EngineFailure, match=f"Stage double was .*{message}"):
        bound(**inputs(**wrong))
    assert recorder.calls == []


def test_a_missing_input_is_named(recorder: Recorder) -> None:
    with pytest.raises(EngineFailure, match="without keep, scale and with gain"):
        Padded(STAGE, TABLE, recorder)(x=np.ones((1, 3)), gain=1)


def test_outputs_of_other_shapes_than_declared_are_refused() -> None:
    def short(arrays: list[np.ndarray]) -> list[np.ndarray]:
        return [arrays[0], arrays[0]]

    with pytest.raises(EngineFailure, match=r"\(1, 4\), \(1, 4\).*says.*\(1, 4\), \(1, 11\)"):
        Padded(STAGE, TABLE, short)(**inputs())


BATCHED = MapStage(
    "sum",
    None,
    inputs=(Port("x", "float32", ("B", "T")), Port("x_lengths", "int64", ("B",))),
    outputs=(Port("y", "float32", ("B", "T")),),
    lengths={"x_lengths": "T"},
)


def test_sentences_of_several_lengths_share_a_batch() -> None:
    seen: list[list[np.ndarray]] = []

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        seen.append(arrays)
        return [arrays[0]]

    bound = Padded(BATCHED, TABLE, run)
    x = np.ones((2, 5), np.float32)
    assert bound(x=x, x_lengths=[5, 2])["y"].shape == (2, 5)
    assert seen[-1][1].tolist() == [5, 2]
    bound(x=x)
    assert seen[-1][1].tolist() == [5, 5]
    for lengths in ([6, 5], [5, 0]):
        with pytest.raises(EngineFailure, match="lengths go from 1 to 5"):
            bound(x=x, x_lengths=lengths)
    with pytest.raises(EngineFailure, match=r"x_lengths of shape \(3,\).*B = 2"):
        bound(x=x, x_lengths=[5, 5, 5])


def test_rows_that_fill_a_batch_up_have_a_length_too() -> None:
    """A length of 0 would make a softmax over nothing."""
    seen: list[list[np.ndarray]] = []

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        seen.append(arrays)
        return [arrays[0]]

    bound = Padded(BATCHED, {**TABLE, "B": Buckets([4])}, run)
    made = bound(x=np.ones((2, 5), np.float32), x_lengths=[5, 2])
    assert seen[0][0].shape == (4, 6)
    assert made["y"].shape == (2, 5)
    assert seen[0][1].tolist() == [5, 2, 5, 5]
