"""Numbers and their like in words, language by language."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.text import covers, normalise
from engines.text.normalise import words
from engines.text.normalise.grammar import grammar_of
from engines.text.normalise.reader import reader_of

ENGLISH = {
    # plain numbers
    "5": "five",
    "1,234,567 people": "one million two hundred and thirty-four thousand five hundred and "
    "sixty-seven people",
    "3.14159": "three point one four one five nine",
    "0.05 and .5": "zero point zero five and point five",
    "-5 and −3": "minus five and minus three",
    "agent 007": "agent zero zero seven",
    "rows 3,5": "rows three,five",
    "MP3, B2B, 3D, 5G": "MP three, B two B, three D, five G",
    "COVID-19": "COVID-nineteen",
    # ordinals, years, decades, fractions
    "the 1st, 22nd and 101st": "the first, twenty-second and one hundred and first",
    "in 1066": "in ten sixty-six",
    "1066 men": "one thousand and sixty-six men",
    "1999, 2005, 2026": "nineteen ninety-nine, two thousand and five, twenty twenty-six",
    "the 1990s and '80s": "the nineteen nineties and eighties",
    "1/2, 3/4, 2½": "one half, three quarters, two and one half",
    "24/7": "twenty-four seven",
    # per cent, ranges
    "50% or 3.5 %": "fifty percent or three point five percent",
    "5–10 km": "five to ten kilometers",
    "pages 12-15": "pages twelve to fifteen",
    "1914–1918, 1914-18": "nineteen fourteen to nineteen eighteen, nineteen fourteen to eighteen",
    "won 3-2": "won three-two",
    "10:00–12:00": "ten o'clock to twelve o'clock",
    # dates
    "2026-11-21": "November twenty-first twenty twenty-six",
    "11/21/2026": "November twenty-first twenty twenty-six",
    "21.11.2026": "November twenty-first twenty twenty-six",
    "Nov. 21, 2026 was": "November twenty-first twenty twenty-six was",
    "May 5": "May fifth",
    "on 21 November": "on the twenty-first of November",
    "the 4th of July": "the fourth of July",
    "13/45/2026": "thirteen/forty-five/twenty twenty-six",
    # times
    "at 14:30": "at fourteen thirty",
    "9:05": "nine oh five",
    "14:00 and 3:00": "fourteen hundred and three o'clock",
    "3 pm, 3:05 a.m.": "three p.m., three oh five a.m.",
    # money
    "$5.30": "five dollars and thirty cents",
    "$1 and $0.99": "one dollar and ninety-nine cents",
    "£2m": "two million pounds",
    "$3.5bn": "three point five billion dollars",
    "$2 million": "two million dollars",
    "€1,234.50": "one thousand two hundred and thirty-four euros and fifty cents",
    "5 €, USD 7": "five euros, seven dollars",
    "¥500": "five hundred yen",
    "$5–10": "five to ten dollars",
    "-$5": "minus five dollars",
    # units
    "5 km, 1 km": "five kilometers, one kilometer",
    "3.5 kg": "three point five kilograms",
    "20 °C, -5°F": "twenty degrees Celsius, minus five degrees Fahrenheit",
    "60 km/h": "sixty kilometers per hour",
    "10 MB": "ten megabytes",
    f"{10**30} %": f"one{30 * ' zero'} percent",
    "5K run": "five K run",
    # identifiers
    "call 555-1234": "call five five five, one two three four",
    "(555) 123-4567": "five five five, one two three, four five six seven",
    "+49 30 1234567": "plus four nine, three zero, one two three four five six seven",
    "ID 12345678901": "ID one two three four five six seven eight nine zero one",
    "v2.0.1": "v two point zero point one",
    "version 3.10": "version three point ten",
    "192.168.0.1": "one hundred and ninety-two point one hundred and sixty-eight point zero point "
    "one",
    # abbreviations and signs
    "Dr. Smith met Mr. Jones": "Doctor Smith met Mister Jones",
    "Main St. in St. Louis": "Main Street in Saint Louis",
    "e.g. No. 5, i.e. p. 12, etc.": "for example number five, that is page twelve, et cetera.",
    "No. He said no.": "No. He said no.",
    "AT&T, you & me": "AT and T, you and me",
    "3 + 4 = 7": "three plus four equals seven",
    "5x3, 5 × 3": "five times three, five times three",
    "#5": "number five",
    "a-b_c @ <x>": "a-b_c at <x>",
}
OTHERS = {
    "en-GB": {
        "11/12/2026": "the eleventh of December twenty twenty-six",
        "the 1/5/2026": "the first of May twenty twenty-six",
        "5 km": "five kilometres",
    },
    "en-IN": {"12,34,567": "twelve lakh thirty-four thousand five hundred and sixty-seven"},
    "de": {
        "5,30 €": "fünf Euro dreißig Cent",
        "1.234,5": "eintausendzweihundertvierunddreißig Komma fünf",
        "2 Mio. € und 1 €": "zwei Millionen Euro und ein Euro",
        "am 21.11.2026": "am einundzwanzigsten November zweitausendsechsundzwanzig",
        "der 3. Mai 1999": "der dritte Mai neunzehnhundertneunundneunzig",
        "Der 2. Weltkrieg": "Der zweite Weltkrieg",
        "um 14:30 Uhr, 14.30 Uhr, 1 Uhr": "um vierzehn Uhr dreißig, vierzehn Uhr dreißig, ein Uhr",
        "1 km, 1 h, 50 %": "ein Kilometer, eine Stunde, fünfzig Prozent",
        "z.B. Nr. 5, d. h. Dr. Müller": "zum Beispiel Nummer fünf, das heißt Doktor Müller",
        "3.5": "drei Punkt fünf",
        "5–10 km": "fünf bis zehn Kilometer",
        "die 1990er": "die neunzehnhundertneunziger",
    },
    "fr": {
        "1 234,50 €": "mille deux cent trente-quatre euros cinquante centimes",
        "2 M€": "deux millions d'euros",
        "3,14": "trois virgule quatorze",
        "le 1er mai 2020": "le premier mai deux mille vingt",
        "21/11/2026": "vingt et un novembre deux mille vingt-six",
        "à 14h30, 1 h": "à quatorze heures trente, une heure",
        "la 1re fois, le 2e": "la première fois, le deuxième",
        "M. Dupont, p. 5": "Monsieur Dupont, page cinq",
        "20 °C": "vingt degrés Celsius",
    },
    "fr-CH": {"99": "nonante-neuf"},
    "es": {
        "5,30 €": "cinco euros con treinta céntimos",
        "21 km, 1 h": "veintiún kilómetros, una hora",
        "1 de mayo de 2020": "uno de mayo de dos mil veinte",
        "a las 14:30": "a las catorce treinta",
        "1.º y 2.ª": "primero y segunda",
        "El Sr. García": "El Señor García",
        "3,14": "tres coma catorce",
    },
    "es-MX": {"$5.30": "cinco pesos con treinta centavos"},
    "it": {
        "5,30 €": "cinque euro e trenta centesimi",
        "1 maggio 2020": "primo maggio duemilaventi",
        "alle 14:30": "alle quattordici e trenta",
        "Il Sig. Rossi, 1 km": "Il Signor Rossi, un chilometro",
    },
    "pt": {
        "0º": "zero",
        "2 h, 2 km": "duas horas, dois quilômetros",
        "14h30": "catorze horas e trinta",
    },
    "pt-BR": {"R$ 5,30": "cinco reais e trinta centavos", "1 de maio": "primeiro de maio"},
    "nl": {
        "om 14:30 uur": "om veertien uur dertig",
        "21-11-2026": "eenentwintig november tweeduizendzesentwintig",
        "1e, 2de": "eerste, tweede",
        "5,30 €": "vijf euro dertig cent",
    },
    "sv": {
        "5,30 kr": "fem kronor trettio öre",
        "20 november 1999": "tjugonde november nittonhundranittionio",
        "kl 14.30": "kl fjorton och trettio",
        "1 km, 1 kg": "en kilometer, ett kilogram",
    },
    "da": {"den 21. november": "den enogtyvende november", "kl. 14.30": "klokken fjorten tredive"},
    "nb": {"21. november 2026": "tjueførste november to tusen og tjueseks"},
    "pl": {
        "5,30 zł": "pięć złotych trzydzieści groszy",
        "21 listopada 2026": "dwudziestego pierwszego listopada dwa tysiące dwudziestego szóstego",
        "o 14:30, 2:15": "o czternastej trzydzieści, druga piętnaście",
        "5 km, 2 h": "pięć kilometrów, dwie godziny",
        "np. 3,14": "na przykład trzy przecinek czternaście",
    },
    "cs": {
        "21. listopadu 2026": "dvacátého prvního listopadu dva tisíce dvacet šest",
        "5 km, 14:30": "pět kilometrů, čtrnáct hodin třicet",
    },
    "ru": {
        "21 ноября 2026 г.": "двадцать первого ноября две тысячи двадцать шестого года",
        "5 км, 2 min": "пять километров, две минуты",
        "3,14": "три целых четырнадцать сотых",
        "14:30": "четырнадцать часов тридцать минут",
        "5-го, 1-я": "пятого, первая",
        "т. е. №5": "то есть номер пять",
    },
    "uk": {"21 листопада 2026": "двадцять першого листопада дві тисячі двадцять шостого"},
    "fi": {"klo 14.30": "kello neljätoista kolmekymmentä", "5 km": "viisi kilometriä"},
    "hu": {
        "3,14": "három egész tizennégy század",
        "1000000,00": "egymillió egész nulla nulla",  # num2words recurses without end here
    },
    "tr": {"%50": "yüzde elli", "5 km": "beş kilometre"},
    "ar": {"٣٫٥": "ثلاثة فاصلة خمسة", "20 °C": "عشرون درجة مئوية"},
    "fa": {"۵ و 50%": "پنج و پنجاه درصد"},
    "he": {"3.5": "שלוש נקודה חמש"},
    "ko": {
        "2026-11-21": "이천이십육년 십일월 이십일일",
        "14:30, 50%": "십사시 삼십분, 오십 퍼센트",
    },
    "vi": {"21/11/2026": "hai mươi mốt tháng mười một, hai nghìn lẻ hai mươi sáu"},
    "th": {"500 บาท": "ห้าร้อย บาท"},
    "zh": {
        "2026年11月21日14:30": "二零二六年十一月二十一日十四点三十分",
        "我有2.5公斤苹果，花了￥13.50。": "我有二点五公斤苹果，花了十三点五零元。",
        "电话13812345678": "电话幺三八幺二三四五六七八",
        "５０％，1,234,567人": "百分之五十，一百二十三万四千五百六十七人",
        "“5”个\\3": "“五”个\\三",
        "1" * 30: "一" * 30,
    },
    "ja": {"2026年11月21日、500円で3個。": "二千二十六年十一月二十一日、五百円で三個。"},
    # no library reads these: they stay as they are
    "hi": {"यह 5 है, Dr. X": "यह 5 है, Dr. X"},
    "yue": {"5個": "5個"},
    "xx": {"5 km": "5 km"},
}
EVERY_LANGUAGE = words.list_of(
    "ar az be bn ca cs da de en eo es fa fi fr he hu id is it kk kn ko lt lv nb nl nn pl pt ro ru "
    "sk sl sr sv te tg th tr uk vi en-IN fr-BE pt-BR"
)
CASES = [(language, *case) for language, cases in OTHERS.items() for case in cases.items()]


def spoken(text: str, language: str) -> str:
    spans = normalise(text, language)
    assert "".join(span.source for span in spans) == text
    return "".join(span.spoken for span in spans)


@pytest.mark.parametrize(("text", "expected"), ENGLISH.items())
def test_english(text: str, expected: str) -> None:
    assert spoken(text, "en-US") == expected


@pytest.mark.parametrize(("language", "text", "expected"), CASES)
def test_other_languages(language: str, text: str, expected: str) -> None:
    assert spoken(text, language) == expected


def test_tags_in_any_spelling() -> None:
    assert spoken("5 km", "EN_gb") == spoken("5 km", "en-GB-x-rp") == "five kilometres"
    assert spoken("5人", "cmn-Hans-CN") == "五人"


def test_only_the_part_that_is_wanted_comes_back_but_its_neighbours_are_seen() -> None:
    text = "in 1066 men"
    assert [span.spoken for span in normalise(text, "en", 3, 7)] == ["ten sixty-six"]
    assert [span.spoken for span in normalise("MP3", "en", 2)] == [" three"]


def test_white_space_is_said_as_one_space_and_as_none_between_ideographs() -> None:
    assert spoken("a \n b\u00a0c   d", "xx") == "a b c d"
    assert spoken("今天\n很好 a\nb", "yue") == "今天很好 a b"


def test_what_is_covered() -> None:
    assert all(map(covers, ["en-US", "de", "pt-BR", "nb", "zh-TW", "cmn", "ja", "ko"]))
    assert not any(map(covers, ["hi", "yue", "sw", "xx", ""]))


@pytest.mark.parametrize(
    "language",
    EVERY_LANGUAGE,
)
def test_every_language_reads_every_kind_of_number(language: str) -> None:
    """No exception of a library gets out, and no digit is left."""
    text = (
        "0 1 2 21 100 1.000 1,000 999999999 123456789012345678 3,5 3.5 -1 50% 2026-11-21 "
        "21.11.2026 1/2/2026 14:30 0:05 24:00 5 km 1 km 2 h 3 MB 20 °C $5 5,30 € £1.01 1st 3. x "
        "1/2 7/9 ½ "
        "5-10 2010–2015 v1.2.3 007 +49 30 1234567 A1 1a #5 5×3 ¥100 kr 5 CHF 7 100.5 zł ١٢٣ २"
    )
    said = spoken(text, language)
    assert not any(sign.isdecimal() for sign in said), said
    assert words.words_of(language).numbers


@settings(deadline=None, max_examples=150)
@given(
    st.text(st.sampled_from("0123459 .,:/-–+%$€°½'()#xkmhpStv\n٣é"), max_size=60),
    st.sampled_from(EVERY_LANGUAGE),
)
def test_no_digit_is_left_and_no_source_is_lost(text: str, language: str) -> None:
    assert not any(sign.isdecimal() for sign in spoken(text, language))


@settings(deadline=None, max_examples=100)
@given(
    st.text(max_size=80), st.sampled_from(["en", "de", "ru", "zh", "ja", "ko", "ar", "hi", "he"])
)
def test_any_text(text: str, language: str) -> None:
    spoken(text, language)


@settings(deadline=None, max_examples=50)
@given(
    st.text(st.sampled_from('0123456789年月日个人￥.,:-~～%kgm第"\\{}<>|３Ａa东\n '), max_size=40)
)
def test_any_chinese_or_japanese_number(text: str) -> None:
    for language in ("zh", "ja"):
        spoken(text, language)


def test_threads_do_not_disturb_one_another() -> None:
    """num2words' Arabic, for one, keeps the number in the converter while it works on it."""
    texts = [f"{number} {number}.5" for number in range(1_000_000, 1_000_400)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: spoken(text, "ar"), texts))
    assert len(set(together)) == len(texts)
    words.words_of.cache_clear()
    grammar_of.cache_clear()
    reader_of.cache_clear()
    assert together == [spoken(text, "ar") for text in texts]


def test_libraries_are_imported_when_they_are_needed() -> None:
    code = (
        "import sys, engines.text\n"
        "heavy = {'babel', 'num2words', 'sentencex', 'wetext', 'kaldifst', 'torch'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "engines.text.normalise('5 km', 'en')\n"
        "assert not {'wetext', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
