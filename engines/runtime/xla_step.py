"""Step stages on torch_xla: a graph for each size of prompt and of buffers, none after the warm-up.

The buffers stay on the device. A graph changes them in place: torch_xla hands a tensor that a graph
overwrites to it, and takes it back with what was written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from engines.runtime.eager import zeros
from engines.runtime.sequences import Call
from engines.runtime.step import Carry, StepStage

if TYPE_CHECKING:
    import torch

# Arrays, and tensors that are on the device already → arrays; traced and watched by the runtime.
Compiled = Callable[..., list[np.ndarray]]


class XlaSteps:
    """
    Args:
        step: the stage's module, compiled.
        copy: copies buffers into larger ones, compiled.
    """

    def __init__(
        self, stage: StepStage, device: str, dtype: str, step: Compiled, copy: Compiled
    ) -> None:
        import torch

        self.device = device
        self.itemsize = getattr(torch, dtype).itemsize
        self._carry, self._dtype = stage.carry, dtype
        self._step, self._copy = step, copy

    def maker(self, rows: int) -> Callable[[int], list[torch.Tensor]]:
        return partial(_placed, self._carry, self.device, self._dtype, rows)

    def open(self, buffers: list[torch.Tensor]) -> Call:
        def call(arrays: list[np.ndarray], _used: int) -> list[np.ndarray]:
            return self._step(arrays, buffers)

        return call

    def grow(self, old: list[torch.Tensor], new: list[torch.Tensor]) -> None:
        self._copy([], [*old, *new])


def copy_into_larger(*buffers: torch.Tensor) -> list[torch.Tensor]:
    """The first half of the buffers into the beginning of the second half."""
    import torch

    half = len(buffers) // 2
    for source, target in zip(buffers[:half], buffers[half:], strict=True):
        # no slice of either: a tensor that was looked at through one is traced in another way later
        behind = target.shape[2] - source.shape[2]
        target.copy_(torch.nn.functional.pad(source, (0, 0, 0, behind)))
    return []


def _placed(carry: Carry, device: str, dtype: str, rows: int, size: int) -> list[torch.Tensor]:
    # sent over: zeros that are made there would be graphs of their own
    return [each.to(device) for each in zeros(carry, "cpu", dtype, rows, size)]
