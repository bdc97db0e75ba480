"""Stages on torch as they are written, on any device that torch computes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engines.errors import EngineFailure
from engines.runtime.buckets import BucketTable
from engines.runtime.padding import Padded
from engines.runtime.stage import Bound, MapStage

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

    def bind(self, stage: MapStage) -> Bound:
        """Move the stage's module to the device, in the dtype, and make it callable."""
        import torch

        if self.device.startswith("cuda") and self.dtype == "float32":
            # cuDNN would round convolutions to 10 bits, and durations of phonemes with them
            torch.backends.cudnn.allow_tf32 = False
        module = module_of(stage).to(self.device, getattr(torch, self.dtype)).eval()

        def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
            with torch.inference_mode():
                inputs = (torch.from_numpy(array).to(self.device) for array in arrays)
                outputs = module(*(to_dtype(each, self.dtype) for each in inputs))
                return [
                    each.to(getattr(torch, port.dtype)).cpu().numpy()
                    for each, port in zip(outputs, stage.outputs, strict=True)
                ]

        return Padded(stage, self._buckets, run)


def module_of(stage: MapStage) -> nn.Module:
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
