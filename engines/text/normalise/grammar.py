"""How numbers are written in a language, and how they go with units and money."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache

from babel import Locale
from babel.numbers import format_decimal, get_currency_name
from babel.units import UnknownUnitError, format_unit

from engines.text.languages import cldr_locale
from engines.text.normalise.numbers import Numbers
from engines.text.normalise.words import Words, words_of

_FIXED_SPACES = "\u00a0\u202f\u2009"
# a sign only where a number begins: after a space or an opening bracket or quote
SIGN = r"(?:(?<![^\s(\[«„“\"'–])[-−+±])?"
_THOUSANDS = frozenset(["mil", "mille", "mila"])  # unlike millions, they take no "of"


@dataclass(frozen=True, slots=True)
class Amount:
    """A number as it is written: digits in ASCII without separators, and the decimal mark."""

    integer: str
    fraction: str = ""
    mark: str = ""
    sign: str = ""
    grouped: bool = False

    @property
    def value(self) -> Decimal:
        sign = "-" if self.sign in ("-", "−") else ""
        # "1" and "1.0" are not the same: grammar counts decimals as many
        return Decimal(f"{sign}{self.integer}" + f".{self.fraction}" * bool(self.fraction))

    @property
    def is_one(self) -> bool:
        return not self.fraction and int(self.integer) == 1


class Grammar:
    """Numbers of one language.

    Attributes:
        numeral: pattern of an unsigned number as the language writes it.
    """

    def __init__(self, language: str) -> None:
        self.words: Words = words_of(language)
        self.numbers = Numbers(self.words)
        self.locale: Locale = cldr_locale(language) or Locale("en")
        self.numeral = _numeral(self.locale)
        self._amount = re.compile(
            rf"(?P<sign>[-−+±]?)(?P<integer>{_integer(self.locale)})"
            rf"(?:(?P<mark>{_decimal_mark(self.locale)})(?P<fraction>\d+))?"
        )

    def amount(self, written: str) -> Amount:
        """What a match of `numeral`, with a sign or without, stands for."""
        match = self._amount.fullmatch(written)
        assert match is not None, written
        return Amount(
            integer=ascii_digits(match["integer"]),
            fraction=ascii_digits(match["fraction"] or ""),
            mark=match["mark"] or "",
            sign=match["sign"],
            grouped=not match["integer"].isdecimal(),
        )

    def say(self, amount: Amount) -> str:
        words = self.words
        signs = {"-": words.minus, "−": words.minus, "+": words.plus}
        sign = f"{words.plus} {words.minus}" if amount.sign == "±" else signs.get(amount.sign, "")
        return f"{sign} {self.numbers.number(amount.integer, amount.fraction, amount.mark)}".strip()

    def count(self, amount: Amount, noun: str) -> str:
        """The number as it is said before a noun."""
        said = self.say(amount)
        if amount.fraction:
            return said
        pattern = self.words.feminine
        return self.numbers.agree(said, feminine=bool(pattern and pattern.search(noun)))

    def with_unit(self, amount: Amount, unit: str) -> str | None:
        """Number and unit in words, in the right plural; None where CLDR has no name for it.

        Args:
            unit: CLDR's identifier, such as "length-kilometer".
        """
        # babel rounds, which a context shorter than the number refuses
        with localcontext() as context:
            context.prec = max(context.prec, len(amount.integer) + len(amount.fraction) + 3)
            written = format_decimal(amount.value, locale=self.locale)
            for length in ("long", "short"):
                try:
                    phrase = format_unit(amount.value, unit, length, locale=self.locale)
                except UnknownUnitError:
                    return None
                if unit not in phrase:  # babel falls back to the identifier itself
                    break
            else:
                return None
        phrase = " ".join(phrase.split())
        written = " ".join(written.split())
        noun = phrase.replace(written, "").strip()
        if not any(sign.isalpha() for sign in noun):
            return None
        return phrase.replace(written, self.count(amount, noun))

    def percent(self, amount: Amount) -> str:
        if self.words.percent:
            return self.words.percent.format(n=self.say(amount))
        return self.with_unit(amount, "concentr-percent") or f"{self.say(amount)} %"

    def money(self, amount: Amount, code: str, magnitude: str = "") -> str:
        """An amount of money in words.

        Args:
            code: ISO 4217.
            magnitude: a key of `Words.magnitudes`, as in "2 m".
        """
        if magnitude:
            one, many = self.words.magnitudes[magnitude]
            scale = one if amount.is_one else many
            name = self._currency_names(code)[1]
            of = "" if scale in _THOUSANDS else self._of(name)
            return f"{self.count(amount, scale)} {scale} {of}{name}"
        if len(amount.fraction) > 2:
            return f"{self.say(amount)} {self._currency_names(code)[1]}"
        if code not in self.words.currencies:
            said = self._library_money(amount, code)
            if said:
                return said
        units, cents = Amount(amount.integer, sign=amount.sign), amount.fraction.ljust(2, "0")
        one, many, cent, all_cents = self._currency_names(code)
        said = f"{self.count(units, one)} {one if units.is_one else many}"
        if not int(cents or 0):
            return said
        minor = Amount(cents.lstrip("0"))
        name = cent if minor.is_one else all_cents
        if int(amount.integer) == 0 and name:
            return f"{self.count(minor, name)} {name}"
        return f"{said}{self.words.cents}{self.count(minor, name)} {name}".rstrip()

    def _library_money(self, amount: Amount, code: str) -> str:
        """What num2words says; "" where it does not know the currency."""
        if not self.words.library_currency:
            return ""
        try:
            said = self.numbers.money(abs(amount.value), code, "\x00")
        except NotImplementedError:
            return ""
        units, _, cents = (part.strip() for part in said.partition("\x00"))
        if amount.sign:
            units = f"{self.words.minus if amount.value < 0 else self.words.plus} {units}"
        if not int(amount.fraction or 0):
            return units
        return cents if int(amount.integer) == 0 else f"{units}{self.words.cents}{cents}"

    def _currency_names(self, code: str) -> tuple[str, str, str, str]:
        if code in self.words.currencies:
            return self.words.currencies[code]
        one = get_currency_name(code, 1, self.locale)
        return one, get_currency_name(code, 1_000_000, self.locale), "", ""

    def _of(self, name: str) -> str:
        elided = self.words.numbers.startswith("fr") and name[:1].lower() in "aeiouyéè"
        return "d'" if elided else self.words.of


def ascii_digits(text: str) -> str:
    """The decimal digits of any script in a text, as ASCII, all else left out."""
    return "".join(str(int(sign)) for sign in text if sign.isdecimal())


def _decimal_mark(locale: Locale) -> str:
    # where the comma is the decimal mark, "3.5" is understood all the same
    return "[,.٫]" if locale.number_symbols["latn"]["decimal"] == "," else "[.٫]"


def _integer(locale: Locale) -> str:
    symbols = locale.number_symbols["latn"]
    marks = _FIXED_SPACES + "'’٬" + ("." if symbols["decimal"] == "," else ",")
    if symbols["group"].isspace():
        marks += " "
    indian = r"\d{1,2}(?:,\d\d)+,\d{3}(?!\d)|" if symbols["group"] == "," else ""
    return rf"(?:{indian}\d{{1,3}}(?:[{marks}]\d{{3}})+(?!\d)|\d+)"


def _numeral(locale: Locale) -> str:
    return rf"(?:{_integer(locale)}(?:{_decimal_mark(locale)}\d+)?)"


@lru_cache(maxsize=64)
def grammar_of(language: str) -> Grammar:
    return Grammar(language)
