"""How far a vocoder looks around a frame: what the chunks of a stream overlap by. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

CONVNEXT_KERNEL = 7  # of every convolution of a backbone of ConvNeXt blocks


def convnext_reach(blocks: int) -> int:
    """Of a backbone of so many blocks, frames on each side: its entrance is a convolution too."""
    return (1 + blocks) * (CONVNEXT_KERNEL // 2)


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


def upsampling_reach(
    kernel: int, scales: Sequence[tuple[int, int]], dilations: Sequence[int]
) -> int:
    """The same of a generator with one residual stack after each upsampling.

    Args:
        kernel: of all convolutions but the upsampling ones.
        scales: factor and kernel of each upsampling.
    """
    samples = kernel // 2  # at the output's rate, then at slower and slower ones
    for scale, size in reversed(scales):
        samples = ceil((samples + kernel // 2 * sum(dilations) + size) / scale)
    return samples + kernel // 2
