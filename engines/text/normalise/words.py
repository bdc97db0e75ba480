"""How a language says what the libraries leave open: signs, clocks, abbreviations, agreement."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from engines.text.languages import fallbacks, primary

if TYPE_CHECKING:
    from engines.text.normalise.numbers import Numbers

# numbers, the number, the word before it (of an ordinal: what follows it, such as "th") → words
Say = Callable[["Numbers", int, str], str]
# the text before and after an abbreviation that has two meanings → words
Choose = Callable[[str, str], str]


@dataclass(frozen=True)
class Words:
    """One language. Only the first four fields are needed to read plain numbers.

    Attributes:
        numbers: num2words' name of the language; "" where it has none.
        comma, dot, minus: how these are said inside a number.
        fraction: digits after the comma are said one by one ("digits"), as a number ("number"),
            or as num2words has it ("library").
        to: between the ends of a range.
        and_, plus, equals, times, at: how these signs are said.
        ordinals: what follows a number to make it an ordinal, as a pattern: "st|nd|rd|th".
        dot_ordinals: a number with a dot inside a sentence is an ordinal: "der 2. Weltkrieg".
        ordinal_cues: words before such an ordinal.
        ordinal, day, year: how an ordinal, a day of the month and a year are said; None for
            num2words' ordinal and for plain numbers.
        date: template of a date with {day}, {month}, {year}; "" takes CLDR's.
        date_words: abbreviations in CLDR's dates → words.
        decade, decade_suffix: how "1990s" is said, and what makes it one.
        clock, clock_hour: templates of a time with {h}, {m}, {hours}, {minutes} and without
            minutes; "" where a time is read as two numbers.
        clock_marks: what may part hours and minutes, as a pattern; a dot only does before
            `clock_after` or after a word of `clock_cues`.
        clock_after: words after a time that its template says already, as a pattern.
        clock_cues: words before a time.
        clock_alone: a number before `clock_after` is a time: "14 Uhr".
        small_minutes: template of minutes below ten.
        say_hour: how the hour is said, where a plain number is wrong.
        ones: (number word, before a masculine noun, before a feminine one): "eins, ein, eine".
        feminine: pattern that finds feminine nouns.
        of: between a million and what is counted.
        cents: between the units and the cents of an amount.
        currencies: code → (one, many, one cent, cents), where libraries lack it or err.
        library_currency: num2words says amounts of money well.
        magnitudes: sign → (one, many) for millions and their like in amounts of money.
        fractions: fraction → words.
        percent: template where CLDR has none.
        number_sign: how # before a number is said.
        abbreviations: → words. White space after inner dots is optional.
        before_number: those that stand only before a number: "p." → "page".
        ordinary_words: those of `before_number` that are words as well, which end sentences.
        more_abbreviations: those that never end a sentence, but are spoken as they stand.
        final_abbreviations: those of all above that may well end a sentence.
        lone_word: a capital with a dot that is a word, not an initial: English "I.".
        year_cues: words after which four digits are a year; None where that needs no cue.
        corrections: words of the libraries that are wrong → right.
    """

    numbers: str
    comma: str
    dot: str
    minus: str
    fraction: Literal["digits", "number", "library"] = "digits"
    to: str = ""
    and_: str = ""
    plus: str = ""
    equals: str = ""
    times: str = ""
    at: str = ""
    ordinals: str = ""
    dot_ordinals: bool = False
    ordinal_cues: frozenset[str] = frozenset()
    ordinal: Say | None = None
    day: Say | None = None
    year: Say | None = None
    date: str = ""
    date_words: Mapping[str, str] = field(default_factory=dict)
    decade: Say | None = None
    decade_suffix: str = ""
    clock: str = ""
    clock_hour: str = ""
    clock_marks: str = ":"
    clock_after: str = ""
    clock_cues: frozenset[str] = frozenset()
    clock_alone: bool = False
    small_minutes: str = "{m}"
    say_hour: Say | None = None
    ones: tuple[tuple[str, str, str], ...] = ()
    feminine: re.Pattern[str] | None = None
    of: str = ""
    cents: str = " "
    currencies: Mapping[str, tuple[str, str, str, str]] = field(default_factory=dict)
    library_currency: bool = False
    magnitudes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    fractions: Mapping[str, str] = field(default_factory=dict)
    percent: str = ""
    number_sign: str = ""
    abbreviations: Mapping[str, str | Choose] = field(default_factory=dict)
    before_number: Mapping[str, str] = field(default_factory=dict)
    ordinary_words: frozenset[str] = frozenset()
    more_abbreviations: frozenset[str] = frozenset()
    final_abbreviations: frozenset[str] = frozenset()
    lone_word: str = ""
    year_cues: frozenset[str] | None = None
    corrections: Mapping[str, str] = field(default_factory=dict)

    @property
    def reads_numbers(self) -> bool:
        return bool(self.numbers)


def as_year(numbers: Numbers, year: int, _before: str) -> str:
    """A year as num2words says it."""
    return numbers.year(year)


def as_ordinal(numbers: Numbers, number: int, _before: str) -> str:
    """An ordinal as num2words says it."""
    return numbers.ordinal(number)


def list_of(text: str) -> list[str]:
    """The words of a text, so that tables of them are easy to read."""
    return text.split()


def set_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


NOTHING_KNOWN = Words("", "", "", "")


@lru_cache(maxsize=512)
def words_of(language: str) -> Words:
    """What is known of a language; `NOTHING_KNOWN` where that is nothing."""
    from engines.text.normalise.tables import (
        english,
        french,
        germanic,
        nordic,
        others,
        romance,
        slavic,
    )

    families = (english, germanic, nordic, french, romance, slavic, others)
    for tag in (*fallbacks(language), primary(language)):
        for family in families:
            if tag in family.WORDS:
                return family.WORDS[tag]
    return NOTHING_KNOWN
