"""The stochastic duration predictor of VITS: a flow over the logarithm of durations.

B batch, C channels, G channels of the global condition, T text.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.nn.spline import spline

BINS = 10
LEAST_DURATION = 1e-5  # before its logarithm is taken
LOG_2PI = math.log(2 * math.pi)


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [B, C, T]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class SeparableConv(nn.Module):
    """Depthwise convolution, then one over channels."""

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float):
        super().__init__()
        padding = (kernel - 1) * dilation // 2
        self.depth = nn.Conv1d(
            channels, channels, kernel, groups=channels, dilation=dilation, padding=padding
        )
        self.norm1 = ChannelNorm(channels)
        self.point = nn.Conv1d(channels, channels, 1)
        self.norm2 = ChannelNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.norm1(self.depth(x)))
        return self.dropout(functional.gelu(self.norm2(self.point(x))))


class SeparableStack(nn.Module):
    """Residual separable convolutions; layer i is dilated by kernel**i."""

    def __init__(self, channels: int, kernel: int, layers: int, dropout: float = 0.0):
        super().__init__()
        self.layers = nn.ModuleList(
            SeparableConv(channels, kernel, kernel**i, dropout) for i in range(layers)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x * mask)
        return x * mask


class Affine(nn.Module):
    """An offset and a scale for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.m = nn.Parameter(torch.zeros(channels, 1))
        self.logs = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, T] → the same and its log-determinant [B]."""
        return (self.m + torch.exp(self.logs) * x) * mask, (self.logs * mask).sum((1, 2))

    def inverse(self, x: Tensor, mask: Tensor) -> Tensor:
        return (x - self.m) * torch.exp(-self.logs) * mask


class SplineCoupling(nn.Module):
    """The first of two channels says by which spline the second is mapped."""

    def __init__(self, hidden: int, kernel: int, layers: int):
        super().__init__()
        self.pre = nn.Conv1d(1, hidden, 1)
        self.stack = SeparableStack(hidden, kernel, layers)
        self.proj = nn.Conv1d(hidden, 3 * BINS - 1, 1)
        self.scale = math.sqrt(hidden)

    def forward(
        self, x: Tensor, mask: Tensor, condition: Tensor, inverse: bool = False
    ) -> tuple[Tensor, Tensor]:
        """
        Args:
            x: [B, 2, T].
            condition: [B, C, T].

        Returns:
            [B, 2, T] and the log-determinant [B].
        """
        xa, xb = x.chunk(2, dim=1)
        h = self.proj(self.stack(self.pre(xa) + condition, mask)) * mask
        h = h.transpose(1, 2)[:, None]  # [B, 1, T, 3 * BINS - 1]
        widths, heights, slopes = h.split((BINS, BINS, BINS - 1), dim=-1)
        xb, logdet = spline(xb, widths / self.scale, heights / self.scale, slopes, inverse=inverse)
        return torch.cat([xa, xb], dim=1) * mask, (logdet * mask).sum((1, 2))


class DurationFlow(nn.Module):
    """An affine layer, then couplings, each with its channels flipped after it."""

    def __init__(self, hidden: int, kernel: int, layers: int, couplings: int):
        super().__init__()
        self.affine = Affine(2)
        self.couplings = nn.ModuleList(
            SplineCoupling(hidden, kernel, layers) for _ in range(couplings)
        )

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 2, T] → the same and its log-determinant [B]."""
        x, total = self.affine(x, mask)
        for coupling in self.couplings:
            x, logdet = coupling(x, mask, condition)
            x, total = x.flip(1), total + logdet
        return x, total

    def inverse(self, x: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
        # The original leaves the first coupling out here, and its flip stays.
        for coupling in reversed(list(self.couplings)[1:]):
            x, _ = coupling(x.flip(1), mask, condition, inverse=True)
        return self.affine.inverse(x.flip(1), mask)


class DurationPredictor(nn.Module):
    """
    Args:
        couplings: of each of its two flows.
        layers: of each stack of separable convolutions.
        condition: G, 0 where there is no global condition.
    """

    def __init__(
        self,
        channels: int,
        kernel: int,
        couplings: int,
        layers: int,
        condition: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.pre = nn.Conv1d(channels, channels, 1)
        self.cond = nn.Conv1d(condition, channels, 1) if condition > 0 else None
        self.stack = SeparableStack(channels, kernel, layers, dropout)
        self.proj = nn.Conv1d(channels, channels, 1)
        self.flow = DurationFlow(channels, kernel, layers, couplings)
        self.post_pre = nn.Conv1d(1, channels, 1)
        self.post_stack = SeparableStack(channels, kernel, layers, dropout)
        self.post_proj = nn.Conv1d(channels, channels, 1)
        self.post_flow = DurationFlow(channels, kernel, layers, couplings)

    def forward(
        self, x: Tensor, mask: Tensor, noise: Tensor, noise_scale: Tensor, g: Tensor | None = None
    ) -> Tensor:
        """Logarithms of durations, drawn from the flow.

        Args:
            x: [B, C, T].
            mask: [B, 1, T].
            noise: standard normal, [B, 2, T].
            noise_scale: [].
            g: [B, G, 1].

        Returns:
            [B, 1, T].
        """
        condition = self._condition(x, mask, g)
        return self.flow.inverse(noise * noise_scale, mask, condition)[:, :1]

    def nll(
        self, x: Tensor, mask: Tensor, w: Tensor, noise: Tensor, g: Tensor | None = None
    ) -> Tensor:
        """Upper bound of the negative log-likelihood of durations, for training.

        Args:
            w: durations in frames, [B, 1, T].
            noise: for the variational dequantisation; standard normal, [B, 2, T].

        Returns:
            [B], summed over the text.
        """
        x = self._condition(x, mask, g)
        h = self.post_proj(self.post_stack(self.post_pre(w), mask)) * mask
        e = noise * mask
        z, logdet_q = self.post_flow(e, mask, x + h)
        z_u, z1 = z.chunk(2, dim=1)
        u = torch.sigmoid(z_u) * mask
        logdet_q = logdet_q + (
            (functional.logsigmoid(z_u) + functional.logsigmoid(-z_u)) * mask
        ).sum((1, 2))
        log_q = (-0.5 * (LOG_2PI + e.square()) * mask).sum((1, 2)) - logdet_q

        z0 = torch.log(((w - u) * mask).clamp(min=LEAST_DURATION)) * mask
        z, logdet = self.flow(torch.cat([z0, z1], dim=1), mask, x)
        logdet = logdet - z0.sum((1, 2))
        return (0.5 * (LOG_2PI + z.square()) * mask).sum((1, 2)) - logdet + log_q

    def _condition(self, x: Tensor, mask: Tensor, g: Tensor | None) -> Tensor:
        """What both flows look at; no gradient goes back to the text encoder or to `g`."""
        x = self.pre(x.detach())
        if self.cond is not None and g is not None:
            x = x + self.cond(g.detach())
        return self.proj(self.stack(x, mask)) * mask
