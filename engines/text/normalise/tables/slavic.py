"""Polish, Czech, Slovak, Russian, Ukrainian, Belarusian, Slovene and Serbian."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engines.text.normalise.words import Words, list_of, set_of

if TYPE_CHECKING:
    from engines.text.normalise.numbers import Numbers


def _polish_genitive(words: str) -> str:
    return re.sub(r"(?<=i)\b", "ego", re.sub(r"y\b", "ego", words))


def _polish_day(numbers: Numbers, day: int, _before: str) -> str:
    return _polish_genitive(numbers.ordinal(day))


def _polish_year(numbers: Numbers, year: int, before: str) -> str:
    # a year of a date is genitive; one that stands alone is heard as a plain number
    return _polish_genitive(numbers.ordinal(year)) if before else numbers.cardinal(year)


def _polish_hour(numbers: Numbers, hour: int, before: str) -> str:
    """The feminine ordinal, after a preposition in the locative: "o czternastej"."""
    if hour == 0:
        return "zero"
    oblique = before.lower() in ("o", "po", "od", "do")
    soft, hard = ("iej", "ej") if oblique else ("ia", "a")
    words = re.sub(r"y\b", hard, re.sub(r"i\b", soft, numbers.ordinal(hour)))
    return words if oblique else words.replace("drugia", "druga")


_RUSSIAN_SUFFIXES: Mapping[str, dict[str, str]] = {
    "я": {"gender": "f"},
    "ая": {"gender": "f"},
    "е": {"gender": "n"},
    "ое": {"gender": "n"},
    "го": {"case": "g"},
    "му": {"case": "d"},
    "м": {"case": "p"},
}


def _russian_ordinal(numbers: Numbers, number: int, suffix: str) -> str:
    return numbers.ordinal(number, **_RUSSIAN_SUFFIXES.get(suffix.lstrip("-"), {}))


def _russian_day(numbers: Numbers, day: int, _before: str) -> str:
    return numbers.ordinal(day, case="g")


def _russian_year(numbers: Numbers, year: int, before: str) -> str:
    return numbers.ordinal(year, case="g") if before else numbers.cardinal(year)


def _ukrainian_day(numbers: Numbers, day: int, _before: str) -> str:
    return re.sub(r"ій\b", "ього", re.sub(r"ий\b", "ого", numbers.ordinal(day)))


def _ukrainian_year(numbers: Numbers, year: int, before: str) -> str:
    return _ukrainian_day(numbers, year, before) if before else numbers.cardinal(year)


_CZECH_DAYS = list_of(
    "prvního druhého třetího čtvrtého pátého šestého sedmého osmého devátého desátého jedenáctého "
    "dvanáctého třináctého čtrnáctého patnáctého šestnáctého sedmnáctého osmnáctého devatenáctého "
    "dvacátého"
)


def _czech_day(_numbers: Numbers, day: int, _before: str) -> str:
    if day <= 20:
        return _CZECH_DAYS[day - 1]
    tens = "dvacátého" if day < 30 else "třicátého"
    return f"{tens} {_CZECH_DAYS[day % 10 - 1]}" if day % 10 else tens


POLISH = Words(
    "pl",
    "przecinek",
    "kropka",
    "minus",
    fraction="number",
    to="do",
    and_="i",
    plus="plus",
    equals="równa się",
    times="razy",
    at="małpa",
    dot_ordinals=True,
    ordinal_cues=set_of("po od przed w na o do"),
    day=_polish_day,
    year=_polish_year,
    clock="{h} {m}",
    clock_hour="{h}",
    clock_marks="[:.]",
    clock_cues=set_of("o godz godzinie"),
    small_minutes="zero {m}",
    say_hour=_polish_hour,
    ones=(("dwa", "dwa", "dwie"),),
    feminine=re.compile(r"\A(?:godzin|minut|sekund|ton|mil|uncj|stop)"),
    library_currency=True,
    currencies={"GBP": ("funt", "funtów", "pens", "pensów")},
    magnitudes={
        "tys.": ("tysiąc", "tysięcy"),
        "mln": ("milion", "milionów"),
        "mld": ("miliard", "miliardów"),
    },
    fractions={"1/2": "jedna druga", "1/4": "jedna czwarta", "3/4": "trzy czwarte"},
    number_sign="numer",
    abbreviations={
        "np.": "na przykład",
        "tzn.": "to znaczy",
        "tj.": "to jest",
        "m.in.": "między innymi",
        "itd.": "i tak dalej",
        "itp.": "i tym podobne",
        "ok.": "około",
        "ul.": "ulica",
        "al.": "aleja",
        "prof.": "profesor",
        "Prof.": "Profesor",
        "inż.": "inżynier",
        "tys.": "tysięcy",
        "mln": "milionów",
        "mld": "miliardów",
        "n.e.": "naszej ery",
        "p.n.e.": "przed naszą erą",
        "tel.": "telefon",
    },
    before_number={"nr": "numer", "nr.": "numer", "str.": "strona", "s.": "strona"},
    more_abbreviations=set_of("dr. św. ks. red. por. r. godz."),
    final_abbreviations=set_of("itd. itp. r. n.e. p.n.e. tys."),
)
CZECH = Words(
    "cs",
    "celá",
    "tečka",
    "minus",
    fraction="number",
    to="až",
    and_="a",
    plus="plus",
    equals="rovná se",
    times="krát",
    at="zavináč",
    day=_czech_day,
    clock="{hours} {m}",
    clock_hour="{hours}",
    clock_marks="[:.]",
    clock_cues=set_of("v ve"),
    ones=(("jedna", "jeden", "jedna"), ("dva", "dva", "dvě")),
    feminine=re.compile(r"\A(?:hodin|minut|sekund|tun|míl|mil|libr|korun)"),
    library_currency=True,
    currencies={
        "EUR": ("euro", "eur", "cent", "centů"),
        "USD": ("dolar", "dolarů", "cent", "centů"),
    },
    magnitudes={"tis.": ("tisíc", "tisíc"), "mil.": ("milion", "milionů")},
    fractions={"1/2": "jedna polovina", "1/4": "jedna čtvrtina", "3/4": "tři čtvrtiny"},
    number_sign="číslo",
    abbreviations={
        "např.": "například",
        "tj.": "to jest",
        "tzn.": "to znamená",
        "tzv.": "takzvaný",
        "atd.": "a tak dále",
        "apod.": "a podobně",
        "mj.": "mimo jiné",
        "př. n. l.": "před naším letopočtem",
        "n. l.": "našeho letopočtu",
        "tel.": "telefon",
        "prof.": "profesor",
    },
    before_number={"č.": "číslo", "str.": "strana", "s.": "strana"},
    more_abbreviations=set_of("dr. ing. Ing. Mgr. sv. ul. nám."),
    final_abbreviations=set_of("atd. apod. l."),
)
RUSSIAN = Words(
    "ru",
    "запятая",
    "точка",
    "минус",
    fraction="library",
    to="до",
    and_="и",
    plus="плюс",
    equals="равно",
    times="умножить на",
    at="собака",
    ordinals="-(?:й|я|е|го|му|м|ая|ый|ой|ое|х)",
    ordinal=_russian_ordinal,
    day=_russian_day,
    year=_russian_year,
    date_words={"г.": "года"},
    clock="{hours} {minutes}",
    clock_hour="{hours}",
    ones=(("один", "один", "одна"), ("два", "два", "две")),
    feminine=re.compile(r"\A(?:минут|секунд|тонн|мил[яьи]|унци|крон|лир|тысяч)"),
    library_currency=True,
    currencies={"GBP": ("фунт", "фунтов", "пенс", "пенсов")},
    magnitudes={
        "тыс.": ("тысяча", "тысяч"),
        "млн": ("миллион", "миллионов"),
        "млрд": ("миллиард", "миллиардов"),
    },
    fractions={"1/2": "одна вторая", "1/4": "одна четвёртая", "3/4": "три четвёртых"},
    number_sign="номер",
    abbreviations={
        "т. е.": "то есть",
        "т. д.": "так далее",
        "т. п.": "тому подобное",
        "т. к.": "так как",
        "т. н.": "так называемый",
        "др.": "другие",
        "пр.": "прочее",
        "н. э.": "нашей эры",
        "ул.": "улица",
        "руб.": "рублей",
        "тыс.": "тысяч",
        "млн": "миллионов",
        "млрд": "миллиардов",
        "тел.": "телефон",
    },
    before_number={"№": "номер", "стр.": "страница", "с.": "страница", "гл.": "глава"},
    more_abbreviations=set_of("г. гг. в. вв. им. проф. акад. см. напр. д."),
    final_abbreviations=set_of("г. гг. в. вв. д. п. др. пр. э. руб. тыс."),
)
UKRAINIAN = Words(
    "uk",
    "кома",
    "крапка",
    "мінус",
    fraction="number",
    to="до",
    and_="і",
    plus="плюс",
    equals="дорівнює",
    times="помножити на",
    at="равлик",
    ordinals="-(?:й|я|е|го|му|м|ий|ої|их)",
    day=_ukrainian_day,
    year=_ukrainian_year,
    date_words={"р.": "року"},
    clock="{hours} {minutes}",
    clock_hour="{hours}",
    ones=(("один", "один", "одна"), ("два", "два", "дві")),
    feminine=re.compile(r"\A(?:годин|хвилин|секунд|тонн|мил|унці|крон|гривн|тисяч)"),
    library_currency=True,
    magnitudes={
        "тис.": ("тисяча", "тисяч"),
        "млн": ("мільйон", "мільйонів"),
        "млрд": ("мільярд", "мільярдів"),
    },
    fractions={"1/2": "одна друга", "1/4": "одна четверта", "3/4": "три четвертих"},
    number_sign="номер",
    abbreviations={
        "т. д.": "так далі",
        "т. п.": "таке подібне",
        "ін.": "інше",
        "вул.": "вулиця",
        "грн": "гривень",
        "тис.": "тисяч",
        "млн": "мільйонів",
        "млрд": "мільярдів",
        "н. е.": "нашої ери",
    },
    before_number={"№": "номер", "стор.": "сторінка", "с.": "сторінка"},
    more_abbreviations=set_of("р. рр. ст. ім. проф. акад. див. напр."),
    final_abbreviations=set_of("р. рр. ст. д. п. ін. е. тис."),
)

WORDS: Mapping[str, Words] = {
    "pl": POLISH,
    "cs": CZECH,
    "sk": replace(
        CZECH,
        numbers="sk",
        comma="celých",
        dot="bodka",
        minus="mínus",
        day=None,
        ones=(("jeden", "jeden", "jedna"), ("dva", "dva", "dve")),
        currencies={},
        fractions={},
        abbreviations={"napr.": "napríklad", "atď.": "a tak ďalej", "tzn.": "to znamená"},
        final_abbreviations=set_of("atď."),
    ),
    "ru": RUSSIAN,
    "uk": UKRAINIAN,
    "be": Words("be", "коска", "кропка", "мінус", to="да", library_currency=True),
    "sl": Words("sl", "vejica", "pika", "minus", to="do", and_="in", dot_ordinals=True),
    "sr": Words("sr", "zapeta", "tačka", "minus", to="do", and_="i", library_currency=True),
}
