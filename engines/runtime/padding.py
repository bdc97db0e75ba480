"""What every runtime does around a stage: check what comes in, pad it, cut what goes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from engines.errors import EngineFailure
from engines.runtime.buckets import BucketTable, TooLong, combinations
from engines.runtime.stage import BATCH, MapStage, Port

# Arrays in the order of the inputs → arrays in the order of the outputs.
Run = Callable[[list[np.ndarray]], Sequence[np.ndarray]]


class Padded:
    """A stage bound to a runtime; `engines.runtime.stage.Bound` says how it is called.

    Args:
        buckets: sizes that axes are padded to; an axis that is not in it keeps its size.
        run: the runtime's own part.
    """

    def __init__(self, stage: MapStage, buckets: BucketTable, run: Run) -> None:
        self._stage = stage
        self._buckets = {axis: buckets[axis] for axis in stage.axes() if axis in buckets}
        self._run = run

    @property
    def stage(self) -> MapStage:
        return self._stage

    def longest(self, axis: str) -> int | None:
        return self._buckets[axis].largest if axis in self._buckets else None

    def warm_up(self) -> Iterator[Mapping[str, int]]:
        if set(self._stage.axes()) == set(self._buckets):
            for sizes in combinations(self._stage, self._buckets):
                self._run(blank(self._stage, sizes))
                yield sizes

    def __call__(self, **inputs: Any) -> dict[str, np.ndarray]:
        stage = self._stage
        given = _checked(stage, inputs)
        true = _measure(stage, given)
        sizes = {axis: self._padded(axis, size) for axis, size in true.items()}
        results = self._run(
            [
                # rows that fill up a batch count as whole: a softmax over nothing is no number
                _pad(port, given.get(port.name), sizes, true[stage.lengths[port.name]])
                if port.name in stage.lengths
                else _pad(port, given[port.name], sizes)
                for port in stage.inputs
            ]
        )
        return _cut(stage, results, true, sizes)

    def _padded(self, axis: str, size: int) -> int:
        if axis not in self._buckets:
            return size
        bucket = self._buckets[axis].pick(size)
        if bucket is None:
            raise TooLong(self._stage.name, axis, size, self._buckets[axis].largest)
        return bucket


def blank(stage: MapStage, sizes: Mapping[str, int]) -> list[np.ndarray]:
    """Zeros for every input at these sizes, the lengths filled in: enough to compile with."""
    return [
        np.full(port.size(sizes), sizes[stage.lengths[port.name]], np.int64)
        if port.name in stage.lengths
        else np.zeros(port.size(sizes), port.dtype)
        for port in stage.inputs
    ]


def _checked(stage: MapStage, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The given arrays in their ports' dtypes."""
    ports = {port.name: port for port in stage.inputs}
    needed = [name for name in ports if name not in stage.lengths]
    # where sentences of several lengths share a batch, only the caller knows them
    optional = [name for name in stage.lengths if ports[name].shape == (BATCH,)]
    missing = [name for name in needed if name not in inputs]
    unknown = [name for name in inputs if name not in (*needed, *optional)]
    if missing or unknown:
        raise EngineFailure(
            f"Stage {stage.name} was called "
            + " and ".join(
                [f"without {', '.join(missing)}"] * bool(missing)
                + [f"with {', '.join(unknown)}"] * bool(unknown)
            )
            + ".",
            f"It takes {', '.join([*needed, *optional])}.",
        )
    return {name: _array(stage, ports[name], value) for name, value in inputs.items()}


def _array(stage: MapStage, port: Port, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if not np.can_cast(array.dtype, port.dtype, "same_kind"):
        raise EngineFailure(
            f"Stage {stage.name} was given {port.name} as {array.dtype}.", f"It is {port.dtype}."
        )
    array = np.asarray(array, port.dtype, order="C")
    # torch takes an array's memory over, and warns of what it may not write
    return array if array.flags.writeable else array.copy()


def _measure(stage: MapStage, given: Mapping[str, np.ndarray]) -> dict[str, int]:
    """True sizes of the dynamic axes."""
    true: dict[str, int] = {}
    for port in stage.inputs:
        if port.name not in given:
            continue
        shape = given[port.name].shape
        fits = len(shape) == len(port.shape)
        for size, axis in zip(shape, port.shape, strict=False):
            expected = true.setdefault(axis, size) if isinstance(axis, str) else axis
            fits = fits and size == expected and size > 0
        if not fits:
            known = ", ".join(f"{axis} = {size}" for axis, size in true.items())
            raise EngineFailure(
                f"Stage {stage.name} was given {port.name} of shape {shape}.",
                f"It is {port.shape}{f' where {known}' if known else ''}, nothing empty.",
            )
    for name, axis in stage.lengths.items():
        if name in given and not (1 <= given[name].min() <= given[name].max() <= true[axis]):
            raise EngineFailure(
                f"Stage {stage.name} was given {name} = {given[name].tolist()}.",
                f"{axis} is {true[axis]}, so lengths go from 1 to {true[axis]}.",
            )
    return true


def _pad(
    port: Port, array: np.ndarray | None, sizes: Mapping[str, int], filler: int = 0
) -> np.ndarray:
    shape = port.size(sizes)
    if array is not None and array.shape == shape:
        return array
    padded = np.full(shape, filler, port.dtype)
    if array is not None:
        padded[tuple(slice(size) for size in array.shape)] = array
    return padded


def _cut(
    stage: MapStage,
    results: Sequence[np.ndarray],
    true: Mapping[str, int],
    sizes: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """Outputs by name at their true sizes, once they have the shapes that the stage declares."""
    made, kept = stage.out_sizes(sizes), stage.out_sizes(true)
    shapes = [result.shape for result in results]
    declared = [port.size(made) for port in stage.outputs]
    if shapes != declared:
        raise EngineFailure(
            f"Stage {stage.name} returned arrays of shapes {shapes}.",
            f"Its declaration says {declared}.",
            "The declaration or the module is wrong: report it.",
        )
    return {
        port.name: np.asarray(result, port.dtype)[tuple(slice(size) for size in port.size(kept))]
        for port, result in zip(stage.outputs, results, strict=True)
    }
