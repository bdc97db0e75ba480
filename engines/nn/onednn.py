"""Convolutions by oneDNN, as torch has it for x86: weights in its own order from the start, and
what follows a convolution done with it.

`PlainConv` calls the same library, but has it reorder the weights at every call. The Fourier
transform gains nothing here: torch's products of small matrices are too slow.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engines.nn.valid_conv import MakeConv, PlainConv, ValidConv, as_image, as_rows


def is_there() -> bool:
    """Has this torch these operations, and are they known to be worth it here?"""
    ops = torch.ops.mkldnn
    return (
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(ops, "_convolution_pointwise")
        and hasattr(ops, "_reorder_convolution_weight")
    )


def on_cpu(dtype: torch.dtype) -> MakeConv:
    """The fastest convolutions for a CPU, in float32 or bfloat16."""
    if not is_there() or dtype not in (torch.float32, torch.bfloat16):
        return PlainConv

    def make(weight: Tensor, bias: Tensor | None, dilation: int) -> ValidConv:
        weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
        return OneDnnConv(weight, bias, dilation)

    return make


class OneDnnConv(ValidConv):
    def __init__(self, weight: Tensor, bias: Tensor | None, dilation: int) -> None:
        super().__init__(weight, bias, dilation)
        self._dilation = [1, dilation]
        self.register_buffer("weight", _ordered(weight[:, :, None], self._dilation), False)
        self.weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return self._convolved(x, "none", [])

    def activated(self, x: Tensor, slope: float) -> Tensor:
        return self._convolved(x, "leaky_relu", [slope])

    def added(self, x: Tensor, to: Tensor) -> Tensor:
        y = torch.ops.mkldnn._convolution_pointwise.binary(
            as_image(x), as_image(to), self.weight, self.bias,
            [0, 0], [1, 1], self._dilation, 1, "add", 1.0, None, [], None,
        )  # fmt: skip
        return as_rows(y)

    def _convolved(self, x: Tensor, then: str, numbers: list[float]) -> Tensor:
        y = torch.ops.mkldnn._convolution_pointwise(
            as_image(x), self.weight, self.bias,
            [0, 0], [1, 1], self._dilation, 1, then, numbers, "",
        )  # fmt: skip
        return as_rows(y)


def _ordered(weight: Tensor, dilation: list[int]) -> Tensor:
    """A convolution's weights as oneDNN likes them; no other operation can read them then."""
    found: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight.detach().contiguous(), [0, 0], [1, 1], dilation, 1, None
    )
    return found
