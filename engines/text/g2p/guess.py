"""How a word is said that no dictionary has: the network of g2p_en, from the file in its wheel.

A recurrent encoder reads the letters, a recurrent decoder says phonemes. H hidden units, E numbers
of an embedding.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

LONGEST = 20  # phonemes, as in the original
LETTERS = ("<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz")
_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH")
_STRESSED = {vowel: tuple(f"{vowel}{stress}" for stress in "012") for vowel in _VOWELS}
_CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
_MARKS = ("<pad>", "<unk>", "<s>", "</s>")
_START, _END = 2, 3


def _phonemes() -> tuple[str, ...]:
    # the original's order: alphabetical, and an UW without stress before those with it
    each = [*_CONSONANTS.split(), *(p for stressed in _STRESSED.values() for p in stressed)]
    return (*_MARKS, *sorted([*each, "UW", "UW0", "UW1", "UW2"]))


PHONEMES = _phonemes()


class Cell(NamedTuple):
    """Weights of a gated recurrent unit: [3 H, E], [3 H, H], [3 H], [3 H]."""

    w_ih: np.ndarray
    w_hh: np.ndarray
    b_ih: np.ndarray
    b_hh: np.ndarray

    def step(self, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        """[E] and [H] to the next [H]."""
        given, held = self.w_ih @ x + self.b_ih, self.w_hh @ h + self.b_hh
        size = h.size
        reset, update = np.split(1 / (1 + np.exp(-(given + held)[: 2 * size])), 2)
        new = np.tanh(given[2 * size :] + reset * held[2 * size :])
        return (1 - update) * new + update * h


class Guesser:
    """
    Args:
        file: `checkpoint20.npz` of g2p_en.
    """

    def __init__(self, file: Path) -> None:
        with np.load(file, allow_pickle=False) as data:
            parts = {key: data[key].astype(np.float32) for key in data.files}
        names = Cell._fields
        self._encoder = Cell(*(parts[f"enc_{name}"] for name in names))
        self._decoder = Cell(*(parts[f"dec_{name}"] for name in names))
        self._letters, self._sounds = parts["enc_emb"], parts["dec_emb"]
        self._out, self._bias = parts["fc_w"], parts["fc_b"]

    def __call__(self, word: str) -> list[str]:
        """ARPAbet of a word in lower case; signs beside a to z count as unknown letters."""
        h = np.zeros(self._encoder.w_hh.shape[1], np.float32)
        for letter in (*word, "</s>"):
            h = self._encoder.step(self._letters[_letter_ids().get(letter, 1)], h)
        said: list[str] = []
        last = _START
        while len(said) < LONGEST:
            h = self._decoder.step(self._sounds[last], h)
            last = int((self._out @ h + self._bias).argmax())
            if last == _END:
                break
            said.append(PHONEMES[last])
        return said


@cache
def _letter_ids() -> dict[str, int]:
    return {letter: number for number, letter in enumerate(LETTERS)}
