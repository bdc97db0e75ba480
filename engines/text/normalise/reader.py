"""The readers of one language put together: a sentence in, what is said instead out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from engines.text.normalise.abbreviations import Abbreviations
from engines.text.normalise.calendar import Calendar
from engines.text.normalise.context import Reading
from engines.text.normalise.figures import Figures
from engines.text.normalise.grammar import grammar_of
from engines.text.normalise.quantities import Quantities

_NUMBER = re.compile(r"[\d¼-¾⅐-⅞]")

Read = Callable[[str, int, int], Reading | None]


class Reader:
    """Finds what is not spoken as it is written. Places where something can begin are found with
    one pattern; there the readers are asked in turn, the most special first."""

    def __init__(self, language: str) -> None:
        grammar = grammar_of(language)
        calendar = Calendar(grammar, language)
        quantities = Quantities(grammar, calendar)
        figures = Figures(grammar, quantities)
        abbreviations = Abbreviations(grammar.words)
        self._word_reads: tuple[Read, ...] = (abbreviations.read, figures.read_sign)
        self._number_reads: tuple[Read, ...] = (
            calendar.read_date,
            figures.read_phone,
            quantities.read_range,
            calendar.read_time,
            figures.read_version,
            figures.read_decade,
            quantities.read,
            figures.read_ordinal,
            figures.read_fraction,
            figures.read_sign,
            figures.read_number,
            abbreviations.read,
        )
        self._heads = abbreviations.heads
        words = rf"(?P<word>{abbreviations.pattern}|[&=@]|\+(?!\d))"
        before_digits = "|".join(
            [quantities.leading, calendar.leading, r"[-−+±.’'(#%٪×]|\s?[x×]|[vV]\.?"]
        )
        numbers = rf"\d|(?:{before_digits})\s?(?=[-−+.]?\d)|[-−+±](?=\D\d)|[¼-¾⅐-⅞]"
        self._words = re.compile(words)
        self._words_and_numbers = re.compile(f"{numbers}|{words}")

    def readings(self, text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Start, end and words of everything between two offsets that is said differently."""
        has_numbers = _NUMBER.search(text, start, end)
        pattern = self._words_and_numbers if has_numbers else self._words
        position = start
        while match := pattern.search(text, position, end):
            position = match.start()
            if match["head"] and match["head"] not in self._heads:
                position = match.end()
                continue
            reading = self._read(text, position, end, is_word=match["word"] is not None)
            if reading:
                yield position, *reading
            position = reading[0] if reading else position + 1

    def _read(self, text: str, start: int, end: int, *, is_word: bool) -> Reading | None:
        for read in self._word_reads if is_word else self._number_reads:
            reading = read(text, start, end)
            if reading:
                return reading
        return None


@lru_cache(maxsize=64)
def reader_of(language: str) -> Reader:
    return Reader(language)
