"""A stage: one part of a model, from tensors to tensors, and a declaration of what goes in and out.

A family declares its stages and knows no device; a runtime binds a stage and knows no family. What
passes between them is NumPy arrays, so that ONNX Runtime works without torch.

    encode = MapStage(
        "encode",
        module,                       # forward(ids, text_lengths, noise) -> (m,)
        inputs=(
            Port("ids", "int64", (1, "T_text")),
            Port("text_lengths", "int64", (1,)),
            Port("noise", "float32", (1, 2, "T_text")),
        ),
        outputs=(Port("m", "float32", (1, 192, "T_text")),),
        lengths={"text_lengths": "T_text"},
    )
    bound = runtime.bind(encode)
    m = bound(ids=ids, noise=noise)["m"]

`module.forward` takes its inputs by position in the order of the ports and returns a tuple in the
order of the outputs. It has no `.item()`, NumPy, printing, test of the device or random draw: noise
is an input. Axes are padded with zeros, so its masks come from the ports of `lengths`, and what it
gives for the true length may not depend on the padding.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from engines.errors import BadCheckpoint

if TYPE_CHECKING:
    from torch import nn

    from engines.runtime.sequences import BoundStep
    from engines.runtime.step import StepStage

DTYPES = ("float32", "int64", "bool")
BATCH = "B"  # an axis of whole sentences; every other one runs through time
DECLARATION = 1  # version of the declaration's form


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output.

    Attributes:
        dtype: "float32", "int64" or "bool", at the edge; a runtime may compute in a shorter one.
        shape: a number for a fixed axis, a name for a dynamic one; () for a scalar.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def axes(self) -> tuple[str, ...]:
        """Names of its dynamic axes."""
        return tuple(axis for axis in self.shape if isinstance(axis, str))

    def size(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape where the dynamic axes have these sizes."""
        return tuple(sizes[axis] if isinstance(axis, str) else axis for axis in self.shape)


@dataclass(frozen=True, slots=True)
class Length:
    """The size of an output axis: `(scale * n + offset) // divisor`, where n is that of an input's
    `axis`."""

    axis: str
    scale: int = 1
    offset: int = 0
    divisor: int = 1

    def of(self, sizes: Mapping[str, int]) -> int:
        return (self.scale * sizes[self.axis] + self.offset) // self.divisor


@dataclass(frozen=True)
class MapStage:
    """Tensors to tensors, once.

    Attributes:
        name: unique in its family; names its ONNX file too.
        module: None where it was read from an ONNX file.
        inputs: in the order of `module.forward`.
        outputs: in the order of what it returns.
        out_len: dynamic axes of outputs that no input has.
        lengths: by name of an int64 input, the axis whose true size it carries, such as
            {"text_lengths": "T_text"}. Runtimes fill them in. Only where sentences of several
            lengths share a batch (the port's shape is ("B",)) does the caller give them.
        source: the ONNX file that it was read from, where it has no module.
        exact: it is computed in float32 whatever its runtime works in, as where a rounded duration
            would move everything after it. Its module then shares no part with an inexact one's.

    Raises:
        ValueError: the declaration contradicts itself.
    """

    name: str
    module: nn.Module | None
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    out_len: Mapping[str, Length] = field(default_factory=dict)
    lengths: Mapping[str, str] = field(default_factory=dict)
    source: Path | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        wrong = "; ".join(_contradictions(self))
        if wrong:
            raise ValueError(f"stage {self.name}: {wrong}")

    def dtype(self, working: str) -> str:
        """What it is computed in where its runtime works in `working`."""
        return "float32" if self.exact else working

    def axes(self) -> tuple[str, ...]:
        """Dynamic axes of the inputs, in the order in which they first appear."""
        return tuple(dict.fromkeys(axis for port in self.inputs for axis in port.axes()))

    def out_sizes(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Sizes of all axes, the outputs' own among them, where the input axes have these."""
        return {**sizes, **{axis: length.of(sizes) for axis, length in self.out_len.items()}}


class Bound(Protocol):
    """A stage on a runtime; may be called from several threads at once."""

    @property
    def stage(self) -> MapStage: ...

    def __call__(self, **inputs: Any) -> dict[str, np.ndarray]:
        """Run it once.

        Args:
            inputs: every port but those of `lengths`: arrays, or numbers where the shape is ().

        Returns:
            Arrays by output name, cut to their true sizes.

        Raises:
            TooLong: an axis is longer than its largest bucket: split, then call again.
            EngineFailure: a port is missing or unknown, or its shape or dtype is not the declared
                one.
        """
        ...

    def longest(self, axis: str) -> int | None:
        """The size up to which an axis may go; None where there is no bound."""
        ...

    def warm_up(self) -> Iterator[Mapping[str, int]]:
        """Run it once at every size that it will ever run at, so that later calls compile nothing.
        Gives the axes' sizes after each; nothing where sizes have no bounds."""
        ...


class Runtime(Protocol):
    """A place where stages run: one device, one working dtype."""

    @property
    def device(self) -> str:
        """A canonical device name (`DeviceSpec.name`)."""
        ...

    @property
    def dtype(self) -> str:
        """What it computes in: "float32", "float16", "bfloat16"."""
        ...

    @overload
    def bind(self, stage: MapStage) -> Bound: ...
    @overload
    def bind(self, stage: StepStage) -> BoundStep: ...
    def bind(self, stage: MapStage | StepStage) -> Bound | BoundStep:
        """Make a stage callable here.

        Raises:
            EngineFailure: the runtime needs another form of it (a module, or an ONNX file).
            BadCheckpoint: its file is damaged.
        """
        ...


def declaration(stage: MapStage) -> str:
    """All but the module, as JSON; `read_declaration` makes a stage of it again."""
    return json.dumps(
        {
            **ports_written(stage),
            "out_len": {
                axis: [length.axis, length.scale, length.offset, length.divisor]
                for axis, length in stage.out_len.items()
            },
            "lengths": dict(stage.lengths),
        }
    )


def read_declaration(text: str, source: Path) -> MapStage:
    """The stage of a declaration, without its module.

    Args:
        source: the ONNX file that it was found in.

    Raises:
        BadCheckpoint: it is no declaration that this version understands.
    """
    with reading(text, source) as data:
        return MapStage(
            data["name"],
            None,
            inputs=ports_read(data["inputs"]),
            outputs=ports_read(data["outputs"]),
            out_len={
                axis: Length(counted, *(int(number) for number in numbers))
                for axis, (counted, *numbers) in data["out_len"].items()
            },
            lengths=dict(data["lengths"]),
            source=source,
        )


def ports_written(stage: MapStage | StepStage) -> dict[str, Any]:
    """What the declarations of all kinds of stages have in common."""
    return {
        "version": DECLARATION,
        "name": stage.name,
        "inputs": [[port.name, port.dtype, list(port.shape)] for port in stage.inputs],
        "outputs": [[port.name, port.dtype, list(port.shape)] for port in stage.outputs],
    }


def ports_read(data: Any) -> tuple[Port, ...]:
    return tuple(Port(name, dtype, tuple(shape)) for name, dtype, shape in data)


@contextmanager
def reading(text: str, source: Path) -> Iterator[Any]:
    """The data of a declaration of any kind; whatever is wrong with them becomes BadCheckpoint."""
    try:
        data = json.loads(text)
        if data["version"] != DECLARATION:
            raise ValueError(f"its version is {data['version']}")
        yield data
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadCheckpoint(
            f"The declaration of the stage in {source} cannot be read: {error}.",
            f"This version reads declarations of version {DECLARATION}.",
            "Convert the checkpoint to ONNX again with `python app.py convert`.",
        ) from error


def _contradictions(stage: MapStage) -> Iterator[str]:
    ports = (*stage.inputs, *stage.outputs)
    if not stage.name.isidentifier():
        yield f"{stage.name!r} is no name"
    if not stage.inputs or not stage.outputs:
        yield "it needs inputs and outputs"
    for side in (stage.inputs, stage.outputs):
        names = [port.name for port in side]
        yield from (f"two ports are named {n}" for n in set(names) if names.count(n) > 1)
    for port in ports:
        if not port.name.isidentifier():
            yield f"{port.name!r} is no name"
        if not all(isinstance(a, str) or (isinstance(a, int) and a > 0) for a in port.shape):
            yield f"{port.name} has the shape {port.shape}"
        if port.dtype not in DTYPES:
            yield f"{port.name} is {port.dtype}, not one of {', '.join(DTYPES)}"
    axes = stage.axes()
    for port in stage.outputs:
        unknown = set(port.axes()) - set(axes) - set(stage.out_len)
        yield from (f"the size of {port.name}'s axis {axis} is unknown" for axis in unknown)
    for axis, length in stage.out_len.items():
        if axis in axes:
            yield f"{axis} is an input's axis and needs no out_len"
        if length.axis not in axes:
            yield f"{axis} is counted from {length.axis}, which no input has"
    inputs = {port.name: port for port in stage.inputs}
    for name, axis in stage.lengths.items():
        found = inputs.get(name)
        if found is None or found.dtype != "int64":
            yield f"{name}, which carries a length, is no int64 input"
        elif len(found.shape) > 1 or set(found.axes()) - {BATCH}:
            yield f"{name}, which carries a length, has the shape {found.shape}"
        if axis not in axes:
            yield f"{name} carries the length of {axis}, which no input has"
