"""Languages outside the three large European families; most read numbers, dates and units only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engines.text.normalise.words import Words, set_of

if TYPE_CHECKING:
    from engines.text.normalise.numbers import Numbers


def _ordinal(numbers: Numbers, day: int, _before: str) -> str:
    return numbers.ordinal(day)


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
    day=_ordinal,
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
HUNGARIAN = Words(
    "hu",
    "egész",
    "pont",
    "mínusz",
    fraction="library",
    and_="és",
    plus="plusz",
    times="szorozva",
    dot_ordinals=True,
    clock="{h} óra {m}",
    clock_hour="{h} óra",
    number_sign="szám",
    abbreviations={
        "pl.": "például",
        "stb.": "és a többi",
        "kb.": "körülbelül",
        "ill.": "illetve",
        "dr.": "doktor",
        "ún.": "úgynevezett",
    },
    final_abbreviations=frozenset(["stb."]),
)
TURKISH = Words(
    "tr",
    "virgül",
    "nokta",
    "eksi",
    fraction="number",
    and_="ve",
    plus="artı",
    equals="eşittir",
    times="çarpı",
    dot_ordinals=True,
    clock="{h} {m}",
    clock_cues=frozenset(["saat"]),
    clock_hour="{h}",
    clock_marks="[:.]",
    number_sign="numara",
    abbreviations={
        "vb.": "ve benzeri",
        "vs.": "vesaire",
        "örn.": "örneğin",
        "Dr.": "Doktor",
        "Prof.": "Profesör",
        "Sn.": "Sayın",
        "yy.": "yüzyıl",
    },
    before_number={"s.": "sayfa"},
    final_abbreviations=set_of("vb. vs. yy."),
)

WORDS: Mapping[str, Words] = {
    "fi": FINNISH,
    "hu": HUNGARIAN,
    "tr": TURKISH,
    "ar": Words("ar", "فاصلة", "نقطة", "ناقص", to="إلى", and_="و", percent="{n} بالمئة"),
    "az": Words("az", "vergül", "nöqtə", "mənfi"),
    "bn": Words("bn", "দশমিক", "দশমিক", "ঋণাত্মক", to="থেকে"),
    "eo": Words("eo", "komo", "punkto", "minus", to="ĝis", and_="kaj", library_currency=True),
    "fa": Words("fa", "ممیز", "نقطه", "منفی", to="تا", and_="و"),
    "he": Words("he", "פסיק", "נקודה", "מינוס", to="עד", library_currency=True),
    "id": Words("id", "koma", "titik", "minus", to="sampai", and_="dan"),
    "is": Words("is", "komma", "punktur", "mínus", to="til", and_="og"),
    "kk": Words("kz", "бүтін", "нүкте", "минус"),
    "kn": Words("kn", "ಬಿಂದು", "ಬಿಂದು", "ಮೈನಸ್"),
    "ko": Words(
        "ko",
        "점",
        "점",
        "마이너스",
        to="에서",
        clock="{h}시 {m}분",
        clock_hour="{h}시",
        percent="{n} 퍼센트",
    ),
    "lt": Words(
        "lt",
        "kablelis",
        "taškas",
        "minus",
        fraction="number",
        date_words={"m.": "metų", "d.": "diena"},
        library_currency=True,
    ),
    "lv": Words("lv", "komats", "punkts", "mīnus", fraction="number", library_currency=True),
    "te": Words("te", "బిందువు", "బిందువు", "మైనస్"),
    "tg": Words("tg", "вергул", "нуқта", "минус", library_currency=True),
    "th": Words("th", "จุด", "จุด", "ลบ", to="ถึง"),
    "vi": Words("vi", "phẩy", "chấm", "âm", to="đến", and_="và", percent="{n} phần trăm"),
}
