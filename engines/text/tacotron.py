"""The `tacotron` cleaner, with which most published English models were trained.

What a model learned from has to come out again, so oddities of the original stay: a pound sign is
made into letters before the rule for pounds could see it, "3.14" reads "three point fourteen", and
"St." is always a saint.
"""

from __future__ import annotations

import re

from engines.text.ascii import to_ascii

LONGEST_NUMBER = 36  # digits; longer ones are read digit by digit

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ABBREVIATIONS = {
    "mrs": "misess",
    "mr": "mister",
    "dr": "doctor",
    "st": "saint",
    "co": "company",
    "jr": "junior",
    "maj": "major",
    "gen": "general",
    "drs": "doctors",
    "rev": "reverend",
    "lt": "lieutenant",
    "hon": "honorable",
    "sgt": "sergeant",
    "capt": "captain",
    "esq": "esquire",
    "ltd": "limited",
    "col": "colonel",
    "ft": "fort",
}
_ABBREVIATION = re.compile(rf"\b({'|'.join(_ABBREVIATIONS)})\.")
_SYMBOLS = str.maketrans({";": ",", ":": ",", "-": " ", "&": "and"})
_UNNEEDED = re.compile(r'[()\[\]<>"]+')
_WHITESPACE = re.compile(r"\s+")

_COMMAS = re.compile(r"[0-9][0-9,]+[0-9]")
_POUNDS = re.compile(r"£([0-9,]*[0-9]+)")
_DOLLARS = re.compile(r"\$([0-9.,]*[0-9]+)")
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_ORDINAL = re.compile(r"([0-9]+)(?:st|nd|rd|th)")
_NUMBER = re.compile(r"[0-9]+")


def clean(text: str) -> str:
    """Text in upper-case ASCII, numbers and titles in words, runs of whitespace as one space.

    Each word is cleaned by itself: cleaning words and joining them gives what cleaning the text
    gives.
    """
    text = expand_numbers(to_ascii(text).lower())
    text = _ABBREVIATION.sub(lambda found: _ABBREVIATIONS[found[1]], text)
    text = _UNNEEDED.sub("", text.translate(_SYMBOLS))
    return _WHITESPACE.sub(" ", text.upper())


def expand_numbers(text: str) -> str:
    """Figures, dollars, pounds, decimals and ordinals in words; from 1001 to 2999 as years."""
    text = _COMMAS.sub(lambda found: found[0].replace(",", ""), text)
    text = _POUNDS.sub(r"\1 pounds", text)
    text = _DOLLARS.sub(lambda found: _dollars(found[1]), text)
    text = _DECIMAL.sub(lambda found: found[0].replace(".", " point "), text)
    text = _ORDINAL.sub(lambda found: _in_words(found[1], ordinal=True), text)
    return _NUMBER.sub(lambda found: _number(found[0]), text)


def _dollars(amount: str) -> str:
    parts = amount.replace(",", "").split(".")
    if len(parts) > 2:
        return f"{amount} dollars"
    whole, *rest = (part.lstrip("0") for part in parts)
    amounts = [(whole, "dollar"), *((cents, "cent") for cents in rest)]
    named = [f"{n} {unit}{'' if n == '1' else 's'}" for n, unit in amounts if n]
    return ", ".join(named) or "zero dollars"


def _number(digits: str) -> str:
    if len(digits) > LONGEST_NUMBER or not 1000 < int(digits) < 3000:
        return _in_words(digits)
    hundreds, rest = divmod(int(digits), 100)
    if hundreds == 20 and rest < 10:
        return f"two thousand {_DIGITS[rest]}" if rest else "two thousand"
    if rest == 0:
        return f"{_in_words(str(hundreds))} hundred"
    last = _in_words(str(rest)) if rest > 9 else f"oh {_DIGITS[rest]}"
    return f"{_in_words(str(hundreds))} {last}"


def _in_words(digits: str, *, ordinal: bool = False) -> str:
    from num2words import num2words

    if len(digits) > LONGEST_NUMBER:
        return " ".join(_DIGITS[int(digit)] for digit in digits)
    if ordinal:
        return num2words(int(digits), to="ordinal")
    return num2words(int(digits)).replace(" and ", " ")
