"""From a torch module to an ONNX program."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engines.errors import EngineFailure
from engines.runtime.stage import Port

if TYPE_CHECKING:
    import torch
    from torch import nn

OPSET = 20
LEAST = (
    2  # what is traced for 2 holds for 1 as well, which verification shows; torch 2.9 traces no 1
)


def dynamic_axes(
    ports: Sequence[Port],
    fixed: Mapping[str, int] | None = None,
    least: Mapping[str, int] | None = None,
) -> list[dict[int, Any]]:
    """For each port its axes of no fixed size, as torch.export names them.

    Args:
        least: sizes that axes have at least, where that is more than `LEAST`.
    """
    import torch

    least = least or {}

    names = dict.fromkeys(axis for port in ports for axis in port.axes())
    free = {
        axis: torch.export.Dim(axis, min=least.get(axis, LEAST))
        for axis in names
        if axis not in (fixed or {})
    }
    return [{i: free[axis] for i, axis in enumerate(port.shape) if axis in free} for port in ports]


def trace(
    name: str,
    module: nn.Module,
    inputs: Sequence[torch.Tensor],
    shapes: Sequence[Mapping[int, Any]],
    input_names: Sequence[str],
    output_names: Sequence[str],
    opset: int,
) -> torch.onnx.ONNXProgram:
    """
    Args:
        name: of the stage, for the error.
        inputs: by position.
        shapes: the dynamic axes of each input.

    Raises:
        EngineFailure: the module cannot be expressed in that opset.
    """
    import torch

    try:
        with torch.no_grad(), quiet():
            program = torch.onnx.export(
                module,
                tuple(inputs),
                dynamo=True,
                opset_version=opset,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_shapes=_by_parameter(module, tuple(shapes)),
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError, ValueError) as error:
        reason = str(error.__cause__ or error).strip()  # the exporter's own text is advice
        raise EngineFailure(
            f"Stage {name} cannot be written as ONNX of opset {opset}: {reason:.500}",
            f"Opset {OPSET} is the one that is tried out.",
            "Leave --opset out, or report it.",
        ) from error
    assert program is not None, "no file was named, so the program is returned"
    return program


def _by_parameter(module: nn.Module, shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """One entry for each parameter of `forward`: those that `*rest` takes stand together."""
    parameters = inspect.signature(module.forward).parameters.values()
    named = sum(each.kind is not inspect.Parameter.VAR_POSITIONAL for each in parameters)
    return shapes if named == len(parameters) else (*shapes[:named], shapes[named:])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' advice to their own developers from the person who converts."""
    talkers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "root")]
    levels = [talker.level for talker in talkers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for talker in talkers:
            talker.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for talker, level in zip(talkers, levels, strict=True):
                talker.setLevel(level)
