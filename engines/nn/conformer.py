"""Conformer blocks with relative positions, as ESPnet writes them.

B batch, T time, C channels (last), N heads, D = C / N.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-12  # of ESPnet's own layer norm

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "hardtanh": functional.hardtanh,
    "tanh": torch.tanh,
    "relu": functional.relu,
    "selu": functional.selu,
    "swish": functional.silu,
}


@dataclass(frozen=True)
class ConformerShape:
    """
    Attributes:
        ffn_kernel: of both convolutions of a feed-forward part.
        macaron: a half-step feed-forward part stands before the attention too.
        conv_kernel: of the convolution module; 0 where blocks have none.
        activation: of the convolution module.
        normalize_before: a part's layer norm comes before it, not after.
    """

    channels: int
    heads: int
    ffn_channels: int
    ffn_kernel: int
    blocks: int
    macaron: bool = True
    conv_kernel: int = 0
    activation: str = "swish"
    normalize_before: bool = True
    dropout: float = 0.0
    attention_dropout: float = 0.0
    position_dropout: float = 0.0


def relative_positions(size: int, channels: int, like: Tensor) -> Tensor:
    """Sines on even and cosines on odd channels from position size - 1 down to 1 - size.

    Returns:
        [2 * size - 1, C] in the dtype and on the device of `like`.
    """
    steps = torch.arange(size - 1, -size, -1, device=like.device).to(torch.float32)
    even = torch.arange(0, channels, 2, device=like.device).to(torch.float32)
    angles = steps[:, None] * torch.exp(even * -(math.log(10000.0) / channels))
    table = torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).flatten(1)
    return table[:, :channels].to(like.dtype)


class RelativeAttention(nn.Module):
    """Self-attention whose scores add what a key is and how far away it is (Transformer-XL)."""

    def __init__(self, channels: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.width = heads, channels // heads
        self.linear_q = nn.Linear(channels, channels)
        self.linear_k = nn.Linear(channels, channels)
        self.linear_v = nn.Linear(channels, channels)
        self.linear_out = nn.Linear(channels, channels)
        self.linear_pos = nn.Linear(channels, channels, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, self.width))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, self.width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, positions: Tensor, keys: Tensor) -> Tensor:
        """
        Args:
            x: [B, T, C].
            positions: [2 * T - 1, C].
            keys: bool [B, 1, 1, T], False at padding.

        Returns:
            [B, T, C].
        """
        batch, size, _ = x.shape
        q = self.linear_q(x).view(batch, size, self.heads, self.width)
        k = self.linear_k(x).view(batch, size, self.heads, self.width).permute(0, 2, 3, 1)
        v = self.linear_v(x).view(batch, size, self.heads, self.width).transpose(1, 2)
        p = self.linear_pos(positions).view(-1, self.heads, self.width).permute(1, 2, 0)
        content = (q + self.pos_bias_u).transpose(1, 2) @ k  # [B, N, T, T]
        distance = (q + self.pos_bias_v).transpose(1, 2) @ p  # [B, N, T, 2 * T - 1]
        scores = (content + _shift(distance)) / math.sqrt(self.width)
        scores = scores.masked_fill(~keys, torch.finfo(scores.dtype).min)
        shares = self.dropout(scores.softmax(dim=-1).masked_fill(~keys, 0.0))
        return self.linear_out((shares @ v).transpose(1, 2).flatten(2))


def _shift(x: Tensor) -> Tensor:
    """Scores by relative position [B, N, T, 2 * T - 1] → by key [B, N, T, T].

    Row i wants its columns from T - 1 - i on; one more column and another row length bring
    them there without an index.
    """
    batch, heads, size, width = x.shape
    x = functional.pad(x, (1, 0)).view(batch, heads, width + 1, size)
    return x[:, :, 1:].reshape(batch, heads, size, width)[..., :size]


class FeedForward(nn.Module):
    """Two convolutions over time with a ReLU between them."""

    def __init__(self, shape: ConformerShape):
        super().__init__()
        padding = (shape.ffn_kernel - 1) // 2
        wide, kernel = shape.ffn_channels, shape.ffn_kernel
        self.w_1 = nn.Conv1d(shape.channels, wide, kernel, padding=padding)
        self.w_2 = nn.Conv1d(wide, shape.channels, kernel, padding=padding)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, C] → the same; `mask` [B, T, 1]."""
        x = x if mask is None else x * mask
        x = functional.relu(self.w_1(x.transpose(1, 2)))
        x = x if mask is None else x * mask.transpose(1, 2)
        return self.w_2(self.dropout(x)).transpose(1, 2)


class ConvModule(nn.Module):
    """Gated pointwise, depthwise, batch norm, pointwise."""

    def __init__(self, shape: ConformerShape):
        super().__init__()
        size, kernel = shape.channels, shape.conv_kernel
        self.pointwise_conv1 = nn.Conv1d(size, 2 * size, 1)
        self.depthwise_conv = nn.Conv1d(size, size, kernel, padding=(kernel - 1) // 2, groups=size)
        self.norm = nn.BatchNorm1d(size)
        self.pointwise_conv2 = nn.Conv1d(size, size, 1)
        self.activation = ACTIVATIONS[shape.activation]

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, C] → the same; `mask` [B, T, 1]."""
        x = functional.glu(self.pointwise_conv1(x.transpose(1, 2)), dim=1)
        x = x if mask is None else x * mask.transpose(1, 2)
        x = self.activation(self.norm(self.depthwise_conv(x)))
        return self.pointwise_conv2(x).transpose(1, 2)


class ConformerBlock(nn.Module):
    def __init__(self, shape: ConformerShape):
        super().__init__()
        self.before = shape.normalize_before
        self.self_attn = RelativeAttention(shape.channels, shape.heads, shape.attention_dropout)
        self.norm_mha = nn.LayerNorm(shape.channels, EPS)
        self.feed_forward = FeedForward(shape)
        self.norm_ff = nn.LayerNorm(shape.channels, EPS)
        self.macaron = shape.macaron
        if shape.macaron:
            self.feed_forward_macaron = FeedForward(shape)
            self.norm_ff_macaron = nn.LayerNorm(shape.channels, EPS)
        self.convolves = shape.conv_kernel > 0
        if self.convolves:
            self.conv_module = ConvModule(shape)
            self.norm_conv = nn.LayerNorm(shape.channels, EPS)
            self.norm_final = nn.LayerNorm(shape.channels, EPS)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, positions: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        half = 0.5 if self.macaron else 1.0
        if self.macaron:
            x = self._part(x, self.norm_ff_macaron, self.feed_forward_macaron, half, mask)
        x = self._part(x, self.norm_mha, self.self_attn, 1.0, positions, keys)
        if self.convolves:
            x = self._part(x, self.norm_conv, self.conv_module, 1.0, mask)
        x = self._part(x, self.norm_ff, self.feed_forward, half, mask)
        return self.norm_final(x) if self.convolves else x

    def _part(
        self, x: Tensor, norm: nn.Module, part: nn.Module, scale: float, *args: Tensor | None
    ) -> Tensor:
        if self.before:
            return x + scale * self.dropout(part(norm(x), *args))
        return norm(x + scale * self.dropout(part(x, *args)))


class Conformer(nn.Module):
    def __init__(self, shape: ConformerShape):
        super().__init__()
        self.scale = math.sqrt(shape.channels)
        self.position_dropout = nn.Dropout(shape.position_dropout)
        self.blocks = nn.ModuleList(ConformerBlock(shape) for _ in range(shape.blocks))
        self.after_norm = (
            nn.LayerNorm(shape.channels, EPS) if shape.normalize_before else nn.Identity()
        )

    def forward(self, x: Tensor, mask: Tensor, *, leak: bool = False) -> Tensor:
        """
        Args:
            x: [B, T, C]; it is scaled by the square root of C here.
            mask: [B, 1, T].
            leak: convolutions see what lies at padded positions, as in ESPnet's training; else
                padding counts as silence and changes nothing.

        Returns:
            [B, T, C]; padding is not masked.
        """
        positions = relative_positions(x.shape[1], x.shape[2], x)
        positions, x = self.position_dropout(positions), self.position_dropout(x * self.scale)
        keys, inner = mask[:, None] > 0, None if leak else mask.transpose(1, 2)
        for block in self.blocks:
            x = block(x, positions, keys, inner)
        return self.after_norm(x)
