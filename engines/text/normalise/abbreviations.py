"""Abbreviations in full."""

from __future__ import annotations

import re
from collections.abc import Iterable

from engines.text.normalise.context import Reading
from engines.text.normalise.words import Words

_SENTENCE_END = re.compile(r"[\s)\]}\"'”’»]*\Z")

_HEAD = re.compile(r"[^\W\d_]+(?=\.)")


class Abbreviations:
    """Reads the abbreviations of one language.

    Attributes:
        pattern: finds where one may begin; the group "head" is a word before a dot.
        heads: what such a word has to be.
    """

    def __init__(self, words: Words) -> None:
        self._full = {_squeeze(short): full for short, full in words.abbreviations.items()}
        self._before_number = {_squeeze(s): full for s, full in words.before_number.items()}
        every = [*self._full, *self._before_number]
        self.heads = frozenset(_HEAD.match(short)[0] for short in every if _HEAD.match(short))  # type: ignore[index]
        others = [short for short in every if not _HEAD.match(short)]
        self.pattern = rf"(?<![\w.])(?:(?P<head>[^\W\d_]+)(?=\.)|{_any_of(others)}(?![^\W\d]))"
        self._number_pattern = re.compile(_any_of(words.before_number) + r"(?=\s?\d)")
        self._pattern = re.compile(_any_of(words.abbreviations) + r"(?!\w)")

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


def _any_of(shorts: Iterable[str]) -> str:
    """A pattern of abbreviations; a dot inside may be followed by a space or not."""
    alternatives = []
    for short in sorted(shorts, key=len, reverse=True):
        squeezed = re.escape(_squeeze(short))
        alternatives.append(re.sub(r"\\\.(?=.)", r"\\.\\s?", squeezed))
    return rf"(?<![\w.])(?:{'|'.join(alternatives) or '(?!)'})"
