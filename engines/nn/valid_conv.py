"""Convolutions over time without padding, of rows of channels.

T rows of time, C channels in, D channels out, K taps.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional


class ValidConv(nn.Module):
    """[T, C] → [T - reach, D]: rows at whose place the kernel does not lie whole are left out.

    Args:
        weight: [D, C, K].
        bias: [D], or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, dilation: int = 1) -> None:
        super().__init__()
        self.outputs, self.channels, self.taps = weight.shape
        self.dilation = dilation
        self.register_buffer("bias", None if bias is None else bias.detach().clone())
        self.bias: Tensor | None

    @property
    def reach(self) -> int:
        """Rows that it takes more than it gives."""
        return (self.taps - 1) * self.dilation

    def activated(self, x: Tensor, slope: float) -> Tensor:
        """Followed by a leaky ReLU."""
        return functional.leaky_relu(self(x), slope, inplace=True)

    def added(self, x: Tensor, to: Tensor) -> Tensor:
        """`to` [T - reach, D] plus the convolution of x."""
        y: Tensor = self(x)
        return y.add_(to)


# weight [D, C, K], bias [D], dilation → the convolution
MakeConv = Callable[[Tensor, "Tensor | None", int], ValidConv]


class PlainConv(ValidConv):
    """As torch does it, as one over an image of height 1: libraries have faster code for images
    with their channels last."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dilation: int = 1) -> None:
        super().__init__(weight, bias, dilation)
        self.register_buffer("weight", weight.detach()[:, :, None].clone())
        self.weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        y = functional.conv2d(as_image(x), self.weight, self.bias, dilation=(1, self.dilation))
        return as_rows(y)


def as_image(x: Tensor) -> Tensor:
    """[T, C] → [1, C, 1, T], its channels last in memory."""
    return x[None, None].permute(0, 3, 1, 2)


def as_rows(y: Tensor) -> Tensor:
    """[1, C, 1, T], its channels last in memory → [T, C]."""
    return y.permute(0, 2, 3, 1)[0, 0]
