"""Small stages of the kinds that speech models are made of, with random weights.

Letters: B batch, H channels, T text positions or frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from engines.nn.kv_cache import KvCache, Rotary, kept_dim, last
from engines.runtime.buckets import Buckets, BucketTable
from engines.runtime.noise import normal
from engines.runtime.stage import Length, MapStage, Port
from engines.runtime.step import Carry, StepStage

SYMBOLS = 11
HIDDEN = 8
HOP = 4  # samples a frame

TABLE: BucketTable = {"T_text": Buckets([8, 12, 18]), "T_mel": Buckets([16, 24, 36])}


def mask_of(lengths: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """[B], [B, H, T] → [B, 1, T]: 1 up to each length."""
    positions = torch.arange(like.shape[-1], device=like.device)
    return (positions < lengths[:, None]).to(like.dtype)[:, None]


class Attention(nn.Module):
    """One head over all positions of the text."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(HIDDEN, 3 * HIDDEN)
        self.out = nn.Linear(HIDDEN, HIDDEN)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[B, H, T], [B, 1, T] → [B, H, T]"""
        q, k, v = self.qkv(x.transpose(1, 2)).chunk(3, dim=-1)
        scores = q @ k.transpose(1, 2) / HIDDEN**0.5
        weights = scores.masked_fill(mask == 0, -1e4).softmax(-1)
        return self.out(weights @ v).transpose(1, 2)


class Encoder(nn.Module):
    """Symbols to a mean and a duration each, as in a text encoder with a duration predictor."""

    def __init__(self, masked: bool = True) -> None:
        super().__init__()
        self.masked = masked
        self.embedding = nn.Embedding(SYMBOLS, HIDDEN)
        self.convs = nn.ModuleList(nn.Conv1d(HIDDEN, HIDDEN, 5, padding=2) for _ in range(2))
        self.attention = Attention()
        self.duration = nn.Conv1d(HIDDEN + 2, 1, 3, padding=1)

    def forward(
        self,
        ids: torch.Tensor,
        text_lengths: torch.Tensor,
        noise: torch.Tensor,
        noise_scale: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.embedding(ids).transpose(1, 2)
        mask = mask_of(text_lengths, x) if self.masked else torch.ones_like(x[:, :1])
        for conv in self.convs:
            x = torch.relu(conv(x * mask)) + x
        x = (x + self.attention(x * mask, mask)) * mask
        with_noise = torch.cat([x, noise * noise_scale], 1) * mask
        frames = torch.ceil(torch.exp(self.duration(with_noise)) * mask)[:, 0]
        return x, frames.long()


class Decoder(nn.Module):
    """Frames to samples by a transposed convolution, as in a vocoder."""

    def __init__(self, masked: bool = True) -> None:
        super().__init__()
        self.masked = masked
        self.pre = nn.Conv1d(HIDDEN, HIDDEN, 7, padding=3)
        self.up = nn.ConvTranspose1d(HIDDEN, HIDDEN, 2 * HOP, HOP, padding=HOP // 2)
        self.res = nn.Conv1d(HIDDEN, HIDDEN, 3, padding=3, dilation=3)
        self.post = nn.Conv1d(HIDDEN, 1, 7, padding=3)

    def forward(self, z: torch.Tensor, mel_lengths: torch.Tensor) -> tuple[torch.Tensor]:
        mask = mask_of(mel_lengths, z) if self.masked else torch.ones_like(z[:, :1])
        x = self.up(self.pre(z * mask) * mask)
        wide = mask.repeat_interleave(HOP, dim=-1)
        x = x + self.res(nn.functional.leaky_relu(x * wide, 0.1))
        return (torch.tanh(self.post(x * wide)),)


def encoder(seed: int = 0, *, masked: bool = True, batch: int | str = 1) -> MapStage:
    torch.manual_seed(seed)
    return MapStage(
        "encode",
        Encoder(masked).eval().requires_grad_(False),
        inputs=(
            Port("ids", "int64", (batch, "T_text")),
            Port("text_lengths", "int64", (batch,)),
            Port("noise", "float32", (batch, 2, "T_text")),
            Port("noise_scale", "float32", ()),
        ),
        outputs=(
            Port("m", "float32", (batch, HIDDEN, "T_text")),
            Port("durations", "int64", (batch, "T_text")),
        ),
        lengths={"text_lengths": "T_text"},
    )


def decoder(seed: int = 0, *, masked: bool = True) -> MapStage:
    torch.manual_seed(seed)
    return MapStage(
        "decode",
        Decoder(masked).eval().requires_grad_(False),
        inputs=(
            Port("z", "float32", (1, HIDDEN, "T_mel")),
            Port("mel_lengths", "int64", (1,)),
        ),
        outputs=(Port("wav", "float32", (1, 1, "T_wav")),),
        out_len={"T_wav": Length("T_mel", HOP)},
        lengths={"mel_lengths": "T_mel"},
    )


def text(length: int, seed: int = 3) -> dict[str, np.ndarray]:
    """Inputs of `encoder`."""
    return {
        "ids": np.random.default_rng(seed).integers(0, SYMBOLS, (1, length)),
        "noise": normal(seed, "durations", (1, 2, length)),
        "noise_scale": np.float32(0.8),
    }


def frames(length: int, seed: int = 3) -> dict[str, np.ndarray]:
    """Inputs of `decoder`."""
    return {"z": normal(seed, "z", (1, HIDDEN, length))}


# a step stage

KEYS, QUERIES, HEAD = 2, 4, 16  # heads of keys, of queries; numbers of a head
STEP_TABLE: BucketTable = {"B": Buckets([1, 3]), "T_new": Buckets([4, 8])}
STEP_SIZES = Buckets([8, 12, 24])


class Speaker(nn.Module):
    """Two layers of attention over a carry, as in a language model."""

    def __init__(self, layers: int = 2, head: int = HEAD) -> None:
        super().__init__()
        size = QUERIES * head
        self.split = (size, KEYS * head, KEYS * head)
        self.head_dim = head
        self.embedding = nn.Embedding(SYMBOLS, size)
        self.qkv = nn.ModuleList(nn.Linear(size, sum(self.split)) for _ in range(layers))
        self.out = nn.ModuleList(nn.Linear(size, size) for _ in range(layers))
        self.head = nn.Linear(size, SYMBOLS)
        for name, table in zip(("cos", "sin"), Rotary.tables(64, head, 100.0), strict=True):
            self.register_buffer(name, table)

    def forward(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        lengths: torch.Tensor,
        *carry: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        cache = KvCache(carry, positions, lengths, ids.shape[1], self.head_dim)
        x = self.embedding(ids)
        for layer, (qkv, out) in enumerate(zip(self.qkv, self.out, strict=True)):
            q, k, v = qkv(x).split(self.split, dim=-1)
            x = x + out(cache.attend(layer, q, k, v, rotary=Rotary(self.cos, self.sin))).tanh()
        return (self.head(last(x, lengths)), x, *cache.tensors)


def speaker(seed: int = 0, *, layers: int = 2, head: int = HEAD) -> StepStage:
    torch.manual_seed(seed)
    return StepStage(
        "speaker",
        Speaker(layers, head).eval().requires_grad_(False),
        inputs=(Port("ids", "int64", ("B", "T_new")),),
        outputs=(
            Port("logits", "float32", ("B", SYMBOLS)),
            Port("hidden", "float32", ("B", "T_new", QUERIES * head)),
        ),
        carry=Carry(layers, KEYS, kept_dim(head)),
        sizes=STEP_SIZES,
    )


def whole(stage: StepStage, ids: Sequence[int]) -> np.ndarray:
    """Logits at every position of one row, computed at once without a carry: the definition that
    prefill and steps are held against. [T, SYMBOLS]"""
    model = stage.module
    q_size, k_size, _ = model.split
    head = model.head_dim
    positions = torch.arange(len(ids))[None]
    rotary = Rotary(model.cos, model.sin)
    with torch.no_grad():
        x = model.embedding(torch.tensor([list(ids)]))
        for qkv, out in zip(model.qkv, model.out, strict=True):
            q, k, v = (
                each.unflatten(2, (-1, head)).transpose(1, 2)
                for each in qkv(x).split(model.split, dim=-1)
            )
            q, k = rotary.turn(q, positions), rotary.turn(k, positions)
            k, v = (each.repeat_interleave(q_size // k_size, dim=1) for each in (k, v))
            scores = q @ k.transpose(2, 3) / head**0.5
            future = torch.ones(len(ids), len(ids), dtype=torch.bool).triu(1)
            y = scores.masked_fill(future, -torch.inf).softmax(-1) @ v
            x = x + out(y.transpose(1, 2).flatten(2)).tanh()
        return model.head(x)[0].numpy()
