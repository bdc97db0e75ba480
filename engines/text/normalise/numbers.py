"""Numbers in words: num2words, with what it lacks or gets wrong put right."""

from __future__ import annotations

import threading
from decimal import Decimal
from functools import lru_cache

from engines.text.normalise.words import Words

_LONGEST_NUMBER = 15  # digits; num2words has no words for more in most languages
_LONGEST_FRACTION = 3  # digits that are said as one number
_num2words_lock = threading.Lock()  # its converters keep state of their own while they work


class Numbers:
    """Says numbers in one language."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.cardinal = lru_cache(maxsize=4096)(self._cardinal)

    def _cardinal(self, number: int) -> str:
        if len(str(number)) > _LONGEST_NUMBER:
            return self.digits(str(number))
        try:
            return self._ask(number, "cardinal")
        except (OverflowError, KeyError):
            return self.digits(str(number))

    def ordinal(self, number: int, **grammar: str) -> str:
        """As an ordinal; as a plain number where num2words has none in this language."""
        try:
            said = self._ask(number, "ordinal", **grammar)
        except (NotImplementedError, OverflowError, KeyError):
            said = ""
        return said or self.cardinal(number)

    def year(self, year: int) -> str:
        """As a year, in the languages whose years num2words knows."""
        return self._ask(year, "year")

    def digits(self, text: str) -> str:
        """Digit by digit, whatever parts them left out."""
        return " ".join(self.cardinal(int(sign)) for sign in text if sign.isdecimal())

    def number(self, integer: str, fraction: str = "", mark: str = "") -> str:
        """A number that is written in digits: "007" digit by digit, "3" and "14" as a decimal.

        Args:
            integer, fraction: the digits before and after the decimal mark.
            mark: the mark itself, which may be said by its own name.
        """
        if len(integer) > 1 and integer.startswith("0") and not fraction:
            return self.digits(integer)
        whole = self.cardinal(int(integer))
        if not fraction:
            return whole
        words = self.words
        in_library = words.fraction == "library" and mark == "," and int(fraction) > 0
        if in_library and len(fraction) <= _LONGEST_FRACTION:
            return self._ask(Decimal(f"{int(integer)}.{fraction}"), "cardinal")
        name = words.dot if mark == "." else words.comma
        return f"{whole} {name} {self._fraction(fraction)}"

    def _fraction(self, digits: str) -> str:
        if self.words.fraction == "digits" or len(digits) > _LONGEST_FRACTION:
            return self.digits(digits)
        rest = digits.lstrip("0")
        zeros = [self.cardinal(0)] * (len(digits) - len(rest))
        return " ".join([*zeros, self.cardinal(int(rest))] if rest else zeros)

    def agreeing(self, number: int, *, feminine: bool) -> str:
        """A number before a noun: "ein", "eine" rather than "eins"."""
        return self.agree(self.cardinal(number), feminine=feminine)

    def agree(self, words: str, *, feminine: bool) -> str:
        for alone, masculine, feminine_form in self.words.ones:
            before = words.removesuffix(alone)
            if before != words and not before[-1:].isalpha():
                return before + (feminine_form if feminine else masculine)
        return words

    def money(self, amount: Decimal, code: str, separator: str) -> str:
        """An amount in num2words' words for the currency, units and cents parted by `separator`.

        Raises:
            NotImplementedError: num2words lacks the currency in this language.
        """
        return self._ask(amount, "currency", currency=code, separator=separator)

    def _ask(self, number: int | Decimal, to: str, **options: str) -> str:
        from num2words import num2words

        with _num2words_lock:
            said = num2words(number, lang=self.words.numbers, to=to, **options)
        said = said.replace(",", "")
        for wrong, right in self.words.corrections.items():
            said = said.replace(wrong, right)
        return " ".join(said.split(" ")).strip()
