"""English, German, Dutch, Swedish, Danish and Norwegian."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engines.text.normalise.words import Choose, Words, set_of

if TYPE_CHECKING:
    from engines.text.normalise.numbers import Numbers


def _library_year(numbers: Numbers, year: int, _before: str) -> str:
    return numbers.year(year)


def _hundreds_year(numbers: Numbers, year: int, _before: str) -> str:
    if not 1100 <= year <= 1999:
        return numbers.cardinal(year)
    rest = numbers.cardinal(year % 100) if year % 100 else ""
    return f"{numbers.cardinal(year // 100)}hundra{rest}"


def _ordinal(numbers: Numbers, day: int, _before: str) -> str:
    return numbers.ordinal(day)


_GERMAN_DATIVE = set_of("am vom zum beim im dem den des seit ab bis einem einen diesem")


def _german_ordinal(numbers: Numbers, number: int, before: str) -> str:
    word = numbers.ordinal(number)
    cue = before.lower()
    if cue in _GERMAN_DATIVE:
        return word + "n"
    return word if cue in ("der", "die", "das", "jede", "diese") else word + "r"


def _german_hour(numbers: Numbers, hour: int, _before: str) -> str:
    return "ein" if hour == 1 else numbers.cardinal(hour)


def _english_decade(numbers: Numbers, year: int, _before: str) -> str:
    words = numbers.cardinal(year) if year < 100 else numbers.year(year)
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def _german_decade(numbers: Numbers, year: int, _before: str) -> str:
    return (numbers.cardinal(year) if year < 100 else numbers.year(year)) + "er"


def _follows_a_name(before: str, after: str) -> bool:
    """Of "St." and "Dr.": true in "Main St. is closed", false in "met St. Nicholas"."""
    name = before.rstrip().rpartition(" ")[2][:1].isupper()
    return name and not after.lstrip()[:1].isupper()


def _saint_or_street(before: str, after: str) -> str:
    return "Street" if _follows_a_name(before, after) else "Saint"


def _doctor_or_drive(before: str, after: str) -> str:
    return "Drive" if _follows_a_name(before, after) else "Doctor"


_EN_ABBREVIATIONS: Mapping[str, str | Choose] = {
    "Mr.": "Mister",
    "Mrs.": "Missus",
    "Dr.": _doctor_or_drive,
    "St.": _saint_or_street,
    "Prof.": "Professor",
    "Jr.": "Junior",
    "Sr.": "Senior",
    "Gen.": "General",
    "Capt.": "Captain",
    "Lt.": "Lieutenant",
    "Sgt.": "Sergeant",
    "Gov.": "Governor",
    "Sen.": "Senator",
    "Rev.": "Reverend",
    "Hon.": "Honourable",
    "Mt.": "Mount",
    "Ave.": "Avenue",
    "Blvd.": "Boulevard",
    "Rd.": "Road",
    "Dept.": "Department",
    "Inc.": "Incorporated",
    "Ltd.": "Limited",
    "Corp.": "Corporation",
    "Co.": "Company",
    "Bros.": "Brothers",
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "approx.": "approximately",
    "tel.": "telephone",
    "Tel.": "telephone",
    "incl.": "including",
    "excl.": "excluding",
    "est.": "established",
    "w/o": "without",
    "et al.": "and others",
}
_EN_MONEY = {
    "USD": ("dollar", "dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "JPY": ("yen", "yen", "", ""),
    "CNY": ("yuan", "yuan", "", ""),
    "INR": ("rupee", "rupees", "paisa", "paise"),
    "KRW": ("won", "won", "", ""),
    "RUB": ("rouble", "roubles", "kopeck", "kopecks"),
    "CHF": ("franc", "francs", "centime", "centimes"),
    "CAD": ("dollar", "dollars", "cent", "cents"),
    "AUD": ("dollar", "dollars", "cent", "cents"),
    "NZD": ("dollar", "dollars", "cent", "cents"),
    "MXN": ("peso", "pesos", "centavo", "centavos"),
    "BRL": ("real", "reais", "centavo", "centavos"),
}
ENGLISH = Words(
    "en",
    "comma",
    "point",
    "minus",
    to="to",
    and_="and",
    plus="plus",
    equals="equals",
    times="times",
    at="at",
    ordinals="st|nd|rd|th",
    day=_ordinal,
    year=_library_year,
    date="{month} {day} {year}",
    decade=_english_decade,
    decade_suffix="s",
    clock="{h} {m}",
    clock_hour="{h} o'clock",
    small_minutes="oh {m}",
    cents=" and ",
    currencies=_EN_MONEY,
    magnitudes={
        "k": ("thousand", "thousand"),
        "m": ("million", "million"),
        "mn": ("million", "million"),
        "million": ("million", "million"),
        "b": ("billion", "billion"),
        "bn": ("billion", "billion"),
        "billion": ("billion", "billion"),
        "tn": ("trillion", "trillion"),
        "trillion": ("trillion", "trillion"),
        "thousand": ("thousand", "thousand"),
        "hundred": ("hundred", "hundred"),
    },
    fractions={
        "1/2": "one half",
        "1/4": "one quarter",
        "3/4": "three quarters",
        "1/3": "one third",
        "2/3": "two thirds",
        "1/5": "one fifth",
        "2/5": "two fifths",
        "3/5": "three fifths",
        "4/5": "four fifths",
        "1/6": "one sixth",
        "5/6": "five sixths",
        "1/8": "one eighth",
        "3/8": "three eighths",
        "5/8": "five eighths",
        "7/8": "seven eighths",
        "1/10": "one tenth",
    },
    number_sign="number",
    abbreviations=_EN_ABBREVIATIONS,
    before_number={
        "No.": "number",
        "no.": "number",
        "Nos.": "numbers",
        "p.": "page",
        "pp.": "pages",
        "Fig.": "figure",
        "fig.": "figure",
        "Figs.": "figures",
        "Vol.": "volume",
        "vol.": "volume",
        "Ch.": "chapter",
        "ch.": "chapter",
        "Sec.": "section",
        "sec.": "section",
        "Eq.": "equation",
        "Art.": "article",
        "ca.": "circa",
        "c.": "circa",
    },
    more_abbreviations=set_of("Ms. Messrs. Fr. Ph.D. cf. viz. Eqs. Vols. vol. Vol."),
    final_abbreviations=set_of("etc. Inc. Ltd. Corp. Co. Jr. Sr. Ave. Blvd. Rd. St. Ph.D. Bros."),
    lone_word="I.",
    year_cues=set_of(
        "in since by until till from to between and of year circa before after during early late "
        "mid around january february march april may june july august september october november "
        "december jan feb mar apr jun jul aug sep sept oct nov dec spring summer autumn fall "
        "winter through"
    ),
)
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
    year=_library_year,
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
    more_abbreviations=set_of("Ing. Dipl. Mag. jun. sen. hl. bes. allg. ehem."),
    final_abbreviations=set_of("usw. etc. Chr. Str. Jh. Mio. Mrd. o. u. Ä. jun. sen."),
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
    year=_library_year,
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
    day=_ordinal,
    year=_hundreds_year,
    clock="{h} och {m}",
    clock_cues=set_of("kl kl. klockan"),
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
    day=_ordinal,
    year=_library_year,
    clock="{h} {m}",
    clock_cues=set_of("kl kl. klokken"),
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

_BRITISH_DATE = "the {day} of {month} {year}"
WORDS: Mapping[str, Words] = {
    "en": ENGLISH,
    "en-gb": replace(ENGLISH, date=_BRITISH_DATE),
    "en-au": replace(ENGLISH, date=_BRITISH_DATE),
    "en-nz": replace(ENGLISH, date=_BRITISH_DATE),
    "en-ie": replace(ENGLISH, date=_BRITISH_DATE),
    "en-in": replace(ENGLISH, numbers="en_IN", date=_BRITISH_DATE),
    "de": GERMAN,
    "nl": DUTCH,
    "sv": SWEDISH,
    "da": DANISH,
    "nb": NORWEGIAN,
    "nn": NORWEGIAN,
}
