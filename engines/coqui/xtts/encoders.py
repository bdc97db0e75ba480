"""The two encoders of a reference clip: one for the GPT, one for the decoder.

B batch, C channels of the GPT, F frames, N latents, H heads, D channels of a head. Frames beyond
`lengths` change nothing. The inner names are those of the published weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.coqui.xtts.config import (
    ENCODER_BLOCKS,
    LATENTS,
    MEL_BANDS,
    PERCEIVER_HEAD,
    PERCEIVER_HEADS,
    PERCEIVER_LAYERS,
    SPEAKER_BANDS,
    SPEAKER_BLOCKS,
    SPEAKER_FILTERS,
    ModelArgs,
)
from engines.nn.masks import length_mask


class Conditioning(nn.Module):
    """A piece of a clip to what the GPT begins with.

    The latents of several pieces are averaged.
    """

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        width = args.gpt_n_model_channels
        self.mel_stats: Tensor
        self.register_buffer("mel_stats", torch.ones(MEL_BANDS))
        self.conditioning_encoder = _ClipEncoder(width, args.gpt_n_heads)
        self.conditioning_perceiver = _Perceiver(width)

    def forward(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor]:
        """
        Args:
            mel: logarithmic, [B, 80, F].
            lengths: int64 [B].

        Returns:
            [B, N, C].
        """
        mask = length_mask(lengths, mel.shape[-1], mel.dtype)
        heard = self.conditioning_encoder(mel / self.mel_stats[:, None], mask)
        return (self.conditioning_perceiver(heard.transpose(1, 2), mask),)


class _ClipEncoder(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.init = nn.Conv1d(MEL_BANDS, width, 1)
        self.attn = nn.ModuleList(_ClipBlock(width, heads) for _ in range(ENCODER_BLOCKS))

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        x = self.init(mel)
        for block in self.attn:
            x = block(x, mask)
        return x


class _ClipBlock(nn.Module):
    """Attention over all frames. What is added to is the normalised input, as it was trained."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(_groups(width), width)
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.proj_out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = _group_norm(self.norm, x, mask)
        batch, width, frames = x.shape
        qkv = self.qkv(x).view(batch, self.heads, 3, width // self.heads, frames)
        q, k, v = qkv.transpose(3, 4).unbind(2)  # [B, H, F, D]
        heard = _attend(q, k, v, mask)
        return x + self.proj_out(heard.transpose(2, 3).reshape(batch, width, frames))


class _Perceiver(nn.Module):
    """Any number of frames to N latents, which look at the frames and at each other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.empty(LATENTS, width))
        self.layers = nn.ModuleList(_PerceiverLayer(width) for _ in range(PERCEIVER_LAYERS))
        self.norm = _RmsNorm(width)

    def forward(self, heard: Tensor, mask: Tensor) -> Tensor:
        """[B, F, C], [B, 1, F] → [B, N, C]."""
        batch = heard.shape[0]
        latents = self.latents[None].expand(batch, -1, -1)
        seen = torch.cat([mask.new_ones(batch, 1, LATENTS), mask], dim=2)
        for layer in self.layers:
            latents = layer(latents, heard, seen)
        return self.norm(latents)


class _PerceiverLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        # numbered in the published list
        self.add_module("0", _Look(width))
        self.add_module("1", _GatedLinear(width))

    def forward(self, latents: Tensor, heard: Tensor, seen: Tensor) -> Tensor:
        look, feed = self.children()
        latents = look(latents, torch.cat([latents, heard], dim=1), seen) + latents
        return feed(latents) + latents


class _Look(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        inner = PERCEIVER_HEADS * PERCEIVER_HEAD
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        k, v = self.to_kv(context).chunk(2, dim=-1)
        heard = _attend(_split(self.to_q(x)), _split(k), _split(v), mask)
        return self.to_out(heard.transpose(1, 2).flatten(2))


class _GatedLinear(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        inner = int(width * 4 * 2 / 3)
        # named by their places in the published list, where a gate stands between them
        self.add_module("0", nn.Linear(width, 2 * inner))
        self.add_module("2", nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.children()
        x, gate = first(x).chunk(2, dim=-1)
        return second(x * functional.gelu(gate))


class _RmsNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=-1) * x.shape[-1] ** 0.5 * self.gamma


class SpeakerEncoder(nn.Module):
    """A clip to the embedding by which the decoder knows the voice (H/ASP, arXiv 2009.14153)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        first, *_ = widths = SPEAKER_FILTERS
        self.conv1 = nn.Conv2d(1, first, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(first)
        before = first
        for number, (width, blocks) in enumerate(zip(widths, SPEAKER_BLOCKS, strict=True), 1):
            stride = 1 if number == 1 else 2
            layer = [_SqueezeBlock(before, width, stride)]
            layer += [_SqueezeBlock(width, width, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.ModuleList(layer))
            before = width
        rows = widths[-1] * SPEAKER_BANDS // 8
        self.attention = nn.Sequential(
            nn.Conv1d(rows, 128, 1), nn.ReLU(), nn.BatchNorm1d(128), nn.Conv1d(128, rows, 1)
        )
        self.fc = nn.Linear(2 * rows, size)

    def forward(self, bands: Tensor, lengths: Tensor) -> tuple[Tensor]:
        """
        Args:
            bands: normalised, [B, 64, F].
            lengths: int64 [B].

        Returns:
            Of length 1, [B, 512].
        """
        mask = length_mask(lengths, bands.shape[-1], bands.dtype)[:, None]  # [B, 1, 1, F]
        x = self.bn1(functional.relu(self.conv1(bands[:, None] * mask)))
        for number in range(1, len(SPEAKER_BLOCKS) + 1):
            for block in self.get_submodule(f"layer{number}").children():
                x, lengths, mask = block(x, lengths, mask)
        x = x.flatten(1, 2)
        mask = mask[:, 0]
        scores = self.attention(x).masked_fill(mask == 0, -torch.inf)
        weight = scores.softmax(dim=2)
        mean = (x * weight).sum(dim=2)
        spread = ((x.square() * weight).sum(dim=2) - mean.square()).clamp(min=1e-5).sqrt()
        return (functional.normalize(self.fc(torch.cat([mean, spread], dim=1)), dim=1),)


class _SqueezeBlock(nn.Module):
    """Two convolutions, whose channels are weighted by their mean over bands and frames."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.se = nn.ModuleDict(
            {
                "fc": nn.Sequential(
                    nn.Linear(width, width // 8),
                    nn.ReLU(),
                    nn.Linear(width // 8, width),
                    nn.Sigmoid(),
                )
            }
        )
        self.downsample = (
            None
            if stride == 1 and before == width
            else nn.Sequential(
                nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        )

    def forward(self, x: Tensor, lengths: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        left = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.conv1(x * mask))
        if self.stride > 1:
            lengths = (lengths - 1) // self.stride + 1
            mask = length_mask(lengths, x.shape[-1], x.dtype)[:, None]
        x = self.bn2(self.conv2(self.bn1(x) * mask))
        frames = lengths.to(x.dtype)[:, None] * x.shape[2]
        weight = self.se["fc"]((x * mask).sum(dim=(2, 3)) / frames)
        return functional.relu(x * weight[:, :, None, None] + left), lengths, mask


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """[B, H, F, D] each; mask [B, 1, F] of the keys."""
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None] > 0)


def _split(x: Tensor) -> Tensor:
    """[B, F, H * D] → [B, H, F, D]."""
    return x.view(*x.shape[:2], PERCEIVER_HEADS, PERCEIVER_HEAD).transpose(1, 2)


def _groups(width: int) -> int:
    """Groups of a normalisation, as the published model divides its channels."""
    groups = 8 if width <= 16 else 16 if width <= 64 else 32
    while width % groups:
        groups //= 2
    return groups


def _group_norm(norm: nn.GroupNorm, x: Tensor, mask: Tensor) -> Tensor:
    """`norm` over the frames that are real."""
    batch, width, frames = x.shape
    grouped = x.view(batch, norm.num_groups, -1, frames)
    mask = mask[:, None]  # [B, 1, 1, F]
    count = mask.sum(dim=(2, 3), keepdim=True) * grouped.shape[2]
    mean = (grouped * mask).sum(dim=(2, 3), keepdim=True) / count
    centred = (grouped - mean) * mask
    variance = centred.square().sum(dim=(2, 3), keepdim=True) / count
    scaled = (centred * (variance + norm.eps).rsqrt()).view(batch, width, frames)
    return scaled * norm.weight[:, None] + norm.bias[:, None]
