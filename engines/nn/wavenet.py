"""A WaveNet without causality: gated dilated convolutions whose skips are summed.

B batch, H hidden channels, G channels of the global condition, T time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class WaveNetLayer(nn.Module):
    def __init__(self, hidden: int, kernel: int, dilation: int, condition: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        padding = (kernel - 1) // 2 * dilation
        self.conv = nn.Conv1d(hidden, 2 * hidden, kernel, padding=padding, dilation=dilation)
        self.cond = nn.Conv1d(condition, 2 * hidden, 1, bias=False) if condition > 0 else None
        self.out = nn.Conv1d(hidden, 2 * hidden, 1)

    def forward(self, x: Tensor, mask: Tensor, g: Tensor | None) -> tuple[Tensor, Tensor]:
        """Residual and skip, both [B, H, T]; `x` [B, H, T] is masked and stays so."""
        gates = self.conv(self.dropout(x))
        if self.cond is not None and g is not None:
            gates = gates + self.cond(g)
        a, b = gates.chunk(2, dim=1)
        residual, skip = (self.out(torch.tanh(a) * torch.sigmoid(b)) * mask).chunk(2, dim=1)
        return x + residual, skip


class WaveNet(nn.Module):
    """
    Args:
        dilations: one a layer.
        condition: G, 0 where there is no global condition.
    """

    def __init__(
        self,
        hidden: int,
        kernel: int,
        dilations: tuple[int, ...],
        condition: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            WaveNetLayer(hidden, kernel, dilation, condition, dropout) for dilation in dilations
        )
        self.scale = math.sqrt(1 / len(dilations))

    def forward(self, x: Tensor, mask: Tensor, g: Tensor | None = None) -> Tensor:
        """
        Args:
            x: [B, H, T], masked.
            mask: [B, 1, T].
            g: [B, G, 1].

        Returns:
            Sum of the skips over the square root of their number, [B, H, T].
        """
        x, total = self.layers[0](x, mask, g)
        for layer in list(self.layers)[1:]:
            x, skip = layer(x, mask, g)
            total = total + skip
        return total * self.scale


class GaussianEncoder(nn.Module):
    """Frames to a normal distribution and a sample of it: the posterior encoder of VITS.

    C input channels, Z latent channels.
    """

    def __init__(self, channels: int, latent: int, hidden: int, wavenet: WaveNet):
        super().__init__()
        self.pre = nn.Conv1d(channels, hidden, 1)
        self.wavenet = wavenet
        self.proj = nn.Conv1d(hidden, 2 * latent, 1)

    def forward(
        self, x: Tensor, mask: Tensor, noise: Tensor, g: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            x: [B, C, T].
            mask: [B, 1, T].
            noise: standard normal, [B, Z, T].
            g: [B, G, 1].

        Returns:
            Sample, mean and logarithm of the deviation, each [B, Z, T] and masked.
        """
        h = self.wavenet(self.pre(x) * mask, mask, g)
        m, logs = (self.proj(h) * mask).chunk(2, dim=1)
        return (m + noise * torch.exp(logs)) * mask, m, logs


class AffineCoupling(nn.Module):
    """Half of the channels shifts (and scales) the other half.

    C channels.
    """

    def __init__(self, channels: int, hidden: int, wavenet: WaveNet, mean_only: bool):
        super().__init__()
        self.pre = nn.Conv1d(channels // 2, hidden, 1)
        self.wavenet = wavenet
        self.proj = nn.Conv1d(hidden, channels // 2 * (1 if mean_only else 2), 1)
        self.mean_only = mean_only

    def forward(self, x: Tensor, mask: Tensor, g: Tensor | None, inverse: bool) -> Tensor:
        xa, xb = x.chunk(2, dim=1)
        h = self.wavenet(self.pre(xa) * mask, mask, g)
        stats = self.proj(h) * mask
        if self.mean_only:
            xb = (xb - stats) * mask if inverse else stats + xb * mask
        else:
            m, logs = stats.chunk(2, dim=1)
            xb = (xb - m) * torch.exp(-logs) * mask if inverse else m + xb * torch.exp(logs) * mask
        return torch.cat([xa, xb], dim=1)


class CouplingFlow(nn.Module):
    """Couplings with a flip of the channels after each: the prior's flow of VITS."""

    def __init__(self, couplings: list[AffineCoupling]):
        super().__init__()
        self.couplings = nn.ModuleList(couplings)

    def forward(
        self, x: Tensor, mask: Tensor, g: Tensor | None = None, inverse: bool = False
    ) -> Tensor:
        """
        Args:
            x: [B, C, T].
            mask: [B, 1, T].
            g: [B, G, 1].

        Returns:
            [B, C, T]. In both directions padding may be other than zero: half of the channels
            passes through a coupling unmasked.
        """
        couplings = list(self.couplings)
        for coupling in reversed(couplings) if inverse else couplings:
            if inverse:
                x = coupling(x.flip(1), mask, g, True)
            else:
                x = coupling(x, mask, g, False).flip(1)
        return x
