"""Numbers that stand alone: years, ordinals, fractions, telephone and version numbers; signs."""

from __future__ import annotations

import re
import unicodedata

from engines.text.normalise.context import Reading, word_before
from engines.text.normalise.grammar import SIGN, Amount, Grammar, ascii_digits
from engines.text.normalise.quantities import Quantities

_LONG_NUMBER = 10  # digits without separators from which on a number is an identifier
_PHONES = (
    re.compile(r"(?<!\w)\+\d{1,3}(?:[\s./()-]{1,2}\d{1,8}){1,6}(?!\w)"),
    re.compile(r"(?<!\w)\(\d{2,5}\)\s?\d{2,5}(?:[\s.-]\d{2,5}){1,3}(?!\w)"),
    re.compile(r"(?<![\w.,-])\d{3}-\d{4}(?![\w-])"),
    re.compile(r"(?<![\w.,-])0\d{1,5}(?:[\s/-]\d{2,8}){1,5}(?![\w-])"),
    re.compile(r"(?<![\w.,-])\d{1,6}(?:-\d{1,7}){2,5}(?![\w-])"),
    re.compile(r"(?<![\w.,-])\d{4}(?: \d{4}){2,3}(?!\w)"),
)
_VERSION = re.compile(r"(?<!\w)(?P<v>[vV]\.?\s?)?(?P<n>\d{1,9}(?:\.\d{1,9})+)(?!\w|\.\d)")
_SLASHED = re.compile(
    r"(?<![\w/.,])(?:(?P<whole>\d{1,4})\s)?(?P<a>\d{1,4})/(?P<b>\d{1,3})(?![\w/]|[.,]\d)"
)
_VULGAR = re.compile(r"(?P<whole>\d{1,6})?\s?(?P<sign>[¼-¾⅐-⅞])")
_POINT_FIRST = re.compile(r"(?<![\w.,])\.(?P<n>\d+)(?![\w.])")
_TIMES = re.compile(r"(?<=\d)\s?[x×]\s?(?=\d)|(?<=\d)\s?×")


class Figures:
    """Reads what the calendar and the quantities left."""

    def __init__(self, grammar: Grammar, quantities: Quantities) -> None:
        words = grammar.words
        self._grammar = grammar
        self._words = words
        self._numbers = grammar.numbers
        self._quantities = quantities
        n = grammar.numeral
        self._number = re.compile(rf"(?P<n>{SIGN}{n})")
        self._digits = re.compile(r"\d+")
        self._suffixed = re.compile(
            rf"(?<!\w)(?P<n>{n})(?P<suffix>{words.ordinals or '(?!)'})(?!\w)"
        )
        self._dotted = re.compile(r"(?<![\w.,])(?P<n>\d{1,3})\.(?=\s+[^\W\d_])")
        self._decade = re.compile(
            rf"(?<![\w.,])[’']?(?P<n>\d{{3}}0|\d0){words.decade_suffix}(?!\w)"
        )
        self._before_sign = re.compile(r"(?<!\w)#\s?(?=\d)")

    def read_phone(self, text: str, start: int, end: int) -> Reading | None:
        for pattern in _PHONES:
            match = pattern.match(text, start, end)
            if match and len(ascii_digits(match[0])) >= 6:
                groups = re.findall(r"\d+", match[0])
                plus = f"{self._words.plus} " if match[0].startswith("+") else ""
                return match.end(), plus + ", ".join(map(self._numbers.digits, groups))
        return None

    def read_version(self, text: str, start: int, end: int) -> Reading | None:
        match = _VERSION.match(text, start, end)
        if not match:
            return None
        parts = match["n"].split(".")
        named = match["v"] or word_before(text, start).lower().startswith(("vers", "верс"))
        # 1.234.567 is a number where the dot groups thousands
        if not named and (len(parts) < 3 or re.fullmatch(self._grammar.numeral, match["n"])):
            return None
        said = f" {self._words.dot} ".join(
            self._numbers.number(ascii_digits(part)) for part in parts
        )
        return match.end(), f"{(match['v'] or '').strip()} {said}".strip()

    def read_ordinal(self, text: str, start: int, end: int) -> Reading | None:
        match = self._suffixed.match(text, start, end)
        suffix = match["suffix"] if match else ""
        if not match and self._words.dot_ordinals:
            match = self._dotted.match(text, start, end)
            suffix = word_before(text, start)
        if not match:
            return None
        amount = self._grammar.amount(match["n"])
        if amount.fraction:
            return None
        number = int(amount.integer)
        say = self._words.ordinal
        said = say(self._numbers, number, suffix) if say else self._numbers.ordinal(number)
        return match.end(), said

    def read_decade(self, text: str, start: int, end: int) -> Reading | None:
        say = self._words.decade
        match = self._decade.match(text, start, end) if say else None
        return (match.end(), say(self._numbers, int(match["n"]), "")) if say and match else None

    def read_fraction(self, text: str, start: int, end: int) -> Reading | None:
        match = _VULGAR.match(text, start, end)
        if match:
            numerator, _, denominator = unicodedata.normalize("NFKC", match["sign"]).partition("⁄")
        else:
            match = _SLASHED.match(text, start, end)
            if not match:
                return None
            numerator, denominator = ascii_digits(match["a"]), ascii_digits(match["b"])
        said = self._words.fractions.get(f"{numerator}/{denominator}")
        if said is None and match["whole"]:
            return None
        if said is None:  # 24/7, 2025/26
            first, second = Amount(numerator), Amount(denominator)
            said = f"{self._quantities.plain(first, years=True)} {self._grammar.say(second)}"
        if match["whole"]:
            whole = self._numbers.number(ascii_digits(match["whole"]))
            said = f"{whole} {self._words.and_} {said}"
        return match.end(), said

    def read_number(self, text: str, start: int, end: int) -> Reading | None:
        """Any number; of one that is stuck to letters its digits: MP3, B2B, X1000."""
        point = _POINT_FIRST.match(text, start, end)
        if point:
            return point.end(), f"{self._words.dot} {self._numbers.digits(point['n'])}"
        stuck = start > 0 and (text[start - 1].isalpha() or text[start - 1] == "_")
        match = (self._digits if stuck else self._number).match(text, start, end)
        if not match:
            return None
        amount = self._grammar.amount(match[0])
        said = self._say(amount, text, start)
        after = text[match.end() : match.end() + 1]
        letter_next = after.isalpha() and not _TIMES.match(text, match.end(), end)
        return match.end(), " " * stuck + said + " " * letter_next

    def _say(self, amount: Amount, text: str, start: int) -> str:
        integer = amount.integer
        alone = not (amount.fraction or amount.grouped)
        if alone and len(integer) >= _LONG_NUMBER and not integer.endswith("000000"):
            return self._numbers.digits(integer)
        return self._quantities.plain(amount, years=self._means_year(amount, text, start))

    def _means_year(self, amount: Amount, text: str, start: int) -> bool:
        cues = self._words.year_cues
        if cues is None or int(amount.integer) >= 1900:
            return True
        before = text[max(0, start - 1) : start]
        return before in ("(", "–") or word_before(text, start).lower() in cues

    def read_sign(self, text: str, start: int, end: int) -> Reading | None:
        words = self._words
        match = _TIMES.match(text, start, end)
        if match and words.times:
            return match.end(), f" {words.times}" + " " * (match[0] != match[0].rstrip())
        if self._before_sign.match(text, start, end) and words.number_sign:
            return start + 1, f"{words.number_sign} "
        said = {"&": words.and_, "+": words.plus, "=": words.equals, "@": words.at}.get(text[start])
        if not said:
            return None
        before, after = text[max(0, start - 1) : start], text[start + 1 : start + 2]
        loose = not before.strip() and not after.strip()
        stuck = before.isalnum() and after.isalnum()
        if text[start] in "+=":  # a sum, not a part of an address
            stuck = before.isdecimal() and after.isdecimal()
        if not loose and not stuck:
            return None
        return start + 1, f" {said} " if stuck else said
