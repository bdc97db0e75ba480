"""How far a vocoder looks around a frame: what the chunks of a stream overlap by. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Carry:
    """What a HiFi-GAN carries from one part of a sound to the next.

    Attributes:
        rows: of the latent frames, then of each stage's input.
        delay: samples by which its sound comes behind its frames.
    """

    rows: tuple[int, ...]
    delay: int


def hifigan_carry(
    kernel: int, scales: Sequence[int], resblocks: Sequence[tuple[int, Sequence[int]]]
) -> Carry:
    """
    Args:
        kernel, scales, resblocks: as those of `hifigan_reach`.
    """
    block = max((size // 2) * sum(d + 1 for d in dilations) for size, dilations in resblocks)
    side = kernel // 2
    delay = side
    for scale in scales:
        delay = delay * scale + scale // 2 + scale % 2 + block
    # an upsampling looks at one row before, the last convolution at all that its kernel holds
    stages = [2 * block + 1] * (len(scales) - 1) + [2 * block + 2 * side]
    return Carry((2 * side + 1, *stages), delay + side)
