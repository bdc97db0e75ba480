"""French."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engines.text.normalise.words import Words, set_of

if TYPE_CHECKING:
    from engines.text.normalise.numbers import Numbers


def _french_day(numbers: Numbers, day: int, _before: str) -> str:
    return "premier" if day == 1 else numbers.cardinal(day)


def _french_ordinal(numbers: Numbers, number: int, suffix: str) -> str:
    feminine = number == 1 and suffix.startswith(("r", "è"))
    return "première" if feminine else numbers.ordinal(number)


FRENCH = Words(
    "fr",
    "virgule",
    "point",
    "moins",
    fraction="number",
    to="à",
    and_="et",
    plus="plus",
    equals="égale",
    times="fois",
    at="arobase",
    ordinals="ers?|ères?|res?|èmes?|es?|nde?s?",
    ordinal=_french_ordinal,
    day=_french_day,
    clock="{hours} {m}",
    clock_hour="{hours}",
    clock_marks=r":|\s?h\s?",
    clock_after=r"\s?(?:h|heures?)\b",
    clock_alone=True,
    small_minutes="{m}",
    ones=(("un", "un", "une"),),
    feminine=re.compile(r"\A(?:heure|minute|seconde|tonne|livre|once|couronne|roupie)s?\b"),
    of="de ",
    currencies={
        "EUR": ("euro", "euros", "centime", "centimes"),
        "USD": ("dollar", "dollars", "cent", "cents"),
        "CAD": ("dollar", "dollars", "cent", "cents"),
        "GBP": ("livre", "livres", "penny", "pence"),
        "CHF": ("franc", "francs", "centime", "centimes"),
        "JPY": ("yen", "yens", "", ""),
    },
    library_currency=True,
    magnitudes={
        "k": ("mille", "mille"),
        "M": ("million", "millions"),
        "million": ("million", "millions"),
        "millions": ("million", "millions"),
        "Md": ("milliard", "milliards"),
        "milliard": ("milliard", "milliards"),
        "milliards": ("milliard", "milliards"),
    },
    fractions={
        "1/2": "un demi",
        "1/4": "un quart",
        "3/4": "trois quarts",
        "1/3": "un tiers",
        "2/3": "deux tiers",
        "1/5": "un cinquième",
        "1/8": "un huitième",
        "1/10": "un dixième",
    },
    number_sign="numéro",
    abbreviations={
        "M.": "Monsieur",
        "MM.": "Messieurs",
        "Mme": "Madame",
        "Mme.": "Madame",
        "Mlle": "Mademoiselle",
        "Mlle.": "Mademoiselle",
        "Dr": "Docteur",
        "Dr.": "Docteur",
        "Pr.": "Professeur",
        "c.-à-d.": "c'est-à-dire",
        "etc.": "et cætera",
        "env.": "environ",
        "av. J.-C.": "avant Jésus-Christ",
        "apr. J.-C.": "après Jésus-Christ",
        "cf.": "confer",
        "tél.": "téléphone",
        "bd.": "boulevard",
    },
    before_number={
        "n°": "numéro",
        "N°": "numéro",
        "nº": "numéro",
        "p.": "page",
        "pp.": "pages",
        "vol.": "volume",
        "chap.": "chapitre",
        "art.": "article",
        "fig.": "figure",
    },
    more_abbreviations=set_of("St. Ste. ex. éd. p.ex."),
    final_abbreviations=set_of("etc. J.-C."),
)

WORDS: Mapping[str, Words] = {
    "fr": FRENCH,
    "fr-be": replace(FRENCH, numbers="fr_BE"),
    "fr-ch": replace(FRENCH, numbers="fr_CH"),
}
