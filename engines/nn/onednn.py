"""Convolutions by oneDNN, as torch has it for x86: weights in its own order from the start, what
follows a convolution done with it, and the largest through the Fourier transform.

`PlainConv` calls the same library, but has it reorder the weights at every call.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engines.nn import fourier
from engines.nn.valid_conv import MakeConv, PlainConv, ValidConv, as_image, as_rows

# Taps, and taps times channels, from which on the Fourier transform saves time: torch's products of
# small matrices are slow. Where taps lie apart, bringing the rows together takes what it saves.
LEAST_TAPS, LEAST_PRODUCTS = 7, 1400


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
        outputs, channels, taps = weight.shape
        large = taps >= LEAST_TAPS and taps * channels >= LEAST_PRODUCTS and outputs == channels
        if large and dilation == 1 and dtype == torch.float32:
            return OneDnnFourierConv(weight, bias)
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


class OneDnnFourierConv(ValidConv):
    """In blocks, as `engines.nn.fourier` explains. Their points are groups of channels, which a
    convolution of one tap and as many groups mixes."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, None)
        made = fourier.transform(fourier.size_for(self.taps, self.channels), self.taps)
        self.points, self.size, self.results = made.points, made.size, made.results
        self.register_buffer("analysis", made.analysis.to(weight.dtype))
        self.register_buffer("synthesis", made.synthesis.to(weight.dtype))
        mixing = made.spectrum(weight).transpose(1, 2).reshape(-1, self.channels, 1, 1)
        self.register_buffer("mixing", _ordered(mixing, [1, 1], self.points), False)
        added = torch.zeros(self.points, self.outputs, dtype=weight.dtype)
        if bias is not None:
            added[0] = bias.detach()  # at frequency 0, from where it reaches every result
        self.register_buffer("added_to_points", added.reshape(-1))
        self.analysis: Tensor
        self.synthesis: Tensor
        self.mixing: Tensor
        self.added_to_points: Tensor

    def forward(self, x: Tensor) -> Tensor:
        rows = x.shape[0] - self.reach
        blocks = -(-rows // self.results)
        x = functional.pad(x, (0, 0, 0, blocks * self.results + self.reach - x.shape[0]))
        strides = self.results * self.channels, self.channels, 1
        cut = x.as_strided((blocks, self.size, self.channels), strides)
        points = torch.matmul(self.analysis, cut).view(blocks, -1)
        mixed = torch.ops.mkldnn._convolution_pointwise(
            as_image(points), self.mixing, self.added_to_points,
            [0, 0], [1, 1], [1, 1], self.points, "none", [], "",
        )  # fmt: skip
        y = torch.matmul(self.synthesis, as_rows(mixed).view(blocks, self.points, self.outputs))
        return y.view(-1, self.outputs)[:rows]


def _ordered(weight: Tensor, dilation: list[int], groups: int = 1) -> Tensor:
    """A convolution's weights as oneDNN likes them; no other operation can read them then."""
    found: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight.detach().contiguous(), [0, 0], [1, 1], dilation, groups, None
    )
    return found
