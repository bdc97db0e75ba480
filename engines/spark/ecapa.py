"""ECAPA-TDNN: frames of a mel spectrogram to frames that tell speakers apart.

B batch, T frames, F mel bands, C channels, E = 3 C channels of what comes out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BOTTLENECK = 128  # of squeeze and excitation, and of the pooling's attention
SCALE = 8  # groups of a Res2 block
EPS, VARIANCE = 1e-5, 1e-7
DILATIONS = (2, 3, 4)


class FrozenBatchNorm(nn.Module):
    """Batch norm with the statistics of training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.running_mean: Tensor
        self.running_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T] or [B, C] → the same."""
        scale = self.weight * (self.running_var + EPS).rsqrt()
        shift = self.bias - self.running_mean * scale
        shape = (-1, *[1] * (x.dim() - 2))
        return x * scale.view(shape) + shift.view(shape)


class ConvReluNorm(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, out, kernel, padding=kernel // 2)
        self.bn = FrozenBatchNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(torch.relu(self.conv(x)))


class Res2(nn.Module):
    """Channels in groups, each of which sees what came of the one before; the last passes."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.width = channels // SCALE
        self.convs = nn.ModuleList(
            nn.Conv1d(self.width, self.width, 3, padding=dilation, dilation=dilation)
            for _ in range(SCALE - 1)
        )
        self.bns = nn.ModuleList(FrozenBatchNorm(self.width) for _ in range(SCALE - 1))

    def forward(self, x: Tensor) -> Tensor:
        *groups, last = x.chunk(SCALE, 1)
        made: list[Tensor] = []
        for group, conv, norm in zip(groups, self.convs, self.bns, strict=True):
            given = group + made[-1] if made else group
            made.append(norm(torch.relu(conv(given))))
        return torch.cat([*made, last], 1)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, BOTTLENECK)
        self.linear2 = nn.Linear(BOTTLENECK, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.linear2(torch.relu(self.linear1(x.mean(2)))))
        return x * gate[:, :, None]


class Block(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.enter = ConvReluNorm(channels, channels)
        self.res2 = Res2(channels, dilation)
        self.leave = ConvReluNorm(channels, channels)
        self.gate = SqueezeExcite(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gate(self.leave(self.res2(self.enter(x))))


class Pooling(nn.Module):
    """Mean and deviation through time, weighed by attention; only training looked at it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Conv1d(3 * channels, BOTTLENECK, 1)
        self.linear2 = nn.Conv1d(BOTTLENECK, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, E, T] → [B, 2 E]."""
        mean = x.mean(2, keepdim=True)
        deviation = (x.var(2, keepdim=True) + VARIANCE).sqrt()
        context = torch.cat([x, mean.expand_as(x), deviation.expand_as(x)], 1)
        weights = self.linear2(torch.tanh(self.linear1(context))).softmax(2)
        mean = (weights * x).sum(2)
        variance = (weights * x.square()).sum(2) - mean.square()
        return torch.cat([mean, variance.clamp(min=VARIANCE).sqrt()], 1)


class Ecapa(nn.Module):
    """
    Args:
        bands: F.
        channels: C.
        out: of the x-vector.
        pooling: with what only training needs, the x-vector.
    """

    def __init__(self, bands: int, channels: int, out: int, *, pooling: bool) -> None:
        super().__init__()
        wide = 3 * channels
        self.enter = ConvReluNorm(bands, channels, 5)
        self.blocks = nn.ModuleList(Block(channels, dilation) for dilation in DILATIONS)
        self.conv = nn.Conv1d(wide, wide, 1)
        self.pool = Pooling(wide) if pooling else None
        self.bn = FrozenBatchNorm(2 * wide) if pooling else None
        self.linear = nn.Linear(2 * wide, out) if pooling else None

    def forward(self, mel: Tensor) -> Tensor:
        """[B, T, F] → [B, E, T]."""
        x = self.enter(mel.transpose(1, 2))
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return torch.relu(self.conv(torch.cat(found, 1)))

    def x_vector(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """[B, E, T] → the pooled [B, 2 E] and the x-vector [B, out]."""
        assert self.pool is not None and self.bn is not None and self.linear is not None
        pooled = self.pool(latent)
        return pooled, self.linear(self.bn(pooled))
