"""Masks of what is real and what is padding.

B batch, T time.
"""

from __future__ import annotations

import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Ones up to each length, zeros after.

    Args:
        lengths: int64 [B].
        size: T; at least the largest length.

    Returns:
        `dtype` [B, 1, T].
    """
    steps = torch.arange(size, device=lengths.device)
    return (steps[None] < lengths[:, None]).to(dtype)[:, None]


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """`x` with its padding at zero; unchanged where there is no mask."""
    return x if mask is None else x * mask
