"""German and Dutch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engines.text.normalise.words import Words, as_year, set_of

if TYPE_CHECKING:
    from engines.text.normalise.numbers import Numbers


_GERMAN_DATIVE = set_of("am vom zum beim im dem den des seit ab bis einem einen diesem")


def _german_ordinal(numbers: Numbers, number: int, before: str) -> str:
    word = numbers.ordinal(number)
    cue = before.lower()
    if cue in _GERMAN_DATIVE:
        return word + "n"
    return word if cue in ("der", "die", "das", "jede", "diese") else word + "r"


def _german_hour(numbers: Numbers, hour: int, _before: str) -> str:
    return "ein" if hour == 1 else numbers.cardinal(hour)


def _german_decade(numbers: Numbers, year: int, _before: str) -> str:
    return (numbers.cardinal(year) if year < 100 else numbers.year(year)) + "er"


_DE_MONEY = {
    "CHF": ("Franken", "Franken", "Rappen", "Rappen"),
    "JPY": ("Yen", "Yen", "", ""),
}
GERMAN = Words(
    "de",
    "Komma",
    "Punkt",
    "minus",
    to="bis",
    and_="und",
    plus="plus",
    equals="gleich",
    times="mal",
    at="at",
    dot_ordinals=True,
    ordinal_cues=_GERMAN_DATIVE
    | set_of("der die das ein eine einer jeder jede jedes dieser diese unser sein ihr"),
    ordinal=_german_ordinal,
    day=_german_ordinal,
    year=as_year,
    decade=_german_decade,
    decade_suffix="er",
    clock_cues=frozenset(["um"]),
    clock="{h} Uhr {m}",
    clock_hour="{h} Uhr",
    say_hour=_german_hour,
    clock_after=r"\s?Uhr\b",
    clock_alone=True,
    clock_marks="[:.]",
    ones=(("eins", "ein", "eine"),),
    feminine=re.compile(r"(?:e|[Mm]illion|[Mm]ark)\b"),
    currencies=_DE_MONEY,
    library_currency=True,
    magnitudes={
        "Tsd.": ("tausend", "tausend"),
        "Mio.": ("Million", "Millionen"),
        "Million": ("Million", "Millionen"),
        "Millionen": ("Million", "Millionen"),
        "Mrd.": ("Milliarde", "Milliarden"),
        "Milliarde": ("Milliarde", "Milliarden"),
        "Milliarden": ("Milliarde", "Milliarden"),
    },
    fractions={
        "1/2": "ein halb",
        "1/4": "ein Viertel",
        "3/4": "drei Viertel",
        "1/3": "ein Drittel",
        "2/3": "zwei Drittel",
        "1/5": "ein Fünftel",
        "1/8": "ein Achtel",
        "1/10": "ein Zehntel",
    },
    number_sign="Nummer",
    abbreviations={
        "z. B.": "zum Beispiel",
        "d. h.": "das heißt",
        "u. a.": "unter anderem",
        "o. Ä.": "oder Ähnliches",
        "i. d. R.": "in der Regel",
        "u. U.": "unter Umständen",
        "z. T.": "zum Teil",
        "s. o.": "siehe oben",
        "s. u.": "siehe unten",
        "v. Chr.": "vor Christus",
        "n. Chr.": "nach Christus",
        "usw.": "und so weiter",
        "bzw.": "beziehungsweise",
        "ca.": "circa",
        "ggf.": "gegebenenfalls",
        "evtl.": "eventuell",
        "inkl.": "inklusive",
        "exkl.": "exklusive",
        "vgl.": "vergleiche",
        "etc.": "et cetera",
        "sog.": "sogenannte",
        "Dr.": "Doktor",
        "Prof.": "Professor",
        "Hr.": "Herr",
        "Fr.": "Frau",
        "St.": "Sankt",
        "Str.": "Straße",
        "Tel.": "Telefon",
        "Mio.": "Millionen",
        "Mrd.": "Milliarden",
        "Tsd.": "Tausend",
        "max.": "maximal",
        "min.": "minimal",
        "geb.": "geboren",
        "gest.": "gestorben",
        "Jh.": "Jahrhundert",
        "Std.": "Stunden",
        "Min.": "Minuten",
        "Sek.": "Sekunden",
    },
    before_number={
        "Nr.": "Nummer",
        "S.": "Seite",
        "Abb.": "Abbildung",
        "Kap.": "Kapitel",
        "Bd.": "Band",
        "Abs.": "Absatz",
        "Art.": "Artikel",
        "§": "Paragraf",
    },
    ordinary_words=set_of("Art."),
    more_abbreviations=set_of("Ing. Dipl. Mag. jun. sen. hl. bes. allg. ehem."),
    final_abbreviations=set_of("usw. etc. Chr. Str. Jh. o. u. Ä. jun. sen."),
)
DUTCH = Words(
    "nl",
    "komma",
    "punt",
    "min",
    to="tot",
    and_="en",
    plus="plus",
    equals="is",
    times="keer",
    at="at",
    ordinals="ste|de|e",
    year=as_year,
    clock="{h} uur {m}",
    clock_cues=set_of("om"),
    clock_hour="{h} uur",
    clock_marks="[:.]",
    clock_after=r"\s?(?:uur|u\.?)(?!\w)",
    clock_alone=True,
    library_currency=True,
    magnitudes={
        "mln": ("miljoen", "miljoen"),
        "mln.": ("miljoen", "miljoen"),
        "miljoen": ("miljoen", "miljoen"),
        "mld": ("miljard", "miljard"),
        "mld.": ("miljard", "miljard"),
        "miljard": ("miljard", "miljard"),
    },
    fractions={"1/2": "een half", "1/4": "een kwart", "3/4": "drie kwart", "1/3": "een derde"},
    number_sign="nummer",
    abbreviations={
        "bijv.": "bijvoorbeeld",
        "bv.": "bijvoorbeeld",
        "d.w.z.": "dat wil zeggen",
        "enz.": "enzovoort",
        "o.a.": "onder andere",
        "m.a.w.": "met andere woorden",
        "t.o.v.": "ten opzichte van",
        "i.p.v.": "in plaats van",
        "a.s.": "aanstaande",
        "dhr.": "de heer",
        "Dhr.": "De heer",
        "mevr.": "mevrouw",
        "Mevr.": "Mevrouw",
        "dr.": "dokter",
        "Dr.": "Dokter",
        "prof.": "professor",
        "Prof.": "Professor",
        "ca.": "circa",
        "etc.": "et cetera",
        "incl.": "inclusief",
        "excl.": "exclusief",
        "max.": "maximaal",
        "min.": "minimaal",
    },
    before_number={"nr.": "nummer", "Nr.": "Nummer", "blz.": "bladzijde", "p.": "pagina"},
    more_abbreviations=set_of("mr. Mr. drs. ir. ing. St. jl. resp. vgl."),
    final_abbreviations=set_of("enz. etc. jl."),
)

WORDS: Mapping[str, Words] = {"de": GERMAN, "nl": DUTCH}
