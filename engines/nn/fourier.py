"""Convolutions with far fewer multiplications: through the discrete Fourier transform, in blocks.

The rows are cut into overlapping blocks (overlap-save). A block's transform is a product with one
small matrix, and at each frequency the channels are mixed by one matrix product. A complex product
takes three real ones (Karatsuba), so N rows in time become 1.5 N - 1 points. A block of 32 rows of
a kernel with 11 taps then takes 47 products for its 22 results, instead of 242.

Source: A. Zlateski, Z. Jia, K. Li, F. Durand, "FFT convolutions are faster than Winograd on modern
CPUs, here is why", 2018; the Karatsuba step: A. Karatsuba, Y. Ofman, 1962.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor


@dataclass(frozen=True)
class Transform:
    """A block's correlation with a kernel: y = synthesis @ ((kernel @ w) * (analysis @ x)).

    Attributes:
        analysis: float64 [points, size].
        kernel: float64 [points, taps].
        synthesis: float64 [results, points].
    """

    analysis: Tensor
    kernel: Tensor
    synthesis: Tensor

    @property
    def points(self) -> int:
        return self.analysis.shape[0]

    @property
    def size(self) -> int:
        return self.analysis.shape[1]

    @property
    def results(self) -> int:
        return self.synthesis.shape[0]

    def spectrum(self, weight: Tensor) -> Tensor:
        """[D, C, K] → [points, C, D]: what mixes the channels at each point."""
        mixed = torch.einsum("pk,dck->pcd", self.kernel, weight.detach().double())
        return mixed.to(weight.dtype).contiguous()


def transform(size: int, taps: int) -> Transform:
    """
    Args:
        size: rows of a block, even, at least as many as taps.
    """
    rows, offsets = torch.arange(size).double(), torch.arange(taps).double()
    results = torch.arange(size - taps + 1).double()
    analysis, kernel, synthesis = [], [], []
    for real in (0, size // 2):  # the two frequencies without an imaginary part
        angle = 2 * pi * real / size
        analysis.append(torch.cos(angle * rows))
        kernel.append(torch.cos(angle * offsets) / size)
        synthesis.append(torch.cos(angle * results))
    for frequency in range(1, size // 2):
        angle = 2 * pi * frequency / size
        x_re, x_im = torch.cos(angle * rows), -torch.sin(angle * rows)
        # conjugate, as networks correlate; twice, for the frequency below zero
        w_re, w_im = 2 * torch.cos(angle * offsets) / size, 2 * torch.sin(angle * offsets) / size
        y_re, y_im = torch.cos(angle * results), -torch.sin(angle * results)
        analysis += [x_re + x_im, x_re, x_im]
        kernel += [w_re, w_im - w_re, w_re + w_im]
        synthesis += [y_re + y_im, y_im, -y_re]
    return Transform(torch.stack(analysis), torch.stack(kernel), torch.stack(synthesis, 1))


def size_for(taps: int, channels: int) -> int:
    """Rows of a block that take the least time in ONNX Runtime: larger ones save multiplications,
    but their matrices take more of the processor's cache, where there are many channels."""
    size = 16 if taps <= 3 else 24 if taps <= 7 else 32
    if channels >= 256:
        size = 12 if taps <= 3 else 16 if taps <= 7 else 24
    return max(size, 2 * taps)
