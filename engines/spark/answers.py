"""What the language model may answer, token by token, and what an answer says.

An answer to `clone` is a mark, semantic tokens and the end; where the reference's own tokens stand
in the prompt it is the tokens and the end. An answer to `control` begins with the voice that is
made up: its pitch and speed, and its global tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from engines.spark.llm_stages import HEAD_SEMANTIC, HEAD_VOICE, semantic_rows, voice_rows
from engines.spark.tokens import Tokens

Kind = Literal["clone", "continue", "control"]


@dataclass(frozen=True)
class Choice:
    """What may come next.

    Attributes:
        head: the stage that has its logits.
        rows: indices of the head's rows.
        ids: the tokens that these are, ascending.
    """

    head: str
    rows: np.ndarray
    ids: np.ndarray


@dataclass(frozen=True)
class Grammar:
    """The choices of every part of an answer.

    Args:
        speakers: global tokens of a voice.
    """

    tokens: Tokens
    speakers: int

    @property
    def end(self) -> int:
        return self.tokens.marks["im_end"]

    @cached_property
    def speech(self) -> Choice:
        """Every semantic token, and what ends them."""
        ids = semantic_rows(self.tokens)
        kept = np.flatnonzero(ids != self.tokens.marks["start_semantic_token"])
        return Choice(HEAD_SEMANTIC, kept, ids[kept])

    @cached_property
    def openings(self) -> dict[Kind, tuple[Choice, ...]]:
        """By the kind of an answer, what comes before speech, token by token."""
        numbered = self.tokens.numbered
        voice = (
            self._voice(self._mark("start_acoustic_token")),
            self._voice(numbered["pitch_value"]),
            self._voice(numbered["speed_value"]),
            self._voice(self._mark("end_acoustic_token")),
            self._voice(self._mark("start_global_token")),
            *[self._voice(numbered["bicodec_global"])] * self.speakers,
            self._voice(self._mark("end_global_token")),
            self._voice(self._mark("start_semantic_token")),
        )
        begun = self._mark("start_semantic_token")
        return {
            "clone": (_choice(HEAD_SEMANTIC, semantic_rows(self.tokens), begun),),
            "continue": (),
            "control": voice,
        }

    def next(self, kind: Kind, count: int) -> Choice:
        """
        Args:
            count: tokens of the answer so far.
        """
        opening = self.openings[kind]
        return opening[count] if count < len(opening) else self.speech

    def _mark(self, name: str) -> np.ndarray:
        return np.array([self.tokens.marks[name]])

    def _voice(self, ids: np.ndarray) -> Choice:
        return _choice(HEAD_VOICE, voice_rows(self.tokens), ids)


@dataclass
class Answer:
    """One row's answer as it grows.

    Attributes:
        ids: its tokens so far, the end among them.
    """

    kind: Kind
    ids: list[int] = field(default_factory=list)

    def semantic(self, tokens: Tokens) -> np.ndarray:
        """Numbers of the semantic tokens so far: int64 [n]."""
        return tokens.semantic_of(self.ids)

    def globals(self, tokens: Tokens) -> np.ndarray:
        """Numbers of the global tokens so far: int64 [n]; of `control` only."""
        return tokens.globals_of(self.ids)


def _choice(head: str, rows: np.ndarray, ids: Sequence[int] | np.ndarray) -> Choice:
    ids = np.sort(np.asarray(ids, np.int64))
    return Choice(head, np.searchsorted(rows, ids), ids)
