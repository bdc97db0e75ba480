"""Vocos' backbone: ConvNeXt blocks through time, at one frame rate.

B batch, T frames, C channels, I channels within a block, D channels of the condition.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from engines.nn.masks import masked
from engines.nn.reach import CONVNEXT_KERNEL as KERNEL

EPS = 1e-6


class ConditionedNorm(nn.Module):
    """Layer norm whose scale and shift come from a condition."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.channels = channels
        self.scale = nn.Linear(condition, channels)
        self.shift = nn.Linear(condition, channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[B, T, C] and [B, D] → [B, T, C]."""
        normed = functional.layer_norm(x, (self.channels,), eps=EPS)
        return normed * self.scale(condition)[:, None] + self.shift(condition)[:, None]


class ConvNextBlock(nn.Module):
    def __init__(self, channels: int, inner: int, condition: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels)
        self.norm = _norm(channels, condition)
        self.pwconv1 = nn.Linear(channels, inner)
        self.pwconv2 = nn.Linear(inner, channels)
        self.gamma = nn.Parameter(self.pwconv2.bias.detach().clone())

    def forward(self, x: Tensor, condition: Tensor | None, mask: Tensor | None) -> Tensor:
        """[B, C, T] → the same."""
        y = _normed(self.norm, self.dwconv(masked(x, mask)).transpose(1, 2), condition)
        y = self.gamma * self.pwconv2(functional.gelu(self.pwconv1(y)))
        return x + y.transpose(1, 2)


class Backbone(nn.Module):
    """
    Args:
        inputs: channels of what goes in.
        channels: C.
        inner: I.
        condition: D; 0 where there is none.
    """

    def __init__(
        self, inputs: int, channels: int, inner: int, layers: int, condition: int = 0
    ) -> None:
        super().__init__()
        self.embed = nn.Conv1d(inputs, channels, KERNEL, padding=KERNEL // 2)
        self.norm = _norm(channels, condition)
        self.blocks = nn.ModuleList(
            ConvNextBlock(channels, inner, condition) for _ in range(layers)
        )
        self.final_layer_norm = nn.LayerNorm(channels, eps=EPS)

    def forward(
        self, x: Tensor, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """
        Args:
            x: [B, inputs, T].
            condition: [B, D].
            mask: [B, 1, T], ones where frames are real; None where all are.

        Returns:
            [B, T, C].
        """
        x = _normed(self.norm, self.embed(masked(x, mask)).transpose(1, 2), condition)
        x = x.transpose(1, 2)
        for block in self.blocks:
            x = block(x, condition, mask)
        return self.final_layer_norm(x.transpose(1, 2))


def _norm(channels: int, condition: int) -> nn.Module:
    return ConditionedNorm(channels, condition) if condition else nn.LayerNorm(channels, eps=EPS)


def _normed(norm: nn.Module, x: Tensor, condition: Tensor | None) -> Tensor:
    return norm(x) if condition is None else norm(x, condition)
