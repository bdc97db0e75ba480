"""English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engines.text.normalise.words import Choose, Words, as_ordinal, as_year, set_of

if TYPE_CHECKING:
    from engines.text.normalise.numbers import Numbers


def _english_decade(numbers: Numbers, year: int, _before: str) -> str:
    words = numbers.cardinal(year) if year < 100 else numbers.year(year)
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


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
    day=as_ordinal,
    year=as_year,
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
    ordinary_words=set_of("no. No. art. Art. fig."),
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
_BRITISH_DATE = "the {day} of {month} {year}"

WORDS: Mapping[str, Words] = {
    "en": ENGLISH,
    **{
        f"en-{country}": replace(ENGLISH, date=_BRITISH_DATE)
        for country in ("gb", "au", "nz", "ie")
    },
    "en-in": replace(ENGLISH, numbers="en_IN", date=_BRITISH_DATE),
}
