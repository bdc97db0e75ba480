"""Silence: what `[pause …]` asks for, and what punctuation asks for by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engines.errors import BadText

DEFAULT_PAUSE = 0.5  # seconds, of a bare `[pause]`
LONGEST_PAUSE = 30.0  # seconds
LONGEST_TOTAL = 3600.0  # seconds of all marks of a text; a short text must not fill a disk

SENTENCE = 0.35  # seconds
PARAGRAPH = 0.7
ELLIPSIS = 0.5
CLAUSE = 0.12

_MARK = re.compile(
    r"(?P<mark>\[[ ]{0,8}pause(?=[\s\]\[:=,;\d.+-]|\Z)(?P<value>[^\[\]\n]{0,40})(?P<end>\]?))", re.I
)
_NEXT_IN_A_ROW = re.compile(rf"\s*{_MARK.pattern}", re.I)
_VALUE = re.compile(r" *(?P<number>\d{1,6}(?:\.\d{1,6})?) ?(?P<unit>ms|s) *", re.I)
_CLOSERS = "\"'”’»›)]}」』】）〉》〕］｝"
_ELLIPSES = ("…", "...", "。。", "‥")
_SENTENCE_ENDS = frozenset(".!?。！？｡．؟۔।॥։።፧።။།༎៕។᠃᠉‼⁇⁈⁉‽՜՞\u037e")
_CLAUSE_ENDS = frozenset(",;:，、；：､،؛፣፤፥፡—–―·\u0387")


@dataclass(frozen=True, slots=True)
class PauseMark:
    """A `[pause …]` in a text: where it stands and how long it lasts in seconds."""

    start: int
    end: int
    seconds: float


def marks(text: str, start: int = 0, end: int | None = None) -> Iterator[PauseMark]:
    """The pause marks between two positions, in order.

    Raises:
        BadText: a mark that cannot be understood, or a pause outside the limits.
    """
    for match in _MARK.finditer(text, start, len(text) if end is None else end):
        yield PauseMark(match.start(), match.end(), _seconds(match))


def next_mark(text: str, start: int) -> PauseMark | None:
    """The first pause mark at or after a position.

    Raises:
        BadText: it cannot be understood, or its pause is outside the limits.
    """
    return next(marks(text, start), None)


def mark_in_a_row(text: str, position: int) -> PauseMark | None:
    """The pause mark that follows with nothing but white space before it.

    Raises:
        BadText: as `next_mark`.
    """
    match = _NEXT_IN_A_ROW.match(text, position)
    return PauseMark(match.start("mark"), match.end(), _seconds(match)) if match else None


def check_marks(text: str) -> None:
    """Look at all pause marks before anything is spoken.

    Raises:
        BadText: one is malformed or outside the limits, or all together are too long.
    """
    total = sum(mark.seconds for mark in marks(text))
    if total > LONGEST_TOTAL:
        raise BadText(
            f"The pauses of this text last {total:,.0f} s together.",
            f"At most {LONGEST_TOTAL:,.0f} s are allowed.",
            "Use fewer or shorter pauses.",
            param="text",
        )


def without_marks(text: str) -> str:
    """The text without its pause marks, well-formed or not."""
    return _MARK.sub(" ", text)


def _seconds(match: re.Match[str]) -> float:
    value = match["value"]
    if match["end"] and not value.strip():
        return DEFAULT_PAUSE
    parsed = _VALUE.fullmatch(value)
    if parsed and match["end"]:
        seconds = float(parsed["number"]) / (1000 if parsed["unit"].lower() == "ms" else 1)
        if seconds <= LONGEST_PAUSE:
            return seconds
    raise BadText(
        f"The pause {match['mark']!r:.60} at position {match.start('mark')} cannot be used.",
        f"Write [pause], [pause 0.5s] or [pause 500ms], from 0 to {LONGEST_PAUSE:g} seconds.",
        "Correct it, or take the brackets away to have it read out.",
        param="text",
    )


def by_punctuation(source: str) -> float:
    """Seconds of silence after a piece of text, by the mark that it ends with; 0 after a word."""
    bare = source.rstrip().rstrip(_CLOSERS).rstrip()
    if bare.endswith(_ELLIPSES):
        return ELLIPSIS
    last = bare[-1:]
    if last in _SENTENCE_ENDS:
        return SENTENCE
    return CLAUSE if last in _CLAUSE_ENDS else 0.0
