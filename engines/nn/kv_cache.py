"""Attention over keys and values that are kept in buffers of a fixed size.

Letters: B rows, T new positions, S positions of a buffer, H heads of queries, K heads of keys and
values (H is a multiple of K), D numbers of a head.

Where the new positions are written in place, a step costs the same whatever came before. An ONNX
file gets ONNX Runtime's own operator for this, which reads no more of a buffer than is in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ONNX_ROTARY = 16  # head_dim has to be a multiple of it where the operator turns queries and keys
ONNX_HEAD = 8  # and of this one in any case


@dataclass(frozen=True)
class Rotary:
    """Rotary embedding of the halves of a head: cosines and sines [positions, D / 2]."""

    cos: Tensor
    sin: Tensor

    @staticmethod
    def tables(positions: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
        """float32 [positions, head_dim / 2] each."""
        rates = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
        angles = torch.arange(positions, dtype=torch.float32)[:, None] * rates
        return angles.cos(), angles.sin()

    def turn(self, x: Tensor, positions: Tensor) -> Tensor:
        """
        Args:
            x: [B, heads, T, D].
            positions: int64 [B, T].
        """
        cos, sin = (each[positions][:, None].to(x.dtype) for each in (self.cos, self.sin))
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def kept_dim(head_dim: int) -> int:
    """Numbers of a head in the carry: as many as it has, or more, which stay 0."""
    return -(-head_dim // ONNX_HEAD) * ONNX_HEAD


class KvCache:
    """The carry of a step stage during one call of its module.

    Args:
        carry: keys and values of each layer in turn, [B, K, S, D].
        positions: int64 [B]: positions of each row that are in the carry.
        lengths: int64 [B]: new ones that are true.
        new: T; at most S less any of `positions`.
        head_dim: of queries, keys and values; None where the carry's is the same.

    Attributes:
        tensors: the carry with what was written so far.
        positions: int64 [B, T] of the new ones.
    """

    def __init__(
        self,
        carry: Sequence[Tensor],
        positions: Tensor,
        lengths: Tensor,
        new: int,
        head_dim: int | None = None,
    ) -> None:
        self._head_dim = head_dim or carry[0].shape[3]
        self.tensors = list(carry)
        steps = torch.arange(new, device=positions.device)
        self.positions = positions[:, None] + steps
        self._first = positions
        self._lengths = lengths
        self._new = new
        self._exporting = torch.onnx.is_in_onnx_export()
        if not self._exporting:
            kept = torch.arange(carry[0].shape[2], device=positions.device)
            self._visible = (kept <= self.positions[..., None])[:, None]  # [B, 1, T, S]
            self._rows = torch.arange(len(positions), device=positions.device)[:, None]

    def attend(
        self,
        layer: int,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        rotary: Rotary | None = None,
        scale: float | None = None,
    ) -> Tensor:
        """Write the new keys and values and attend to all positions up to each new one.

        Args:
            q: [B, T, H * D].
            k, v: [B, T, K * D].
            rotary: turns queries and keys by their positions.
            scale: of the scores; None takes 1 / sqrt(D).

        Returns:
            [B, T, H * D].
        """
        head_dim = self.tensors[0].shape[3]
        scale = self._head_dim**-0.5 if scale is None else scale
        if self._head_dim != head_dim:
            q, k, v = (_heads(each, self._head_dim) for each in (q, k, v))
            if rotary is not None:
                q, k = rotary.turn(q, self.positions), rotary.turn(k, self.positions)
            q, k, v = (_widened(each, head_dim) for each in (q, k, v))
            y = self._attend(layer, q, k, v, None, scale)
            heads = y.reshape(*y.shape[:2], -1, head_dim)
            return heads[..., : self._head_dim].flatten(2)
        return self._attend(layer, q, k, v, rotary, scale)

    def _attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, rotary: Rotary | None, scale: float
    ) -> Tensor:
        head_dim = self.tensors[0].shape[3]
        if self._exporting:
            return self._operator(layer, q, k, v, rotary, scale)
        q, k, v = (_heads(each, head_dim) for each in (q, k, v))
        if rotary is not None:
            q, k = rotary.turn(q, self.positions), rotary.turn(k, self.positions)
        keys = self._write(2 * layer, k)
        values = self._write(2 * layer + 1, v)
        batch, heads, new, _ = q.shape
        # heads that share keys stand side by side as queries, so that keys need no copies
        shared = heads // keys.shape[1]
        q = q.reshape(batch, keys.shape[1], shared * new, head_dim)
        visible = self._visible
        if shared > 1 and new > 1:
            visible = visible.repeat(1, 1, shared, 1)
        y = torch.nn.functional.scaled_dot_product_attention(
            q, keys, values, attn_mask=visible, scale=scale
        )
        return y.reshape(batch, heads, new, head_dim).transpose(1, 2).flatten(2)

    def _write(self, index: int, x: Tensor) -> Tensor:
        buffer = self.tensors[index]
        buffer[self._rows, :, self.positions] = x.transpose(1, 2).to(buffer.dtype)
        return buffer

    def _operator(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, rotary: Rotary | None, scale: float
    ) -> Tensor:
        keys, values = self.tensors[2 * layer : 2 * layer + 2]
        head_dim = keys.shape[3]
        heads, shared = q.shape[2] // head_dim, k.shape[2] // head_dim
        inside = rotary is not None and head_dim % ONNX_ROTARY == 0
        if rotary is not None and not inside:
            q, k = (
                rotary.turn(_heads(each, head_dim), self.positions).transpose(1, 2).flatten(2)
                for each in (q, k)
            )
        last = (self._first + self._lengths - 1).to(torch.int32)
        total = (self._first.max() + self._new).to(torch.int32)
        tables = [rotary.cos, rotary.sin] if rotary is not None and inside else []
        y, *written = torch.onnx.ops.symbolic_multi_out(
            "com.microsoft::GroupQueryAttention",
            [q, k, v, keys, values, last, total, *tables],
            {
                "num_heads": heads,
                "kv_num_heads": shared,
                "do_rotary": int(inside),
                "scale": float(scale),
            },
            dtypes=[q.dtype, keys.dtype, values.dtype],
            shapes=[q.shape, keys.shape, values.shape],
            version=1,
        )
        self.tensors[2 * layer : 2 * layer + 2] = written
        return y


def last(x: Tensor, lengths: Tensor) -> Tensor:
    """What stands at the last true new position of each row: [B, T, C], int64 [B] → [B, C]."""
    index = (lengths - 1)[:, None, None].expand(-1, 1, x.shape[2])
    return x.gather(1, index)[:, 0]


def _heads(x: Tensor, head_dim: int) -> Tensor:
    """[B, T, heads * D] → [B, heads, T, D]"""
    return x.reshape(*x.shape[:2], -1, head_dim).transpose(1, 2)


def _widened(x: Tensor, head_dim: int) -> Tensor:
    """[B, heads, T, D] → [B, T, heads * head_dim]; what was not there is 0"""
    x = torch.nn.functional.pad(x, (0, head_dim - x.shape[3]))
    return x.transpose(1, 2).flatten(2)
