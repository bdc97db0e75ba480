"""Latents to sound while they come: every part is what the whole would be. T_mel frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from engines.coqui.xtts import frames
from engines.coqui.xtts.checkpoint import Speaker
from engines.coqui.xtts.config import XttsConfig
from engines.coqui.xtts.stages import REACH
from engines.runtime.stage import Bound

FIRST_PART, LARGEST_PART = 12, 96  # latents; each part is twice the one before


def stream(
    decoder: Bound,
    latents: Iterable[np.ndarray],
    speaker: Speaker,
    config: XttsConfig,
    speed: float,
) -> Iterator[np.ndarray]:
    """Sound as soon as there are latents enough for a part, float32 [256 * frames]: joined, the
    parts are what the latents give when they are all there.

    Frames are decoded once they can change no more: those that a later latent is mixed into wait
    for it, and of the others those that the decoder's reach brings into contact with them.

    Args:
        latents: float32 [C], one after the other.
        speed: 2 is twice as fast.
    """
    scales = scales_of(config, speed)
    so_far: list[np.ndarray] = []
    given, due = 0, FIRST_PART
    for each in latents:
        so_far.append(each)
        if len(so_far) < due:
            continue
        due = len(so_far) + min(LARGEST_PART, len(so_far))
        known = frames.settled(len(so_far), scales)
        ready = known - REACH
        if ready > given:
            yield from _decoded(decoder, np.stack(so_far), speaker, scales, given, ready, known)
            given = ready
    if so_far:
        total = frames.count(len(so_far), scales)
        if total > given:
            yield from _decoded(decoder, np.stack(so_far), speaker, scales, given, total, total)


def scales_of(config: XttsConfig, speed: float) -> tuple[float, ...]:
    """Factors from latents to frames; at the model's own speed none for it."""
    return config.frames_a_latent if speed == 1 else (1 / speed, *config.frames_a_latent)


def _decoded(
    decoder: Bound,
    latents: np.ndarray,
    speaker: Speaker,
    scales: tuple[float, ...],
    start: int,
    end: int,
    known: int,
) -> Iterator[np.ndarray]:
    """The sound of frames `start` to `end`, of which `known` are there, in as many parts as the
    decoder's largest size asks for."""
    largest = decoder.longest("T_mel")
    size = end - start if largest is None else largest - 2 * REACH
    for first in range(start, end, size):
        last = min(end, first + size)
        left, right = max(0, first - REACH), min(known, last + REACH)
        z = frames.stretched(latents, scales, left, right)
        wav = decoder(z=z.T[None], g=speaker.embedding[None, :, None])["wav"][0]
        hop = len(wav) // (right - left)
        yield wav[(first - left) * hop : (last - left) * hop]
