"""From the library's word events to word times."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engines.api import WordTime
from engines.espeak.marking import Marked
from engines.espeak.protocol import WordEvent

_WITHIN_WORDS = "'’‐-._·"


@dataclass
class _Open:
    """A word whose end has not been heard yet; `start` and `end` are characters."""

    start: int
    end: int
    begins: float


class WordClock:
    """Collects the events of one utterance.

    The library says where a word begins, and often only a part of it: the letters before an
    apostrophe, each figure of a number anew, nothing for some signs. Here a word lasts until the
    next one begins, and is as long as it is in the text.

    Args:
        spoken: the text whose characters the times refer to.
        marked: the text that the library got.
        seconds_per_sample: of the library's output; stretching included.
    """

    def __init__(self, spoken: str, marked: Marked, seconds_per_sample: float) -> None:
        self._spoken = spoken
        self._marked = marked
        self._seconds = seconds_per_sample
        self._open: _Open | None = None

    def words(self, events: Sequence[WordEvent]) -> Iterator[WordTime]:
        """The words that end with these events."""
        for position, length, sample in events:
            start, end = self._marked.locate(position - 1, length)
            if self._open is not None and start < self._open.end:  # another part of the same word
                self._open.end = max(self._open.end, end)
                continue
            begins = sample * self._seconds
            yield from self._close(begins, start)
            self._open = _Open(start, end, begins)

    def finish(self, ends: float) -> Iterator[WordTime]:
        """The last word, which ends with the audio."""
        yield from self._close(ends, len(self._spoken))
        self._open = None

    def _close(self, ends: float, limit: int) -> Iterator[WordTime]:
        if self._open is None:
            return
        pieces = self._pieces(self._open.start, self._open.end, limit)
        characters = sum(end - start for start, end in pieces)
        begins = min(self._open.begins, ends)
        for start, end in pieces:
            # "on the" is one word to the library: its parts share the time by their length
            share = begins + (ends - begins) * (end - start) / characters
            last = end == pieces[-1][1]
            yield WordTime(begins, ends if last else share, start, end - start)
            begins, characters = share, characters - (end - start)

    def _pieces(self, start: int, end: int, limit: int) -> list[tuple[int, int]]:
        """The words from a place that the library named to `limit`, where it names the next."""
        text = self._spoken
        if not any(map(_in_word, text[start:end])):
            word = next((i for i in range(start, limit) if _in_word(text[i])), None)
            if word is None:  # a sign that it speaks, such as %
                return [(start, end)] if text[start:end].strip() else []
            start = end = word
        pieces = []
        while True:
            while end < limit and _goes_on(text[end : min(end + 2, limit)]):
                end += 1
            trimmed = start + len(text[start:end].rstrip())
            pieces.append((start, trimmed))
            following = next((i for i in range(end, limit) if _in_word(text[i])), None)
            if following is None:
                return pieces
            start = end = following


def _goes_on(rest: str) -> bool:
    """Does a word that stands before `rest` go on in it?"""
    return _in_word(rest[0]) or (rest[0] in _WITHIN_WORDS and len(rest) > 1 and _in_word(rest[1]))


def _in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"  # letters, numbers, vowel signs and accents
