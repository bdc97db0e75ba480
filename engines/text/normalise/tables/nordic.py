"""Swedish, Danish, Norwegian, Icelandic and Finnish."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engines.text.normalise.words import Words, as_ordinal, as_year, set_of

if TYPE_CHECKING:
    from engines.text.normalise.numbers import Numbers


def _hundreds_year(numbers: Numbers, year: int, _before: str) -> str:
    if not 1100 <= year <= 1999:
        return numbers.cardinal(year)
    rest = numbers.cardinal(year % 100) if year % 100 else ""
    return f"{numbers.cardinal(year // 100)}hundra{rest}"


SWEDISH = Words(
    "sv",
    "komma",
    "punkt",
    "minus",
    to="till",
    and_="och",
    plus="plus",
    equals="är lika med",
    times="gånger",
    at="at",
    ordinals=":a|:e",
    day=as_ordinal,
    year=_hundreds_year,
    clock="{h} och {m}",
    clock_cues=set_of("kl klockan"),
    clock_hour="{h}",
    clock_marks="[:.]",
    small_minutes="noll {m}",
    ones=(("ett", "en", "ett"),),
    feminine=re.compile(r"\b(?:kilogram|gram|milligram|ton|pund|år|dygn)\b"),
    currencies={
        "SEK": ("krona", "kronor", "öre", "öre"),
        "NOK": ("norsk krona", "norska kronor", "öre", "öre"),
        "DKK": ("dansk krona", "danska kronor", "öre", "öre"),
        "EUR": ("euro", "euro", "cent", "cent"),
        "USD": ("dollar", "dollar", "cent", "cent"),
        "GBP": ("pund", "pund", "pence", "pence"),
    },
    magnitudes={
        "mn": ("miljon", "miljoner"),
        "miljoner": ("miljon", "miljoner"),
        "mdr": ("miljard", "miljarder"),
        "miljarder": ("miljard", "miljarder"),
    },
    fractions={"1/2": "en halv", "1/4": "en fjärdedel", "3/4": "tre fjärdedelar"},
    number_sign="nummer",
    abbreviations={
        "t.ex.": "till exempel",
        "bl.a.": "bland annat",
        "d.v.s.": "det vill säga",
        "dvs.": "det vill säga",
        "o.s.v.": "och så vidare",
        "osv.": "och så vidare",
        "m.m.": "med mera",
        "fr.o.m.": "från och med",
        "t.o.m.": "till och med",
        "ca.": "cirka",
        "etc.": "et cetera",
        "kl.": "klockan",
        "tel.": "telefon",
    },
    before_number={"nr.": "nummer", "s.": "sidan", "kap.": "kapitel"},
    more_abbreviations=set_of("Dr. dr. Prof. prof. St. Sankt. jfr. resp."),
    final_abbreviations=set_of("osv. etc. m.m. o.s.v."),
    corrections={"tjugode": "tjugonde"},
)
DANISH = Words(
    "da",
    "komma",
    "punktum",
    "minus",
    to="til",
    and_="og",
    plus="plus",
    equals="er lig med",
    times="gange",
    at="at",
    dot_ordinals=True,
    ordinal_cues=set_of("den det de d. i på til fra"),
    day=as_ordinal,
    year=as_year,
    clock="{h} {m}",
    clock_cues=set_of("kl klokken"),
    clock_hour="{h}",
    clock_marks="[:.]",
    small_minutes="nul {m}",
    ones=(("et", "en", "et"),),
    feminine=re.compile(r"\b(?:kilogram|gram|milligram|ton|pund|år|døgn)\b"),
    currencies={
        "DKK": ("krone", "kroner", "øre", "øre"),
        "SEK": ("svensk krone", "svenske kroner", "øre", "øre"),
        "NOK": ("norsk krone", "norske kroner", "øre", "øre"),
        "EUR": ("euro", "euro", "cent", "cent"),
        "USD": ("dollar", "dollar", "cent", "cent"),
        "GBP": ("pund", "pund", "pence", "pence"),
    },
    cents=" og ",
    magnitudes={
        "mio.": ("million", "millioner"),
        "millioner": ("million", "millioner"),
        "mia.": ("milliard", "milliarder"),
        "milliarder": ("milliard", "milliarder"),
    },
    fractions={"1/2": "en halv", "1/4": "en fjerdedel", "3/4": "tre fjerdedele"},
    number_sign="nummer",
    abbreviations={
        "f.eks.": "for eksempel",
        "bl.a.": "blandt andet",
        "dvs.": "det vil sige",
        "osv.": "og så videre",
        "m.m.": "med mere",
        "ca.": "cirka",
        "kl.": "klokken",
        "mio.": "millioner",
        "mia.": "milliarder",
        "tlf.": "telefon",
        "etc.": "et cetera",
    },
    before_number={"nr.": "nummer", "s.": "side", "kap.": "kapitel"},
    more_abbreviations=set_of("Dr. dr. Hr. hr. Fr. fr. Prof. prof. Skt. jf. pr."),
    final_abbreviations=set_of("osv. etc. m.m."),
    corrections={"tredivete": "tredivte", "en millioner": "en million"},
)
NORWEGIAN = replace(
    DANISH,
    numbers="no",
    ones=(),
    feminine=None,
    small_minutes="null {m}",
    currencies={**DANISH.currencies, "NOK": ("krone", "kroner", "øre", "øre")},
    equals="er lik",
    times="ganger",
    abbreviations={
        "f.eks.": "for eksempel",
        "bl.a.": "blant annet",
        "dvs.": "det vil si",
        "osv.": "og så videre",
        "m.m.": "med mer",
        "ca.": "cirka",
        "kl.": "klokken",
        "mill.": "millioner",
        "tlf.": "telefon",
        "etc.": "et cetera",
    },
    corrections={},
)
FINNISH = Words(
    "fi",
    "pilkku",
    "piste",
    "miinus",
    and_="ja",
    plus="plus",
    equals="on yhtä kuin",
    times="kertaa",
    at="ät",
    dot_ordinals=True,
    day=as_ordinal,
    clock="{h} {m}",
    clock_cues=set_of("klo kello"),
    clock_hour="{h}",
    clock_marks="[:.]",
    small_minutes="nolla {m}",
    library_currency=True,
    number_sign="numero",
    abbreviations={
        "esim.": "esimerkiksi",
        "mm.": "muun muassa",
        "ns.": "niin sanottu",
        "jne.": "ja niin edelleen",
        "ym.": "ynnä muuta",
        "n.": "noin",
        "klo": "kello",
        "puh.": "puhelin",
        "milj.": "miljoonaa",
    },
    before_number={"nro": "numero", "s.": "sivu"},
    more_abbreviations=set_of("ks. vrt. prof. toht. tri."),
    final_abbreviations=set_of("jne. ym."),
)

WORDS: Mapping[str, Words] = {
    "sv": SWEDISH,
    "da": DANISH,
    "nb": NORWEGIAN,
    "nn": NORWEGIAN,
    "fi": FINNISH,
    "is": Words("is", "komma", "punktur", "mínus", to="til", and_="og"),
}
