"""Abbreviations in full."""

from __future__ import annotations

import re

from engines.text.normalise.context import Reading
from engines.text.normalise.words import Words

_SENTENCE_END = re.compile(r"[\s)\]}\"'”’»]*\Z")


class Abbreviations:
    """Reads the abbreviations of one language."""

    def __init__(self, words: Words) -> None:
        self._full = {_squeeze(short): full for short, full in words.abbreviations.items()}
        self._before_number = {_squeeze(s): full for s, full in words.before_number.items()}
        self._pattern = _any_of(words.abbreviations)
        self._number_pattern = _any_of(words.before_number, r"(?=\s?\d)")

    @property
    def firsts(self) -> set[str]:
        """The characters that they start with."""
        return {short[0] for short in (*self._full, *self._before_number)}

    def read(self, text: str, start: int, end: int) -> Reading | None:
        match = self._number_pattern.match(text, start, end)
        if match:
            return match.end(), self._before_number[_squeeze(match[0])] + " " * (
                not text[match.end()].isspace()
            )
        match = self._pattern.match(text, start, end)
        if not match:
            return None
        full = self._full[_squeeze(match[0])]
        if not isinstance(full, str):
            full = full(text[:start][-40:], text[match.end() : end][:40])
        at_end = match[0].endswith(".") and _SENTENCE_END.match(text, match.end(), end)
        return match.end(), full + "." * bool(at_end)


def _squeeze(short: str) -> str:
    return "".join(short.split())


def _any_of(shorts: object, after: str = "") -> re.Pattern[str]:
    """A pattern of the abbreviations; a dot inside may be followed by a space or not."""
    alternatives = []
    for short in sorted(shorts, key=len, reverse=True):  # type: ignore[call-overload]
        squeezed = re.escape(_squeeze(short))
        alternatives.append(re.sub(r"\\\.(?=.)", r"\\.\\s?", squeezed))
    pattern = "|".join(alternatives) or "(?!)"
    return re.compile(rf"(?<![\w.])(?:{pattern}){after}(?!\w)")
