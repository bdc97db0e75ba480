"""Numbers, dates, money, units and abbreviations in words.

Covered are the languages of `words.words_of` (num2words and CLDR) and Chinese and Japanese
(wetext). Text in any other language stays as it is: an engine whose capability says
`reads_numbers` reads the digits there; other engines are given digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engines.api import Span
from engines.text.languages import primary
from engines.text.normalise.words import words_of

# white space that is not one plain space
_ODD_SPACE = re.compile(r"\s*[^\S ]\s*|  +")


def normalise(text: str, language: str, start: int = 0, end: int | None = None) -> list[Span]:
    """A sentence, or a part of it, as it is spoken.

    Args:
        language: BCP 47.
        start, end: the part that is wanted; what lies around it is looked at, not returned.

    Returns:
        Spans whose sources, joined, are the part exactly as it was written.
    """
    end = len(text) if end is None else end
    spans: list[Span] = []
    position = start
    for left, right, said in _readings(text, language, start, end):
        spans.extend(_as_written(text[position:left]))
        spans.append(Span(text[left:right], said))
        position = right
    spans.extend(_as_written(text[position:end]))
    return spans


def covers(language: str) -> bool:
    """Whether numbers of a language are put into words."""
    return primary(language) in ("zh", "ja") or words_of(language).reads_numbers


def _readings(text: str, language: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    code = primary(language)
    if code in ("zh", "ja"):
        from engines.text.normalise import hanzi

        return hanzi.readings(text, code, start, end)
    if words_of(language).reads_numbers:
        from engines.text.normalise.reader import reader_of

        return reader_of(language).readings(text, start, end)
    return iter(())


def _as_written(text: str) -> Iterator[Span]:
    position = 0
    for match in _ODD_SPACE.finditer(text):
        if match.start() > position:
            plain = text[position : match.start()]
            yield Span(plain, plain)
        none = "\n" in match[0] and _between_ideographs(text, match.start(), match.end())
        yield Span(match[0], "" if none else " ")
        position = match.end()
    if position < len(text):
        yield Span(text[position:], text[position:])


def _between_ideographs(text: str, start: int, end: int) -> bool:
    """Whether a line end lies where these scripts put no space."""
    sides = text[max(0, start - 1) : start], text[end : end + 1]
    return all("\u3000" <= side <= "\u9fff" or "\uf900" <= side <= "\uffef" for side in sides)
