"""A step stage: a model that speaks token by token, and the buffers that it carries along.

    stage = StepStage(
        "llm",
        module,
        inputs=(Port("ids", "int64", ("B", "T_new")),),
        outputs=(Port("hidden", "float32", ("B", 896)),),
        carry=Carry(layers=24, heads=2, head_dim=64),
        sizes=geometric(256, 4096),
    )
    bound = runtime.bind(stage)
    with bound.start(memory, "spark on cpu", rows=2, cancel=cancel) as sequences:
        hidden = sequences.prefill(ids=prompts, lengths=[41, 38])["hidden"]
        hidden = sequences.step(ids=[[5], [9]])["hidden"]

One module does both: it takes T_new new positions of each row, all of the prompt in `prefill` and
one in `step`, so that weights are held once. `module.forward` takes its inputs in the order of the
ports; then `positions` [B], how many positions of each row are in the carry; `lengths` [B], how
many of the new ones are true, the rest being padding on the right; and then the carry's tensors:
keys and values of each layer in turn, [B, heads, T_kv, head_dim]. It returns its outputs and the
carry with the new positions written at `positions`. `engines.nn.kv_cache` does that on every
runtime. As in every stage nothing is drawn at random and no value is read in `forward`, and padding
changes nothing: neither rows that fill up a batch, nor positions behind a row's length, nor what a
buffer held before. `hidden` of the last true position is `engines.nn.kv_cache.last`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.runtime.buckets import Buckets
from engines.runtime.stage import BATCH, MapStage, Port, ports_read, ports_written, reading

if TYPE_CHECKING:
    from torch import nn

NEW = "T_new"  # the axis of new positions
KEPT = "T_kv"  # the axis of the carry's buffers

POSITIONS = Port("positions", "int64", (BATCH,))
LENGTHS = Port("lengths", "int64", (BATCH,))


@dataclass(frozen=True, slots=True)
class Carry:
    """Keys and values of every layer.

    Attributes:
        heads: of keys and values, of which there may be fewer than of queries.
    """

    layers: int
    heads: int
    head_dim: int

    def names(self) -> tuple[str, ...]:
        return tuple(f"{kind}_{layer}" for layer in range(self.layers) for kind in ("k", "v"))

    def shape(self, rows: int, size: int) -> tuple[int, int, int, int]:
        """Of each tensor, for so many rows and positions."""
        return rows, self.heads, size, self.head_dim

    def values(self, rows: int, size: int) -> int:
        """Numbers in all tensors together."""
        return 2 * self.layers * rows * self.heads * size * self.head_dim


@dataclass(frozen=True)
class StepStage:
    """Token by token, with a carry.

    Attributes:
        name: unique in its family; names its ONNX file too.
        module: None where it was read from an ONNX file.
        inputs: each of shape ("B", "T_new", …) or ("B", …).
        outputs: likewise; one without "T_new" speaks of the last true position of a row.
        sizes: of the carry's buffers, in positions; a row grows from one to the next. The largest
            is as long as a row may become.
        source: the ONNX file that it was read from, where it has no module.

    Raises:
        ValueError: the declaration contradicts itself.
    """

    name: str
    module: nn.Module | None
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    carry: Carry
    sizes: Buckets
    source: Path | None = None

    def __post_init__(self) -> None:
        wrong = "; ".join(_contradictions(self))
        if wrong:
            raise ValueError(f"stage {self.name}: {wrong}")
        self.face()  # has rules of its own

    def dtype(self, working: str) -> str:
        """What it is computed in where its runtime works in `working`: that."""
        return working

    def face(self) -> MapStage:
        """What one call takes and gives beside the carry."""
        return MapStage(
            self.name,
            self.module,
            (*self.inputs, POSITIONS, LENGTHS),
            self.outputs,
            lengths={LENGTHS.name: NEW},
        )


def declaration(stage: StepStage) -> str:
    """All but the module, as JSON; `read_declaration` makes a stage of it again."""
    carry = stage.carry
    return json.dumps(
        {
            **ports_written(stage),
            "carry": [carry.layers, carry.heads, carry.head_dim],
            "sizes": list(stage.sizes.sizes),
        }
    )


def read_declaration(text: str, source: Path) -> StepStage:
    """The stage of a declaration, without its module; arguments and errors as for map stages."""
    with reading(text, source) as data:
        layers, heads, head_dim = data["carry"]
        return StepStage(
            data["name"],
            None,
            ports_read(data["inputs"]),
            ports_read(data["outputs"]),
            Carry(layers, heads, head_dim),
            Buckets(data["sizes"]),
            source,
        )


def _contradictions(stage: StepStage) -> Iterator[str]:
    carry = stage.carry
    if min(carry.layers, carry.heads, carry.head_dim) < 1:
        yield f"its carry is {carry}"
    taken = {*carry.names(), POSITIONS.name, LENGTHS.name}
    for port in (*stage.inputs, *stage.outputs):
        if port.name in taken:
            yield f"{port.name} is the name of what every step takes"
        if port.shape[:1] != (BATCH,):
            yield f"{port.name} has the shape {port.shape}, which does not begin with {BATCH}"
        unknown = set(port.axes()) - {BATCH, NEW}
        yield from (f"{port.name} has an axis {axis}" for axis in sorted(unknown))
    if not any(NEW in port.shape for port in stage.inputs):
        yield f"no input has the axis {NEW}"
