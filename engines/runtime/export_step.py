"""Step stages as ONNX files, in full precision or with their weights in 8 or 4 bits."""

from __future__ import annotations

import copy
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from engines.runtime.eager import module_of
from engines.runtime.onnx_file import PRECISION_KEY, STEP_KEY, SUFFIX
from engines.runtime.ort_step import WRITTEN
from engines.runtime.padding import blank
from engines.runtime.quantise import quantise_weights
from engines.runtime.stage import BATCH, Port
from engines.runtime.step import KEPT, NEW, StepStage, declaration
from engines.runtime.tracing import OPSET, dynamic_axes, trace

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger("vivavoce.export")

StepPrecision = Literal["fp32", "int8", "int4"]
BITS = {"int8": 8, "int4": 4}

# Sizes that differ from each other and from anything in a model.
EXAMPLE = {BATCH: 3, NEW: 37, KEPT: 53}


def export_step(
    stage: StepStage, folder: Path, *, precision: StepPrecision = "fp32", opset: int = OPSET
) -> Path:
    """Write `<stage>.onnx` into a folder; one file serves prefill and step.

    Args:
        precision: of the weights of matrix products and embeddings; what goes through them is
            computed from float32.

    Returns:
        The file. Where it is large its weights stand beside it, in a file that ends in ".data".

    Raises:
        EngineFailure: the stage has no module, or cannot be expressed in that opset.
    """
    import torch

    module = _in_float32(module_of(stage))
    face = stage.face()
    kept = tuple(
        Port(name, "float32", (BATCH, stage.carry.heads, KEPT, stage.carry.head_dim))
        for name in stage.carry.names()
    )
    ports = (*face.inputs, *kept)
    carry = [np.zeros(port.size(EXAMPLE), np.float32) for port in kept]
    arrays = [*blank(face, EXAMPLE), *carry]
    program = trace(
        stage.name,
        module,
        [torch.from_numpy(array) for array in arrays],
        dynamic_axes(ports),
        [port.name for port in ports],
        [*(port.name for port in face.outputs), *(f"{port.name}{WRITTEN}" for port in kept)],
        opset,
    )
    metadata = {STEP_KEY: declaration(stage), PRECISION_KEY: precision}
    program.model.metadata_props.update(metadata)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stage.name}{SUFFIX}"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as scratch:
        made = Path(scratch) / file.name
        if precision == "fp32":
            program.save(made)
        else:
            quantise_weights(program.model_proto, made, BITS[precision], metadata)
        for part in Path(scratch).iterdir():
            part.replace(folder / part.name)
    log.info("wrote %s, %d bytes", file, file.stat().st_size)
    return file


def _in_float32(module: nn.Module) -> nn.Module:
    """The module on the CPU in float32; the same one where it is so already: it may be large."""
    import torch

    there = (*module.parameters(), *module.buffers())
    floats = [each for each in there if each.is_floating_point()]
    if not all(each.dtype == torch.float32 and each.device.type == "cpu" for each in floats):
        module = copy.deepcopy(module).to("cpu").float()
    return module.eval()
