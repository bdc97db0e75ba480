"""Noise for stages, drawn on the host: one seed gives the same on every device and runtime."""

from __future__ import annotations

import hashlib

import numpy as np


def normal(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal noise at the true length of an utterance; runtimes pad it.

    Draws go time step by time step, so that a longer one begins with what a shorter one is.

    Args:
        seed: the request's.
        name: what it is for: one seed gives another noise under another name.
        shape: time is the last axis.

    Returns:
        float32 of that shape.
    """
    key = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    *rest, time = shape
    drawn = generator.standard_normal((time, *rest), np.float32)
    return np.ascontiguousarray(np.moveaxis(drawn, 0, -1))
