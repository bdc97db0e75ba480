"""Mel filters without torch: M mel bands, A bins (n_fft / 2 + 1)."""

from __future__ import annotations

import numpy as np


def slaney_filters(
    sample_rate: int, n_fft: int, bands: int, low: float = 0.0, high: float | None = None
) -> np.ndarray:
    """Slaney's mel filters of unit area, float32 [M, A]; `high` None is half of the rate."""
    from librosa.filters import mel

    return mel(sr=sample_rate, n_fft=n_fft, n_mels=bands, fmin=low, fmax=high)
