"""Text to tokens and back, through the release's `tokenizer.json`. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.checkpoint import bad_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "LLM/tokenizer.json"
MARKS = (
    "im_end",
    "task_tts",
    "task_controllable_tts",
    "start_content",
    "end_content",
    "start_style_label",
    "end_style_label",
    "start_acoustic_token",
    "end_acoustic_token",
    "start_global_token",
    "end_global_token",
    "start_semantic_token",
    "end_semantic_token",
)
LEVELS = 5  # of pitch and of speed, from very low to very high
GENDERS = ("female", "male")
_NUMBERED = re.compile(r"<\|(\w+?)_(\d+)\|>")


@dataclass(frozen=True)
class Tokens:
    """A release's tokens. Those of speech are looked up by name, for ids differ by release.

    Attributes:
        count: of all.
        marks: ids of single tokens, by name.
        numbered: ids of tokens that stand for a number, in the order of the numbers: of
            "bicodec_semantic", "bicodec_global", "pitch_value", "speed_value" and others.
    """

    tokenizer: Tokenizer
    count: int
    marks: dict[str, int]
    numbered: dict[str, np.ndarray]

    def encode(self, text: str) -> list[int]:
        """Ids of a text, in which names of tokens are tokens."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; tokens of speech by their names, those of chat left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    @property
    def semantic(self) -> np.ndarray:
        """Ids of semantic tokens: int64 [codes]."""
        return self.numbered["bicodec_semantic"]

    @property
    def globals(self) -> np.ndarray:
        """Ids of global tokens: int64 [codes]."""
        return self.numbered["bicodec_global"]

    def semantic_of(self, ids: Sequence[int]) -> np.ndarray:
        """Numbers of the semantic tokens among ids; others are left out."""
        return self._numbers("bicodec_semantic", ids)

    def globals_of(self, ids: Sequence[int]) -> np.ndarray:
        """The same of global tokens."""
        return self._numbers("bicodec_global", ids)

    def _numbers(self, kind: str, ids: Sequence[int]) -> np.ndarray:
        number = self._number[kind]
        return np.array([number[int(each)] for each in ids if int(each) in number], np.int64)

    @cached_property
    def _number(self) -> dict[str, dict[int, int]]:
        return {
            kind: {int(token): number for number, token in enumerate(self.numbered[kind])}
            for kind in ("bicodec_semantic", "bicodec_global")
        }


def read_tokens(folder: Path, *, semantic: int | None = None, speaker: int | None = None) -> Tokens:
    """
    Args:
        folder: the release.
        semantic, speaker: how many different semantic and global tokens its codec has.

    Raises:
        BadCheckpoint: the file is missing, damaged or lacks tokens of speech.
    """
    from tokenizers import Tokenizer

    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise bad_file(path, "is missing", "Download the release again, with all of its files.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more exact
        raise bad_file(path, f"is damaged or no tokenizer ({error!s:.200})") from error
    names = tokenizer.get_vocab(with_added_tokens=True)
    marks = {mark: names[f"<|{mark}|>"] for mark in MARKS if f"<|{mark}|>" in names}
    numbered = _numbered(names)
    wanted = {
        "bicodec_semantic": semantic or 1,
        "bicodec_global": speaker or 1,
        "pitch_value": 1,
        "speed_value": 1,
        "pitch_label": LEVELS,
        "speed_label": LEVELS,
        "gender": len(GENDERS),
    }
    lacking = [f"<|{mark}|>" for mark in MARKS if mark not in marks]
    lacking += [
        f"<|{kind}_{number}|>"
        for kind, count in wanted.items()
        for number in [len(numbered.get(kind, ()))]
        if number < count
    ]
    if lacking:
        raise bad_file(
            path,
            f"lacks tokens of speech: {', '.join(lacking[:5])}",
            "Take the tokenizer that was published with these weights.",
        )
    return Tokens(tokenizer, tokenizer.get_vocab_size(with_added_tokens=True), marks, numbered)


def _numbered(names: dict[str, int]) -> dict[str, np.ndarray]:
    """Ids of tokens whose names end in a number, as far as the numbers have no gap."""
    found: dict[str, dict[int, int]] = {}
    for name, token in names.items():
        if match := _NUMBERED.fullmatch(name):
            found.setdefault(match[1], {})[int(match[2])] = token
    return {
        kind: np.array([numbers[i] for i in _unbroken(numbers)], np.int64)
        for kind, numbers in found.items()
    }


def _unbroken(numbers: dict[int, int]) -> range:
    count = 0
    while count in numbers:
        count += 1
    return range(count)
