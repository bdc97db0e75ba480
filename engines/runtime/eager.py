"""Stages on torch as they are written, on any device that torch computes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, overload

import numpy as np

from engines.errors import EngineFailure
from engines.runtime.buckets import BucketTable
from engines.runtime.padding import Padded
from engines.runtime.sequences import BoundStep, Call
from engines.runtime.stage import Bound, MapStage, Port
from engines.runtime.step import Carry, StepStage

if TYPE_CHECKING:
    import torch
    from torch import nn


class EagerRuntime:
    """Runs modules directly. Every length is run as it is, so nothing is padded.

    Args:
        device: canonical device name, which torch understands too.
        dtype: what floats are computed in; the modules' weights are brought to it.
        buckets: pads all the same, which shows that padding changes nothing.
    """

    def __init__(
        self, device: str, dtype: str = "float32", *, buckets: BucketTable | None = None
    ) -> None:
        self.device = device
        self.dtype = dtype
        self._buckets = buckets or {}

    @overload
    def bind(self, stage: MapStage) -> Bound: ...
    @overload
    def bind(self, stage: StepStage) -> BoundStep: ...
    def bind(self, stage: MapStage | StepStage) -> Bound | BoundStep:
        """Move the stage's module to the device, in the dtype, and make it callable."""
        import torch

        dtype = stage.dtype(self.dtype)
        if self.device.startswith("cuda") and dtype == "float32":
            # cuDNN would round convolutions to 10 bits, and durations of phonemes with them
            torch.backends.cudnn.allow_tf32 = False
        module = module_of(stage).to(self.device, getattr(torch, dtype)).eval()
        if isinstance(stage, StepStage):
            steps = EagerSteps(stage, module, self.device, dtype, whole=bool(self._buckets))
            return BoundStep(stage, steps, self._buckets)

        def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
            with torch.inference_mode():
                outputs = module(*_tensors(arrays, self.device, dtype))
                return _arrays(outputs, stage.outputs)

        return Padded(stage, self._buckets, run)


class EagerSteps:
    """A step stage on torch: its buffers are tensors that are written in place.

    Args:
        whole: attend to all of a buffer, masked, instead of the part in use.
    """

    def __init__(
        self, stage: StepStage, module: nn.Module, device: str, dtype: str, *, whole: bool
    ) -> None:
        import torch

        self.device = device
        self.itemsize = getattr(torch, dtype).itemsize
        self._stage, self._module, self._dtype, self._whole = stage, module, dtype, whole

    def maker(self, rows: int) -> Callable[[int], list[torch.Tensor]]:
        return partial(zeros, self._stage.carry, self.device, self._dtype, rows)

    def open(self, buffers: list[torch.Tensor]) -> Call:
        import torch

        def call(arrays: list[np.ndarray], used: int) -> list[np.ndarray]:
            carry = buffers if self._whole else [each[:, :, :used] for each in buffers]
            with torch.inference_mode():
                outputs = self._module(*_tensors(arrays, self.device, self._dtype), *carry)
                return _arrays(outputs[: len(self._stage.outputs)], self._stage.outputs)

        return call

    def grow(self, old: list[torch.Tensor], new: list[torch.Tensor]) -> None:
        for source, target in zip(old, new, strict=True):
            target[:, :, : source.shape[2]].copy_(source)


def zeros(carry: Carry, device: str, dtype: str, rows: int, size: int) -> list[torch.Tensor]:
    """Buffers of a step stage, [rows, heads, size, head_dim] each."""
    import torch

    shape = carry.shape(rows, size)
    return [torch.zeros(shape, dtype=getattr(torch, dtype), device=device) for _ in carry.names()]


def _tensors(arrays: list[np.ndarray], device: str, dtype: str) -> Iterator[torch.Tensor]:
    import torch

    return (to_dtype(torch.from_numpy(array).to(device), dtype) for array in arrays)


def _arrays(outputs: Iterable[torch.Tensor], ports: tuple[Port, ...]) -> list[np.ndarray]:
    import torch

    return [
        each.to(getattr(torch, port.dtype)).cpu().numpy()
        for each, port in zip(outputs, ports, strict=True)
    ]


def module_of(stage: MapStage | StepStage) -> nn.Module:
    """The stage's module.

    Raises:
        EngineFailure: it was read from an ONNX file and has none.
    """
    if stage.module is None:
        raise EngineFailure(
            f"Stage {stage.name} was read from an ONNX file and has no torch module.",
            "Such stages run on ONNX Runtime only.",
            "Pick the device onnx, or load the checkpoint that it was converted from.",
        )
    return stage.module


def to_dtype(tensor: torch.Tensor, dtype: str) -> torch.Tensor:
    """Floats in the working dtype, everything else as it is."""
    import torch

    return tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor
