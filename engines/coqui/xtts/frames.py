"""Latents to the decoder's frames: stretched in time by one factor after the other, linearly.

As torch's `interpolate(mode="linear", scale_factor=…)` does it, for any part of the frames alone,
so that a stream is made of the same frames as the whole. N latents, C channels, T_mel frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import numpy as np


def count(latents: int, scales: Sequence[float]) -> int:
    """Frames of that many latents."""
    for scale in scales:
        latents = floor(latents * scale)
    return latents


def settled(latents: int, scales: Sequence[float]) -> int:
    """Frames that stay as they are when more latents follow."""
    for scale in scales:
        if latents == 0:
            return 0
        # one more than could be there, so that none stops short at the last latent
        size = floor(latents * scale) + 1
        _, right, _ = _sources(np.arange(size), scale, latents + 1)
        latents = int(np.count_nonzero(right < latents))
    return latents


def stretched(latents: np.ndarray, scales: Sequence[float], start: int, end: int) -> np.ndarray:
    """Frames `start` to `end` of all that the latents give.

    Args:
        latents: float32 [N, C].

    Returns:
        float32 [end - start, C].
    """
    if not scales:
        return latents[start:end]
    *earlier, scale = scales
    size = count(len(latents), earlier)
    left, right, weight = _sources(np.arange(start, end), scale, size)
    first = int(left[0])
    source = stretched(latents, earlier, first, int(right[-1]) + 1)
    weight = weight[:, None]
    mixed = source[left - first] * (np.float32(1) - weight) + source[right - first] * weight
    return np.asarray(mixed, np.float32)


def _sources(frames: np.ndarray, scale: float, size: int) -> tuple[np.ndarray, ...]:
    """Between which two of `size` earlier frames each frame lies, and the share of the second;
    reckoned in single precision, as torch does."""
    step = np.float32(1.0 / scale)
    place = np.maximum(step * (frames.astype(np.float32) + np.float32(0.5)) - np.float32(0.5), 0)
    left = np.minimum(place.astype(np.int64), size - 1)
    right = np.minimum(left + 1, size - 1)
    return left, right, np.clip(place - left.astype(np.float32), 0, 1).astype(np.float32)
