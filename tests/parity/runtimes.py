"""Where reference cases run: a thin hull around the program's own runtimes."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.runtime.buckets import Buckets, geometric
from engines.runtime.stage import MapStage
from engines.runtime.step import StepStage

# "padded" is eager on padded inputs, which may change nothing.
RUNTIMES = ("eager", "padded", "xla", "onnx")
BUCKETS = {
    "T_text": geometric(16, 1024),
    "T_mel": geometric(32, 3072),
    "T_ref": geometric(2000, 32_000),
    "T_clip": geometric(8, 100),
    "T_codes": geometric(16, 96),
    "B": Buckets([1, 2, 4]),
    "T_new": geometric(32, 192),
}


@dataclasses.dataclass(frozen=True)
class Runtime:
    """
    Attributes:
        pads: stages need their masks.
        bind: makes a stage callable, a Bound or a BoundStep; its module stays where it is.
    """

    name: str
    pads: bool
    bind: Callable[[MapStage | StepStage], Any]


def open_runtime(name: str, scratch: Path) -> Runtime:
    """
    Args:
        scratch: a folder for what the runtime writes.
    """
    if name == "onnx":
        return Runtime(name, False, _onnx(scratch))
    if name == "xla":
        from engines.runtime.xla import XlaRuntime

        runtime = XlaRuntime("xla:0", buckets=BUCKETS, cache=scratch / "xla")
        return Runtime(name, True, lambda stage: runtime.bind(_copied(stage)))
    from engines.runtime.eager import EagerRuntime

    eager = EagerRuntime("cpu", buckets=BUCKETS if name == "padded" else None)
    return Runtime(name, name == "padded", eager.bind)


def _onnx(scratch: Path) -> Callable[[MapStage | StepStage], Any]:
    from engines.runtime.export import export
    from engines.runtime.export_step import export_step
    from engines.runtime.onnx_file import read_stage, read_step
    from engines.runtime.ort import OrtRuntime

    runtime = OrtRuntime("onnx")
    made = 0

    def bind(stage: MapStage | StepStage) -> Any:
        nonlocal made
        made += 1
        if isinstance(stage, StepStage):
            return runtime.bind(read_step(export_step(stage, scratch / str(made))))
        return runtime.bind(read_stage(export(stage, scratch / str(made))))

    return bind


def _copied(stage: MapStage | StepStage) -> Any:
    return dataclasses.replace(stage, module=copy.deepcopy(stage.module))
