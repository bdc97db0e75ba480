"""What an ONNX file of a step stage computes beside torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.memory import MemoryManager
from engines.runtime.eager import EagerRuntime, module_of
from engines.runtime.export import TOLERANCES, Row, row
from engines.runtime.export_step import StepPrecision
from engines.runtime.onnx_file import read_step
from engines.runtime.ort import OrtRuntime
from engines.runtime.step import NEW, StepStage

STEPS = 3  # of a verification, after its prompt


def verify_step(
    stage: StepStage,
    file: Path,
    examples: Iterable[Mapping[str, np.ndarray]],
    *,
    precision: StepPrecision = "fp32",
    device: str = "onnx",
) -> list[Row]:
    """Run a stage's file and its module on the same prompts, and a few steps beyond them.

    Args:
        examples: inputs of the prompts; the steps take their first positions again.
        device: of ONNX Runtime.

    Returns:
        A row for every output of every example, at the step where it differs most.
    """
    module = module_of(stage).float()
    expected: Any = EagerRuntime("cpu").bind(replace(stage, module=module))
    made: Any = OrtRuntime(device).bind(read_step(file))
    memory = MemoryManager()
    rows = []
    try:
        for inputs in examples:
            references = _outputs(stage, expected, memory, inputs)
            pairs = list(zip(_outputs(stage, made, memory, inputs), references, strict=True))
            sizes = {
                axis: size
                for port in stage.inputs
                for axis, size in zip(port.shape, inputs[port.name].shape, strict=True)
                if isinstance(axis, str)
            }
            for name in references[0]:
                found = (
                    row(stage.name, sizes, name, ours[name], theirs[name], TOLERANCES[precision])
                    for ours, theirs in pairs
                )
                rows.append(max(found, key=lambda each: each.relative))
    finally:
        memory.close()
    return rows


def _outputs(
    stage: StepStage, bound: Any, memory: MemoryManager, inputs: Mapping[str, np.ndarray]
) -> list[dict[str, np.ndarray]]:
    """Of the prompt and of each step after it."""
    places = {port.name: port.shape.index(NEW) for port in stage.inputs if NEW in port.shape}
    count = len(next(iter(inputs.values())))
    with bound.start(memory, "verification", count) as sequences:
        found = [sequences.prefill(**inputs)]
        for step in range(STEPS):
            again = {
                name: array.take([step % array.shape[places[name]]], places[name])
                if name in places
                else array
                for name, array in inputs.items()
            }
            found.append(sequences.step(**again))
    return found
