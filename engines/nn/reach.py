"""How far a vocoder looks around a frame: what the chunks of a stream overlap by. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil


def hifigan_reach(
    kernel: int, scales: Sequence[int], resblocks: Sequence[tuple[int, Sequence[int]]]
) -> int:
    """Frames on each side of a frame beyond which nothing changes its samples; at most a few more
    than there really are.

    Args:
        kernel: of the first and the last convolution.
        scales: upsampling factors.
        resblocks: kernel and dilations of each block of a stage.
    """
    block = max((size // 2) * sum(d + 1 for d in dilations) for size, dilations in resblocks)
    samples = kernel // 2  # at the output's rate, then at slower and slower ones
    for scale in reversed(scales):
        samples = ceil((samples + block) / scale) + 1
    return samples + kernel // 2
