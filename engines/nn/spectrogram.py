"""Spectrograms of a waveform.

B batch, T samples, T_mel frames, A bins (n_fft / 2 + 1), M mel bands.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engines.nn.mel import slaney_filters

LEAST_POWER = 1e-10


def amplitudes(wav: Tensor, n_fft: int, hop: int, window_length: int | None = None) -> Tensor:
    """Amplitudes under a periodic Hann window, both ends mirrored by half of n_fft.

    Args:
        wav: [B, T], T more than n_fft / 2.

    Returns:
        [B, A, T_mel], T_mel = T // hop + 1.
    """
    size = window_length or n_fft
    window = torch.hann_window(size, dtype=wav.dtype, device=wav.device)
    found = torch.stft(wav, n_fft, hop, size, window, center=True, return_complex=True)
    return torch.view_as_real(found).square().sum(-1).clamp(min=LEAST_POWER).sqrt()


def mel_filters(
    sample_rate: int, n_fft: int, bands: int, low: float = 0.0, high: float | None = None
) -> Tensor:
    """Slaney's mel filters of unit area, float32 [M, A]; `high` None is half of the rate."""
    return torch.from_numpy(slaney_filters(sample_rate, n_fft, bands, low, high))
