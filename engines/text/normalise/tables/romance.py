"""Spanish, Italian and Portuguese."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engines.text.normalise.words import Words, set_of

if TYPE_CHECKING:
    from engines.text.normalise.numbers import Numbers

_FEMININE_IN_A = re.compile(r"\A\w+(?<!gram)as?\b")


def _ordinal_in_o(numbers: Numbers, number: int, suffix: str) -> str:
    words = numbers.ordinal(number)
    return re.sub(r"o\b", "a", words) if "ª" in suffix else words


def _italian_day(numbers: Numbers, day: int, _before: str) -> str:
    return "primo" if day == 1 else numbers.cardinal(day)


def _brazilian_day(numbers: Numbers, day: int, _before: str) -> str:
    return "primeiro" if day == 1 else numbers.cardinal(day)


def _feminine_hour(numbers: Numbers, hour: int, _before: str) -> str:
    return numbers.agreeing(hour, feminine=True)


_PESOS = ("peso", "pesos", "centavo", "centavos")
SPANISH = Words(
    "es",
    "coma",
    "punto",
    "menos",
    fraction="number",
    to="a",
    and_="y",
    plus="más",
    equals="igual a",
    times="por",
    at="arroba",
    ordinals=r"\.?[ºª°]",
    ordinal=_ordinal_in_o,
    clock="{h} {m}",
    clock_hour="{h} en punto",
    clock_after=r"\s?h(?:oras|s)?\b\.?",
    small_minutes="cero {m}",
    say_hour=_feminine_hour,
    ones=(("veintiuno", "veintiún", "veintiuna"), ("uno", "un", "una")),
    feminine=_FEMININE_IN_A,
    of="de ",
    cents=" con ",
    currencies={
        "EUR": ("euro", "euros", "céntimo", "céntimos"),
        "USD": ("dólar", "dólares", "centavo", "centavos"),
        "GBP": ("libra", "libras", "penique", "peniques"),
        "JPY": ("yen", "yenes", "", ""),
        **dict.fromkeys(("MXN", "ARS", "CLP", "COP"), _PESOS),
    },
    library_currency=True,
    magnitudes={
        "M": ("millón", "millones"),
        "mill.": ("millón", "millones"),
        "millón": ("millón", "millones"),
        "millones": ("millón", "millones"),
        "mil millones": ("mil millones", "mil millones"),
        "mil": ("mil", "mil"),
    },
    fractions={
        "1/2": "un medio",
        "1/4": "un cuarto",
        "3/4": "tres cuartos",
        "1/3": "un tercio",
        "2/3": "dos tercios",
        "1/5": "un quinto",
        "1/8": "un octavo",
        "1/10": "un décimo",
    },
    number_sign="número",
    abbreviations={
        "Sr.": "Señor",
        "Sra.": "Señora",
        "Srta.": "Señorita",
        "Sres.": "Señores",
        "Dr.": "Doctor",
        "Dra.": "Doctora",
        "D.": "Don",
        "Dña.": "Doña",
        "Ud.": "usted",
        "Uds.": "ustedes",
        "Prof.": "Profesor",
        "p. ej.": "por ejemplo",
        "etc.": "etcétera",
        "EE. UU.": "Estados Unidos",
        "a. C.": "antes de Cristo",
        "d. C.": "después de Cristo",
        "Avda.": "Avenida",
        "tel.": "teléfono",
        "aprox.": "aproximadamente",
    },
    before_number={
        "n.º": "número",
        "N.º": "número",
        "nº": "número",
        "núm.": "número",
        "pág.": "página",
        "págs.": "páginas",
        "p.": "página",
        "vol.": "volumen",
        "cap.": "capítulo",
        "art.": "artículo",
        "fig.": "figura",
    },
    more_abbreviations=set_of("EE. UU. St. Sto. Sta. Ing. Lic. Arq."),
    final_abbreviations=set_of("etc. UU. C."),
)
ITALIAN = Words(
    "it",
    "virgola",
    "punto",
    "meno",
    fraction="number",
    to="a",
    and_="e",
    plus="più",
    equals="uguale a",
    times="per",
    at="chiocciola",
    ordinals="[ºª°]",
    ordinal=_ordinal_in_o,
    day=_italian_day,
    clock="{h} e {m}",
    clock_hour="{h} in punto",
    clock_marks="[:.]",
    clock_cues=set_of("ore alle"),
    small_minutes="zero {m}",
    say_hour=_feminine_hour,
    ones=(("uno", "un", "una"),),
    feminine=_FEMININE_IN_A,
    of="di ",
    cents=" e ",
    library_currency=True,
    magnitudes={
        "mln": ("milione", "milioni"),
        "milione": ("milione", "milioni"),
        "milioni": ("milione", "milioni"),
        "mld": ("miliardo", "miliardi"),
        "miliardo": ("miliardo", "miliardi"),
        "miliardi": ("miliardo", "miliardi"),
    },
    fractions={
        "1/2": "un mezzo",
        "1/4": "un quarto",
        "3/4": "tre quarti",
        "1/3": "un terzo",
        "2/3": "due terzi",
        "1/5": "un quinto",
        "1/8": "un ottavo",
        "1/10": "un decimo",
    },
    number_sign="numero",
    abbreviations={
        "Sig.": "Signor",
        "Sig.ra": "Signora",
        "Sig.na": "Signorina",
        "Sigg.": "Signori",
        "Dott.": "Dottor",
        "Dott.ssa": "Dottoressa",
        "Dr.": "Dottor",
        "Prof.": "Professor",
        "Prof.ssa": "Professoressa",
        "Avv.": "Avvocato",
        "Ing.": "Ingegner",
        "ecc.": "eccetera",
        "es.": "esempio",
        "a.C.": "avanti Cristo",
        "d.C.": "dopo Cristo",
        "tel.": "telefono",
        "ca.": "circa",
    },
    before_number={
        "n.": "numero",
        "N.": "numero",
        "nr.": "numero",
        "pag.": "pagina",
        "pagg.": "pagine",
        "p.": "pagina",
        "vol.": "volume",
        "cap.": "capitolo",
        "art.": "articolo",
        "fig.": "figura",
    },
    more_abbreviations=set_of("S. St. Arch. Geom. On."),
    final_abbreviations=set_of("ecc. C. a.C. d.C."),
)
PORTUGUESE = Words(
    "pt",
    "vírgula",
    "ponto",
    "menos",
    fraction="number",
    to="a",
    and_="e",
    plus="mais",
    equals="igual a",
    times="vezes",
    at="arroba",
    ordinals=r"\.?[ºª°]",
    ordinal=_ordinal_in_o,
    clock="{hours} e {m}",
    clock_hour="{hours}",
    clock_marks=r":|\s?h\s?",
    clock_after=r"\s?h(?:oras?)?\b",
    clock_alone=True,
    ones=(("um", "um", "uma"), ("dois", "dois", "duas")),
    feminine=_FEMININE_IN_A,
    of="de ",
    cents=" e ",
    currencies={
        "EUR": ("euro", "euros", "cêntimo", "cêntimos"),
        "USD": ("dólar", "dólares", "cêntimo", "cêntimos"),
        "BRL": ("real", "reais", "centavo", "centavos"),
        "GBP": ("libra", "libras", "péni", "pence"),
    },
    magnitudes={
        "mi": ("milhão", "milhões"),
        "milhão": ("milhão", "milhões"),
        "milhões": ("milhão", "milhões"),
        "bi": ("bilhão", "bilhões"),
        "bilhões": ("bilhão", "bilhões"),
        "mil": ("mil", "mil"),
    },
    fractions={
        "1/2": "um meio",
        "1/4": "um quarto",
        "3/4": "três quartos",
        "1/3": "um terço",
        "2/3": "dois terços",
        "1/5": "um quinto",
        "1/8": "um oitavo",
        "1/10": "um décimo",
    },
    number_sign="número",
    abbreviations={
        "Sr.": "Senhor",
        "Sra.": "Senhora",
        "Srta.": "Senhorita",
        "Dr.": "Doutor",
        "Dra.": "Doutora",
        "Prof.": "Professor",
        "Profa.": "Professora",
        "p. ex.": "por exemplo",
        "etc.": "et cetera",
        "a. C.": "antes de Cristo",
        "d. C.": "depois de Cristo",
        "Av.": "Avenida",
        "tel.": "telefone",
        "aprox.": "aproximadamente",
    },
    before_number={
        "n.º": "número",
        "N.º": "número",
        "nº": "número",
        "pág.": "página",
        "p.": "página",
        "vol.": "volume",
        "cap.": "capítulo",
        "art.": "artigo",
        "fig.": "figura",
    },
    more_abbreviations=set_of("V. Exa. Ex.ª Eng. Arq. Sto. Sta."),
    final_abbreviations=set_of("etc. C."),
)

WORDS: Mapping[str, Words] = {
    "es": SPANISH,
    "it": ITALIAN,
    "pt": PORTUGUESE,
    "pt-br": replace(
        PORTUGUESE,
        numbers="pt_BR",
        day=_brazilian_day,
        currencies={
            **PORTUGUESE.currencies,
            "USD": ("dólar", "dólares", "centavo", "centavos"),
            "EUR": ("euro", "euros", "centavo", "centavos"),
        },
    ),
}
