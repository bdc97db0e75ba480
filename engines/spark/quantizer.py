"""Factorised vector quantisation: the nearest of many short codes, by angle.

B batch, Z latent channels, C channels of a code, K codes, T tokens.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from engines.spark.config import QuantizerConfig


class Quantizer(nn.Module):
    def __init__(self, config: QuantizerConfig) -> None:
        super().__init__()
        self.in_project = nn.Conv1d(config.input_dim, config.codebook_dim, 1)
        self.out_project = nn.Conv1d(config.codebook_dim, config.input_dim, 1)
        self.codebook = nn.Embedding(config.codebook_size, config.codebook_dim)

    def tokenize(self, z: Tensor) -> Tensor:
        """[B, Z, T] → int64 [B, T]."""
        distances = self.distances(self.in_project(z))
        return distances.argmin(1).view(z.shape[0], z.shape[2])

    def distances(self, z_e: Tensor) -> Tensor:
        """Squared ones between unit vectors: [B, C, T] → [B * T, K]."""
        encodings = functional.normalize(z_e.transpose(1, 2).reshape(-1, z_e.shape[1]))
        codes = functional.normalize(self.codebook.weight)
        squares = encodings.square().sum(1, keepdim=True), codes.square().sum(1)
        return squares[0] - 2 * encodings @ codes.t() + squares[1]

    def detokenize(self, indices: Tensor) -> Tensor:
        """int64 [B, T] → [B, Z, T]; of codes in their own length, not that of the search."""
        return self.out_project(self.codebook(indices).transpose(1, 2))


class Tokenize(nn.Module):
    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.quantizer = quantizer

    def forward(self, z: Tensor) -> tuple[Tensor]:
        return (self.quantizer.tokenize(z),)


class Detokenize(nn.Module):
    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.quantizer = quantizer

    def forward(self, semantic: Tensor) -> tuple[Tensor]:
        return (self.quantizer.detokenize(semantic),)
