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

Read = Callable[[str, int, int], Reading | None]


class Reader:
    """Finds what is not spoken as it is written. Places where anything can begin are found with
    one pattern; there the readers are asked in turn, the most special first."""

    def __init__(self, language: str) -> None:
        grammar = grammar_of(language)
        calendar = Calendar(grammar, language)
        quantities = Quantities(grammar, calendar)
        figures = Figures(grammar, quantities)
        abbreviations = Abbreviations(grammar.words)
        self._reads: tuple[Read, ...] = (
            abbreviations.read,
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
        )
        letters = {name[0] for name in (*calendar.names, *quantities.names)} | abbreviations.firsts
        letters |= {letter.upper() for letter in letters} | {"v", "V"}
        firsts = "".join(re.escape(letter) for letter in sorted(letters) if letter.isalpha())
        signs = "".join(re.escape(letter) for letter in sorted(letters) if not letter.isalnum())
        self._start = re.compile(
            rf"\d|[-−+±.’'(#&=@×%٪¼-¾⅐-⅞{signs}]|(?<!\w)[{firsts}]|(?<=\d)\s?x"
        )

    def readings(self, text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Start, end and words of everything between two offsets that is said differently."""
        position = start
        while match := self._start.search(text, position, end):
            position = match.start()
            for read in self._reads:
                reading = read(text, position, end)
                if reading:
                    yield position, *reading
                    position = reading[0]
                    break
            else:
                position += 1


@lru_cache(maxsize=64)
def reader_of(language: str) -> Reader:
    return Reader(language)
