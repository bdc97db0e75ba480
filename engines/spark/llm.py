"""The language model: Qwen2 over a carry of fixed size, and the rows of its head that are needed.

Letters: B rows, T new positions, C hidden size, R rows of a head.

Queries, keys and values are one matrix product, and so are the two halves of the feed-forward's
entrance. Published: 24 layers, C = 896, 14 heads of queries and 2 of keys and values.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.nn.kv_cache import KvCache, Rotary, last
from engines.spark.llm_config import LlmConfig


class RmsNorm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


class Block(nn.Module):
    def __init__(self, config: LlmConfig) -> None:
        super().__init__()
        size, head = config.hidden_size, config.head_dim
        shared = config.num_key_value_heads * head
        self.split = (size, shared, shared)
        self.norm = RmsNorm(size, config.rms_norm_eps)
        self.qkv = nn.Linear(size, sum(self.split))
        self.out = nn.Linear(size, size, bias=False)
        self.mlp_norm = RmsNorm(size, config.rms_norm_eps)
        self.enter = nn.Linear(size, 2 * config.intermediate_size, bias=False)
        self.leave = nn.Linear(config.intermediate_size, size, bias=False)

    def forward(self, x: Tensor, layer: int, cache: KvCache, rotary: Rotary) -> Tensor:
        """[B, T, C] → [B, T, C]"""
        q, k, v = self.qkv(self.norm(x)).split(self.split, dim=-1)
        x = x + self.out(cache.attend(layer, q, k, v, rotary=rotary))
        gate, up = self.enter(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.leave(nn.functional.silu(gate) * up)


class Llm(nn.Module):
    """
    Args:
        positions: as many as a row may have.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: LlmConfig, positions: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.positions, self.head_dim, self.theta = positions, config.head_dim, config.rope_theta
        self.register_buffer("cos", torch.empty(0), persistent=False)
        self.register_buffer("sin", torch.empty(0), persistent=False)

    def tables(self) -> Llm:
        """Compute what no file holds; once the weights are in place."""
        self.cos, self.sin = Rotary.tables(self.positions, self.head_dim, self.theta)
        return self

    def states(self, ids: Tensor, cache: KvCache) -> list[Tensor]:
        """Hidden states before each layer, and after the last one's norm: [B, T, C] each."""
        rotary = Rotary(self.cos, self.sin)
        states = [self.embedding(ids)]
        for layer, block in enumerate(self.layers):
            states.append(block(states[-1], layer, cache, rotary))
        states[-1] = self.norm(states[-1])
        return states

    def forward(
        self, ids: Tensor, positions: Tensor, lengths: Tensor, *carry: Tensor
    ) -> tuple[Tensor, ...]:
        """int64 [B, T] → [B, C] at each row's last true position, and the carry."""
        cache = KvCache(carry, positions, lengths, ids.shape[1], self.head_dim)
        return (last(self.states(ids, cache)[-1], lengths), *cache.tensors)


class Head(nn.Module):
    """Logits of some tokens: rows of the embedding, which the model's head is tied to."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, hidden: Tensor) -> tuple[Tensor]:
        """[B, C] → [B, R]"""
        # with an axis of time, for without it ONNX has another operator, which takes no fewer bits
        return (nn.functional.linear(hidden[:, None], self.weight)[:, 0],)
