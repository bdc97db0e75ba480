"""What goes wrong when a language model speaks, and by what it is noticed. No torch.

A second of sound is 50 tokens.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Tokens that a sign takes at least, were it read as fast as nobody can, and at most.
LEAST, MOST = 0.5, 14.0
LEAST_WIDE, MOST_WIDE = 2.0, 45.0  # of a sign that is a syllable or a word
ALLOWANCE = 150  # tokens more than that: a breath before, a pause after

SAME, CYCLE, LONGEST_CYCLE = 100, 200, 40  # tokens: of one sort in a row, or going round
SILENT = 1e-3  # root mean square


@dataclass(frozen=True, slots=True)
class Bounds:
    """Tokens that a text takes at least and at most."""

    least: int
    most: int


def bounds(text: str, room: int) -> Bounds:
    """
    Args:
        room: tokens that the model has room for.
    """
    letters = [sign for sign in text if sign.isalnum()]
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in letters)
    narrow = len(letters) - wide
    least = int(LEAST * narrow + LEAST_WIDE * wide)
    most = ALLOWANCE + int(MOST * narrow + MOST_WIDE * wide)
    return Bounds(least, max(1, min(most, room)))


def loop_start(tokens: Sequence[int], same: int = SAME, cycle: int = CYCLE) -> int | None:
    """Where the end of the tokens began to go round and round; None where it does not.

    Sound that stays the same for two seconds, or repeats itself for four, is no speech.

    Args:
        same: so many tokens of one sort in a row are too many.
        cycle: so many are that repeat a few.
    """
    for period in range(1, LONGEST_CYCLE + 1):
        needed = same if period == 1 else cycle
        if len(tokens) < max(needed, period + 1) or tokens[-1] != tokens[-1 - period]:
            continue
        start = len(tokens) - 1
        while start - period >= 0 and tokens[start] == tokens[start - period]:
            start -= 1
        start = start - period + 1
        if len(tokens) - start >= needed:
            return start
    return None


def silent(samples: np.ndarray) -> bool:
    return (
        samples.size > 0 and float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) < SILENT
    )
