"""What both sides of `bench.vits` say: phonemes without a meaning, as long as in natural speech."""

from __future__ import annotations

import numpy as np

SYMBOLS = 78  # of ljspeech_vits
PHONEMES = 60
RATE, HOP = 22_050, 256


def tokens() -> list[str]:
    return ["<blank>", "<unk>", *(f"p{number}" for number in range(2, SYMBOLS))]


def ids() -> np.ndarray:
    """int64 [PHONEMES]."""
    return np.random.default_rng(1).integers(2, SYMBOLS, PHONEMES)


def text() -> str:
    return " ".join(tokens()[number] for number in ids())


def durations() -> np.ndarray:
    """Frames of each phoneme, int64 [PHONEMES]: 3 to 11, a twelfth of a second on average."""
    return np.random.default_rng(2).integers(3, 12, PHONEMES)


def seconds() -> float:
    """Of the sound."""
    return float(durations().sum() * HOP / RATE)
