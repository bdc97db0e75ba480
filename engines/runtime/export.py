"""Stages as ONNX files, and what such a file computes beside torch."""

from __future__ import annotations

import copy
import json
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from engines.errors import EngineFailure
from engines.runtime.eager import EagerRuntime, module_of, to_dtype
from engines.runtime.onnx_file import (
    DECLARATION_KEY,
    FIXED_KEY,
    PRECISION_KEY,
    SUFFIX,
    read_stage,
)
from engines.runtime.ort import OrtRuntime
from engines.runtime.padding import blank
from engines.runtime.stage import MapStage, Port, declaration
from engines.runtime.tracing import LEAST, OPSET, dynamic_axes, quiet, trace

if TYPE_CHECKING:
    import onnx
    import torch
    from torch import nn

log = logging.getLogger("vivavoce.export")

Precision = Literal["fp32", "fp16", "int8"]

# Largest error, as a share of the output's largest value (or of 1), that passes verification. What
# has few bits is told apart from what is broken, no more.
TOLERANCES: Mapping[str, float] = {"fp32": 1e-4, "fp16": 2e-2, "int8": 0.25, "int4": 0.75}


@runtime_checkable
class WritesGraph(Protocol):
    """A module whose ONNX graph is better written by hand than by torch's exporter."""

    def graph(self, inputs: Sequence[Port], outputs: Sequence[Port], opset: int) -> onnx.ModelProto:
        """In float32, every dynamic axis free.

        Raises:
            ValueError: it cannot be expressed in that opset.
        """
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """One output of one comparison.

    Attributes:
        sizes: of the axes.
        absolute: largest difference from torch.
        relative: the same as a share of the largest value, where that is more than 1.
        passed: is that within the tolerance?
    """

    stage: str
    sizes: Mapping[str, int]
    output: str
    absolute: float
    relative: float
    passed: bool


def export(
    stage: MapStage,
    folder: Path,
    *,
    precision: Precision = "fp32",
    opset: int = OPSET,
    fixed: Mapping[str, int] | None = None,
    device: str = "cpu",
) -> Path:
    """Write `<stage>.onnx` into a folder; it is whole or not there.

    Args:
        precision: "fp16" computes in half precision; "int8" quantises matrix products and leaves
            convolutions alone, which ONNX Runtime computes nearly three times slower in 8 bits.
            Inputs and outputs stay float32.
        opset: of ONNX.
        fixed: sizes of axes that shall have only one, to which shorter input is padded; every
            other axis stays dynamic.
        device: a torch device to trace on.

    Returns:
        The file.

    Raises:
        EngineFailure: the stage has no module, or cannot be expressed in that opset.
    """
    import onnx
    import torch

    module = copy.deepcopy(module_of(stage)).to("cpu").float().eval().requires_grad_(False)
    fixed = fixed or {}
    model: onnx.ModelProto | None = None
    if isinstance(module, WritesGraph) and precision == "fp32" and not fixed:
        model = _written(stage, module, opset)
    else:
        if precision == "fp16":
            module = _in_half_precision(stage, module)
        with torch.no_grad():
            program = _program(stage, module.to(device), opset, fixed, device)
    metadata = {
        DECLARATION_KEY: declaration(stage),
        FIXED_KEY: json.dumps(dict(fixed)),
        PRECISION_KEY: precision,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stage.name}{SUFFIX}"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as scratch:
        made = Path(scratch) / file.name
        if model is not None:
            onnx.helper.set_model_props(model, metadata)
            onnx.save(model, made)
        else:
            program.model.metadata_props.update(metadata)
            program.save(made)
        if precision == "int8" and not _quantise(made, metadata):
            log.info("%s has no matrix product and stays in fp32", stage.name)
        for part in Path(scratch).iterdir():  # weights beyond 2 GB stand in a file of their own
            part.replace(folder / part.name)
    log.info("wrote %s, %d bytes", file, file.stat().st_size)
    return file


def verify(
    stage: MapStage,
    file: Path,
    examples: Iterable[Mapping[str, np.ndarray]],
    *,
    precision: Precision | Literal["int4"] = "fp32",
    device: str = "onnx",
) -> list[Row]:
    """Run a stage's file and its module on the same inputs.

    Args:
        examples: inputs, of several lengths.
        device: of ONNX Runtime.

    Returns:
        A row for every output of every example.
    """
    module = copy.deepcopy(module_of(stage)).float()
    expected = EagerRuntime("cpu").bind(replace(stage, module=module))
    made = OrtRuntime(device).bind(read_stage(file))
    rows = []
    for inputs in examples:
        sizes = {
            axis: size
            for port in stage.inputs
            if port.name in inputs
            for axis, size in zip(port.shape, np.shape(inputs[port.name]), strict=True)
            if isinstance(axis, str)
        }
        ours = made(**inputs)
        for name, reference in expected(**inputs).items():
            rows.append(row(stage.name, sizes, name, ours[name], reference, TOLERANCES[precision]))
    return rows


def random_inputs(
    stage: MapStage,
    sizes: Mapping[str, int],
    *,
    below: Mapping[str, int],
    scalars: Mapping[str, float] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Inputs for a stage: normal noise, whole numbers, true or false.

    Args:
        sizes: of its axes.
        below: by name of an int64 input, the number that its values stay under.
        scalars: values of inputs without axes, drawn from 0.5 to 1.5 where they are not given.

    Raises:
        ValueError: an int64 input has no bound.
    """
    draw = np.random.default_rng(seed)
    inputs: dict[str, np.ndarray] = {}
    for port in stage.inputs:
        shape = port.size(sizes)
        if port.name in stage.lengths:
            continue
        if scalars and port.name in scalars:
            inputs[port.name] = np.full(shape, scalars[port.name], port.dtype)
        elif port.dtype == "int64":
            if port.name not in below:
                raise ValueError(f"stage {stage.name}: no bound for the values of {port.name}")
            inputs[port.name] = draw.integers(0, below[port.name], shape, np.int64)
        elif port.dtype == "bool":
            inputs[port.name] = draw.random(shape) < 0.5
        elif shape:
            inputs[port.name] = draw.standard_normal(shape, np.float32)
        else:
            inputs[port.name] = np.asarray(draw.uniform(0.5, 1.5), np.float32)
    return inputs


def _written(stage: MapStage, module: WritesGraph, opset: int) -> onnx.ModelProto:
    try:
        return module.graph(stage.inputs, stage.outputs, opset)
    except ValueError as error:
        raise EngineFailure(
            f"Stage {stage.name} cannot be written as ONNX of opset {opset}: {error}",
            f"Opset {OPSET} is the one that is tried out.",
            "Leave --opset out, or report it.",
        ) from error


def _in_half_precision(stage: MapStage, module: nn.Module) -> nn.Module:
    """The module with float32 outside and float16 inside."""
    import torch

    def enter(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(to_dtype(each, "float16") for each in inputs)

    def leave(
        _: nn.Module, _inputs: object, outputs: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        ports = zip(outputs, stage.outputs, strict=True)
        return tuple(each.to(getattr(torch, port.dtype)) for each, port in ports)

    # hooks, because the exporter of torch 2.9 stumbles over a wrapper that takes any inputs
    module.half().register_forward_pre_hook(enter)
    module.register_forward_hook(leave)
    return module


def _program(
    stage: MapStage, module: nn.Module, opset: int, fixed: Mapping[str, int], device: str
) -> torch.onnx.ONNXProgram:
    import torch

    least = {axis: _least(stage, axis) for axis in stage.axes()}
    # sizes that differ from each other and from anything in a model, so that none is taken for it
    primes = zip(stage.axes(), (37, 53, 71, 89, 97, 113), strict=False)
    examples = {
        axis: prime if least[axis] == LEAST else 2 * least[axis] + prime for axis, prime in primes
    }
    inputs = blank(stage, {**examples, **fixed})
    return trace(
        stage.name,
        module,
        [torch.from_numpy(each).to(device) for each in inputs],
        dynamic_axes(stage.inputs, fixed, least),
        [port.name for port in stage.inputs],
        [port.name for port in stage.outputs],
        opset,
    )


def _least(stage: MapStage, axis: str) -> int:
    """The shortest an input's axis may be for every axis that is counted from it to have a size."""
    lengths = [length for length in stage.out_len.values() if length.axis == axis]
    needed = (-((length.offset - LEAST * length.divisor) // length.scale) for length in lengths)
    return max([LEAST, *needed])


def _quantise(file: Path, metadata: Mapping[str, str]) -> bool:
    """Bring the matrix products of a model to 8 bits; False where it has none."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    smaller = file.with_name(f"int8-{file.name}")
    with quiet():
        quantize_dynamic(
            file,
            smaller,
            op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # 7 bits, with which sums do not overflow on processors before VNNI
        )
    model = onnx.load(smaller)
    smaller.unlink()
    if not any(node.op_type == "MatMulInteger" for node in model.graph.node):
        return False
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.save(model, file)
    return True


def row(
    stage: str,
    sizes: Mapping[str, int],
    output: str,
    ours: np.ndarray,
    reference: np.ndarray,
    tolerance: float,
) -> Row:
    """One output held against its reference."""
    differences = np.abs(ours.astype(np.float64) - reference)
    absolute = float(differences.max())
    relative = absolute / max(1.0, float(np.abs(reference.astype(np.float64)).max()))
    # false for NaN as well
    return Row(stage, sizes, output, absolute, relative, relative <= tolerance)
