"""The speaker encoder: a mel spectrogram to 32 global tokens, and those to a vector.

B batch, T frames, F mel bands, N = 32 tokens, L latent channels, Q dimensions of a code, D of the
vector.
"""

from __future__ import annotations

from math import atanh, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.spark.config import SpeakerConfig
from engines.spark.ecapa import Ecapa

HEADS, HEAD_SIZE = 8, 64
DEPTH = 2
GROWTH = 8 / 3  # of the feed-forward layers
EPS = 1e-3  # by which levels are spread, so that the outermost are reached


class Attention(nn.Module):
    """Of the latents to themselves and the context; nothing is normed before it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, HEADS * HEAD_SIZE, bias=False)
        self.to_kv = nn.Linear(channels, 2 * HEADS * HEAD_SIZE, bias=False)
        self.to_out = nn.Linear(HEADS * HEAD_SIZE, channels, bias=False)

    def forward(self, latents: Tensor, context: Tensor) -> Tensor:
        """[B, N, L] and [B, T, L] → [B, N, L]."""
        keys, values = self.to_kv(torch.cat([latents, context], 1)).chunk(2, -1)
        queries, keys, values = _heads(self.to_q(latents)), _heads(keys), _heads(values)
        found = functional.scaled_dot_product_attention(queries, keys, values)
        return self.to_out(found.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = int(channels * GROWTH)
        self.enter = nn.Linear(channels, 2 * inner)
        self.leave = nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        values, gate = self.enter(x).chunk(2, -1)
        return self.leave(functional.gelu(gate) * values)


class Perceiver(nn.Module):
    """Frames of any number to N latents."""

    def __init__(self, context: int, channels: int, tokens: int) -> None:
        super().__init__()
        self.proj_context = nn.Linear(context, channels)
        self.latents = nn.Parameter(torch.zeros(tokens, channels))
        self.attentions = nn.ModuleList(Attention(channels) for _ in range(DEPTH))
        self.feed_forwards = nn.ModuleList(FeedForward(channels) for _ in range(DEPTH))
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, frames: Tensor) -> Tensor:
        """[B, T, E] → [B, N, L]."""
        context = self.proj_context(frames)
        x = self.latents.expand(frames.shape[0], -1, -1)
        for attention, feed_forward in zip(self.attentions, self.feed_forwards, strict=True):
            x = attention(x, context) + x
            x = feed_forward(x) + x
        return functional.normalize(x, dim=-1) * sqrt(x.shape[-1]) * self.gamma


class FiniteScalars(nn.Module):
    """FSQ: each dimension of a code is rounded to one of a few levels."""

    def __init__(self, channels: int, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = levels
        self.project_in = nn.Linear(channels, len(levels))
        self.project_out = nn.Linear(len(levels), channels)

    def quantize(self, z: Tensor) -> Tensor:
        """[..., Q] → codes of the same shape, in [-1, 1)."""
        half = [(level - 1) * (1 + EPS) / 2 for level in self.levels]
        offset = [0.5 if level % 2 == 0 else 0.0 for level in self.levels]
        shift = [atanh(o / h) for o, h in zip(offset, half, strict=True)]
        bounded = torch.tanh(z + z.new_tensor(shift)) * z.new_tensor(half) - z.new_tensor(offset)
        return bounded.round() / self._halves(z)

    def tokens(self, codes: Tensor) -> Tensor:
        """Codes [..., Q] → int64 [...], the first dimension counting least."""
        whole = (codes * self._halves(codes) + self._halves(codes)).round().long()
        return (whole * torch.tensor(self._weights(), device=codes.device)).sum(-1)

    def codes(self, tokens: Tensor, dtype: torch.dtype) -> Tensor:
        """int64 [...] → codes [..., Q]."""
        weights = torch.tensor(self._weights(), device=tokens.device)
        levels = torch.tensor(self.levels, device=tokens.device)
        whole = tokens[..., None].div(weights, rounding_mode="floor") % levels
        halves = self._halves(torch.zeros((), dtype=dtype, device=tokens.device))
        return (whole.to(dtype) - halves) / halves

    def _halves(self, like: Tensor) -> Tensor:
        return like.new_tensor([level // 2 for level in self.levels])

    def _weights(self) -> list[int]:
        weights = [1]
        for level in self.levels[:-1]:
            weights.append(weights[-1] * level)
        return weights


class SpeakerEncoder(nn.Module):
    """
    Args:
        channels: of ECAPA, which no configuration tells: the weights do.
        pooling: with what only training needs.
    """

    def __init__(self, config: SpeakerConfig, channels: int, *, pooling: bool = False) -> None:
        super().__init__()
        self.ecapa = Ecapa(config.input_dim, channels, config.out_dim, pooling=pooling)
        self.perceiver = Perceiver(3 * channels, config.latent_dim, config.token_num)
        self.quantizer = FiniteScalars(config.latent_dim, config.fsq_levels)
        self.project = nn.Linear(config.latent_dim * config.token_num, config.out_dim)

    def tokenize(self, mel: Tensor) -> Tensor:
        """[B, T, F] → int64 [B, N]."""
        latents = self.perceiver(self.ecapa(mel).transpose(1, 2))
        codes = self.quantizer.quantize(self.quantizer.project_in(latents))
        return self.quantizer.tokens(codes)

    def detokenize(self, tokens: Tensor) -> Tensor:
        """int64 [B, N] → [B, D]."""
        return self.vector(self.quantizer.codes(tokens, self.project.weight.dtype))

    def vector(self, codes: Tensor) -> Tensor:
        """[B, N, Q] → [B, D]."""
        latents = self.quantizer.project_out(codes)
        return self.project(latents.transpose(1, 2).flatten(1))  # latent channels count most


class SpeakerTokenize(nn.Module):
    def __init__(self, encoder: SpeakerEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, mel: Tensor) -> tuple[Tensor]:
        return (self.encoder.tokenize(mel),)


class SpeakerDetokenize(nn.Module):
    """Its own parts alone, so that speaking needs nothing of what listening does."""

    def __init__(self, encoder: SpeakerEncoder) -> None:
        super().__init__()
        self.quantizer = encoder.quantizer
        self.project = encoder.project

    def forward(self, tokens: Tensor) -> tuple[Tensor]:
        codes = self.quantizer.codes(tokens, self.project.weight.dtype)
        latents = self.quantizer.project_out(codes)
        return (self.project(latents.transpose(1, 2).flatten(1)),)


def _heads(x: Tensor) -> Tensor:
    """[B, N, H * HEAD_SIZE] → [B, H, N, HEAD_SIZE]."""
    return x.view(x.shape[0], -1, HEADS, HEAD_SIZE).transpose(1, 2)
