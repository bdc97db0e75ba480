"""Dates and times."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from engines.text.languages import primary
from engines.text.normalise.context import Reading, word_before
from engines.text.normalise.grammar import Amount, Grammar

_ISO = re.compile(r"(?<![\w.,/-])(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})(?![\d-])(?:T(?=\d\d:))?")
_YEAR_FIRST = re.compile(
    r"(?<![\w.,/-])(?P<y>\d{4})(?P<mark>[./])(?P<m>\d{1,2})(?P=mark)(?P<d>\d{1,2})(?![\d/])"
)
_NUMERIC = re.compile(
    r"(?<![\w.,/-])(?P<a>\d{1,2})(?P<mark>[./-])(?P<b>\d{1,2})(?P=mark)(?P<y>\d{4}|\d{2})(?![\d/-])"
    r"(?!\.\d)"
)
_DAY_AND_MONTH = re.compile(r"(?<![\w.,/-])(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?!\d)")
# the fields of a CLDR date pattern; the dot of an ordinal belongs to its number
_FIELDS = re.compile(r"(?P<field>y+|[ML]+|d+)\.?|'[^']*'")
_HALF_DAY = r"\s?(?P<half>[ap])\.?\s?m\b\.?"

Say = Callable[[re.Match[str], str], str]  # a match, the word before it → words, or ""


class Calendar:
    """Reads dates and times in one language.

    Attributes:
        leading: pattern of what may stand before the number that a date begins with.
    """

    def __init__(self, grammar: Grammar, language: str) -> None:
        self._grammar = grammar
        self._words = grammar.words
        self._numbers = grammar.numbers
        pattern = grammar.locale.date_formats["short"].pattern
        self._month_first = pattern.find("M") < pattern.find("d")
        self._dotted = "." in pattern
        self._english = primary(language) == "en"
        self._names = _month_names(grammar)
        self._written_in_digits: tuple[tuple[re.Pattern[str], Say], ...] = (
            (_ISO, self._ordered),
            (_YEAR_FIRST, self._ordered),
            (_NUMERIC, self._numeric),
            (_DAY_AND_MONTH, self._without_year),
        )
        self._compile_named_dates()
        self._compile_clock()

    def _compile_named_dates(self) -> None:
        months = "|".join(map(re.escape, sorted(self._names, key=len, reverse=True)))
        months = months or "(?!)"
        self.leading = rf"(?<!\w)(?i:{months})\.?" if self._english else "(?!)"
        tails = "|".join(map(re.escape, self._words.date_words))
        tail = rf"(?:\s?(?P<tail>{tails}))?" if tails else ""
        ordinal = self._words.ordinals or "(?!)"
        self._day_first = re.compile(
            rf"(?<![\w.,/:-])(?P<d>\d{{1,2}})(?:\.|(?:{ordinal}))?\s+(?P<of>(?:of|de|d'|del)\s+)?"
            rf"(?P<m>{months})(?!\w)\.?(?:,?\s+(?P<of2>(?:de|del)\s+)?(?P<y>\d{{4}})(?![\w:]){tail})?",
            re.I,
        )
        self._month_then_day = re.compile(
            rf"(?<!\w)(?P<m>{months})(?!\w)\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?"
            rf"(?:,?\s+(?P<y>\d{{4}}))?(?![\w:/%]|[.,]\d)",
            re.I,
        )

    def _compile_clock(self) -> None:
        words = self._words
        half = f"(?:{_HALF_DAY})?" if self._english else "(?P<half>(?!))?"
        after = f"(?P<after>{words.clock_after})?" if words.clock_after else "(?P<after>(?!))?"
        self._time = re.compile(
            rf"(?<![\w:.,])(?P<h>\d{{1,2}})(?P<mark>{words.clock_marks})(?P<m>[0-5]\d)"
            rf"(?::(?P<s>[0-5]\d))?{half}{after}(?!\w|[:.,]\d)"
        )
        alone = _HALF_DAY if self._english else words.clock_after if words.clock_alone else "(?!)"
        self._hour = re.compile(rf"(?<![\w:.,])(?P<h>\d{{1,2}})(?:{alone})(?!\w)")

    def read_date(self, text: str, start: int, end: int) -> Reading | None:
        for pattern, said_by in self._written_in_digits:
            match = pattern.match(text, start, end)
            said = match and said_by(match, word_before(text, start))
            if match and said:
                return match.end(), said
        return self._named(text, start, end)

    def _ordered(self, match: re.Match[str], before: str) -> str:
        said = self._said(int(match["y"]), int(match["m"]), int(match["d"]), before)
        # the T before a time of day is not said
        return said + " " if said and match[0].endswith("T") else said

    def _without_year(self, match: re.Match[str], before: str) -> str:
        """ "21.11." in languages that write dates with dots; at the end of a sentence it is a date
        only where the word before shows that."""
        at_end = not match.string[match.end() :].strip()
        if not self._dotted or (at_end and before.lower() not in self._words.ordinal_cues):
            return ""
        return self._said(None, int(match["m"]), int(match["d"]), before)

    def _numeric(self, match: re.Match[str], before: str) -> str:
        if match["mark"] == "." and len(match["y"]) == 2 and not self._dotted:
            return ""
        first, second, year = int(match["a"]), int(match["b"]), int(match["y"])
        if len(match["y"]) == 2:
            year += 2000 if year < 70 else 1900
        month_first = self._month_first and match["mark"] != "."
        month, day = (first, second) if month_first else (second, first)
        if month > 12:  # the other order is the only one that makes sense
            month, day = day, month
        return self._said(year, month, day, before)

    def _said(self, year: int | None, month: int, day: int, before: str) -> str:
        """A date in words; "" where there is no such day."""
        try:
            date(year or 2000, month, day)
        except ValueError:
            return ""
        day_words = self._day(day, before)
        year_words = self._year(year) if year else ""
        if self._words.date:
            name = self._grammar.locale.months["format"]["wide"][month]
            said = self._words.date.format(day=day_words, month=name, year=year_words)
            if before.lower() == "the":
                said = said.removeprefix("the ")
            return said.strip()
        return self._by_cldr(year, month, day_words, year_words)

    def _by_cldr(self, year: int | None, month: int, day_words: str, year_words: str) -> str:
        locale = self._grammar.locale
        long = locale.date_formats["long"].pattern
        pattern = long if year else locale.datetime_skeletons["MMMMd"].pattern

        def say(match: re.Match[str]) -> str:
            field = match["field"]
            if not field:
                return match[0].strip("'")
            if field[0] in "ML":
                context = "format" if field[0] == "M" else "stand-alone"
                name = locale.months[context]["wide"][month]
                return name if len(field) > 2 else self._numbers.cardinal(month)
            return day_words if field[0] == "d" else year_words

        said = _FIELDS.sub(say, pattern)
        for short, full in self._words.date_words.items():
            said = said.replace(short, full)
        # in some languages the name of a month is its number
        said = re.sub(r"\d+", lambda match: self._numbers.cardinal(int(match[0])), said)
        return " ".join(said.split())

    def _day(self, day: int, before: str) -> str:
        say = self._words.day
        return say(self._numbers, day, before) if say else self._numbers.cardinal(day)

    def _year(self, year: int) -> str:
        say = self._words.year
        return say(self._numbers, year, "date") if say else self._numbers.cardinal(year)

    def _named(self, text: str, start: int, end: int) -> Reading | None:
        """A date whose month is a word: the word stays as it was written."""
        match = self._day_first.match(text, start, end)
        swapped = False
        if not match and self._english:
            match = self._month_then_day.match(text, start, end)
            swapped = True
        if not match or not 1 <= int(match["d"]) <= 31:
            return None
        before = word_before(text, start)
        name = self._names[match["m"].lower()]
        short = len(name) > len(match["m"])
        month = name if short else match["m"]
        stop = match.end()
        tail = self._words.date_words.get(match.groupdict().get("tail") or "", "")
        if text[stop - 1] == "." and not tail and not (short and text[stop:end].strip()):
            stop -= 1  # the dot ends the sentence
        day = self._day(int(match["d"]), before)
        year = self._year(int(match["y"])) if match["y"] else ""
        if swapped:
            return stop, f"{month} {day} {year}".rstrip()
        if self._english:
            article = "" if before.lower() == "the" else "the "
            return stop, f"{article}{day} of {month} {year}".rstrip()
        of, of_year = match["of"] or "", (match["of2"] or "") if year else ""
        said = f"{day} {of}{month} {of_year}{year} {tail}"
        return stop, " ".join(said.split())

    def read_time(self, text: str, start: int, end: int) -> Reading | None:
        match = self._time.match(text, start, end)
        if match and int(match["h"]) <= 24 and self._is_time(match, text):
            before = word_before(text, start)
            said = self._clock(int(match["h"]), int(match["m"]), match["half"], before)
            if match["s"]:
                seconds = self._grammar.with_unit(Amount(match["s"]), "duration-second")
                said = f"{said} {self._words.and_} {seconds}" if seconds else said
            return match.end(), said
        match = self._hour.match(text, start, end)
        if not match or int(match["h"]) > 24:
            return None
        half = match.groupdict().get("half")
        return match.end(), self._clock(int(match["h"]), 0, half, word_before(text, start))

    def _is_time(self, match: re.Match[str], text: str) -> bool:
        if match["mark"] != ".":
            return True
        return bool(match["after"]) or word_before(text, match.start()) in self._words.clock_cues

    def _clock(self, hour: int, minute: int, half: str | None, before: str) -> str:
        words, numbers = self._words, self._numbers
        h = words.say_hour(numbers, hour, before) if words.say_hour else numbers.cardinal(hour)
        if half:
            minutes = self._minutes(minute) if minute else ""
            return f"{h} {minutes}".rstrip() + f" {half.lower()}.m."
        if minute == 0 and self._english and not 1 <= hour <= 12:
            return f"{h} hundred"
        template = (words.clock if minute else words.clock_hour) or "{h} {m}"
        unit = self._grammar.with_unit
        return template.format(
            h=h,
            m=self._minutes(minute),
            hours=unit(Amount(str(hour)), "duration-hour") if "{hours}" in template else "",
            minutes=unit(Amount(str(minute)), "duration-minute") if "{minutes}" in template else "",
        )

    def _minutes(self, minute: int) -> str:
        said = self._numbers.cardinal(minute)
        return self._words.small_minutes.format(m=said) if 0 < minute < 10 else said


def _month_names(grammar: Grammar) -> dict[str, str]:
    """Every name and abbreviation of a month in small letters, without dots → the full name."""
    names: dict[str, str] = {}
    for context in ("format", "stand-alone"):
        for width in ("wide", "abbreviated"):
            for month, name in grammar.locale.months[context][width].items():
                full = grammar.locale.months["format"]["wide"][month]
                short = name.lower().rstrip(".")
                if any(sign.isalpha() for sign in short) and not any(map(str.isdigit, short)):
                    names.setdefault(short, full if width == "abbreviated" else name)
    return names
