"""Text to the ids that XTTS was trained on, in its 17 languages. No torch.

What numbers, dates and most signs are called is already in words when a sentence comes here; left
are the spelling that the model knows (small letters, no quotation marks, Latin letters for Chinese,
Japanese and Korean), digits of a language whose numbers nobody put into words, and the signs below.
"""

from __future__ import annotations

import importlib.util
import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engines.coqui.xtts.config import VOCABULARY
from engines.errors import BadCheckpoint, BadText, MissingDependency
from engines.text.languages import primary

START, STOP, UNKNOWN, SPACE = "[START]", "[STOP]", "[UNK]", "[SPACE]"
CHINESE = "zh-cn"  # as the vocabulary names it

# How many signs of each language the model says without losing its thread.
LONGEST = {
    "en": 250, "de": 253, "fr": 273, "es": 239, "it": 213, "pt": 203, "pl": 224, "zh": 82,
    "ar": 166, "cs": 186, "ru": 182, "nl": 251, "tr": 226, "ja": 71, "hu": 224, "ko": 95, "hi": 150,
}  # fmt: skip

SIGNS = "&@%#$£°"
# What each of these signs is called, as the model heard it.
_CALLED = {
    "en": "and, at, percent, hash, dollar, pound, degree",
    "es": "y, arroba, por ciento, numeral, dolar, libra, grados",
    "fr": "et, arobase, pour cent, dièse, dollar, livre, degrés",
    "de": "und, at, prozent, raute, dollar, pfund, grad",
    "pt": "e, arroba, por cento, cardinal, dólar, libra, graus",
    "it": "e, chiocciola, per cento, cancelletto, dollaro, sterlina, gradi",
    "pl": "i, małpa, procent, krzyżyk, dolar, funt, stopnie",
    "ar": "و, على, في المئة, رقم, دولار, جنيه, درجة",
    "zh": "和, 在, 百分之, 号, 美元, 英镑, 度",
    "cs": "a, na, procento, křížek, dolar, libra, stupně",
    "ru": "и, собака, процентов, номер, доллар, фунт, градус",
    "nl": "en, bij, procent, hekje, dollar, pond, graden",
    "tr": "ve, at, yüzde, diyez, dolar, sterlin, derece",
    "hu": "és, kukac, százalék, kettőskereszt, dollár, font, fok",
    "ko": "그리고, 에, 퍼센트, 번호, 달러, 파운드, 도",
    "hi": "और, ऐट दी रेट, प्रतिशत, हैश, डॉलर, पाउंड, डिग्री",
}  # fmt: skip
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Encoded:
    """A sentence as the GPT takes it.

    Attributes:
        ids: its start and stop among them.
        spelled: what was put into the vocabulary's pieces.
        unknown: signs that the vocabulary lacks.
    """

    ids: tuple[int, ...]
    spelled: str
    unknown: tuple[str, ...] = ()


class Tokenizer:
    """A release's vocabulary.

    Raises:
        BadCheckpoint: its file is missing, damaged or lacks the marks of a text's ends.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer as Pieces

        path = folder / VOCABULARY
        try:
            self._pieces: Any = Pieces.from_str(path.read_text("utf-8"))
        except Exception as error:  # the library raises this very class
            raise BadCheckpoint(
                f"{path} cannot be read as a vocabulary: {error!s:.200}.",
                "It is a JSON file of the tokenizers library.",
                "Download the release again, with all of its files.",
            ) from error
        start, stop = (self._pieces.token_to_id(mark) for mark in (START, STOP))
        if start is None or stop is None:
            raise BadCheckpoint(
                f"{path} has no {START} or no {STOP}.",
                "The vocabulary of XTTS has both.",
                "Download the release again, with all of its files.",
            )
        self._ends: tuple[int, int] = start, stop

    @cached_property
    def size(self) -> int:
        """Rows of the text embedding."""
        return max(self._pieces.get_vocab().values()) + 1

    def encode(self, text: str, language: str, *, most: int) -> Encoded:
        """
        Args:
            language: BCP 47, one of `LONGEST`.
            most: ids that a text may have without its ends.

        Raises:
            BadText: it has more.
            MissingDependency: a package that spells the language is not here.
        """
        spelled = spell(text.strip(), language)
        code = primary(language)
        marked = f"[{CHINESE if code == 'zh' else code}]{spelled}".replace(" ", SPACE)
        found = self._pieces.encode(marked)
        if len(found.ids) >= most:
            raise BadText(
                f"A sentence is {len(found.ids)} pieces long.",
                f"XTTS takes fewer than {most} at once.",
                "Send shorter sentences, or the text in parts.",
            )
        start, stop = self._ends
        return Encoded((start, *found.ids, stop), spelled, self._unknown(found, marked))

    def _unknown(self, found: Any, marked: str) -> tuple[str, ...]:
        unknown = self._pieces.token_to_id(UNKNOWN)
        places = zip(found.ids, found.offsets, strict=True)
        return tuple(dict.fromkeys(marked[a:b] for each, (a, b) in places if each == unknown))


def spell(text: str, language: str) -> str:
    """A sentence in the letters that the model reads."""
    code = primary(language)
    if code == "ja":
        return _romaji(text.lower())
    # otherwise a dot would be left over above the small letter
    text = text.replace('"', "").replace("İ", "i")
    text = commas(text.lower()) if code == "zh" else _numbers(text.lower(), code)
    for sign, said in zip(SIGNS, _CALLED[code].split(", "), strict=True):
        text = text.replace(sign, f" {said} ")
    text = _SPACES.sub(" ", text).strip()
    if code == "zh":
        return _pinyin(text)
    return _romanised(text) if code == "ko" else text


def speaks(languages: Sequence[str], language: str) -> bool:
    """Whether a model that names these languages speaks one."""
    return primary(language) in {primary(each) for each in languages} & set(LONGEST)


def _numbers(text: str, code: str) -> str:
    if not any(sign.isdigit() for sign in text):
        return text
    from num2words import num2words

    def said(match: re.Match[str]) -> str:
        digits = match[0]
        *whole, last = re.split("[.,]", digits)
        fraction = whole and not (len(last) == 3 and len(whole[0]) <= 3)
        number = float(f"{''.join(whole)}.{last}") if fraction else int("".join([*whole, last]))
        try:
            return str(num2words(number, lang=code)).lower()
        except (NotImplementedError, OverflowError):
            return digits

    return _DIGITS.sub(said, text)


def commas(text: str) -> str:
    """Every mark as a comma: the model has read Chinese with no other."""

    def is_mark(sign: str) -> bool:
        plain = unicodedata.normalize("NFKC", sign)
        return unicodedata.category(sign).startswith("P") or plain in string.punctuation

    return "".join("," if is_mark(sign) else sign for sign in text)


def _pinyin(text: str) -> str:
    _need("pypinyin", "Chinese")
    from pypinyin import Style, pinyin

    found = pinyin(text, style=Style.TONE3, heteronym=False, neutral_tone_with_five=True)
    return "".join(syllable for (syllable,) in found)


def _romaji(text: str) -> str:
    _need("cutlet", "Japanese")
    import cutlet

    return str(cutlet.Cutlet().romaji(text)).lower()


def _romanised(text: str) -> str:
    _need("ko_speech_tools", "Korean")
    from ko_speech_tools import hangul_romanize

    return str(hangul_romanize(text))


def _need(package: str, language: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingDependency(
            f"XTTS spells {language} with the package {package}, which is not installed.",
            "",
            f"Install it: pip install {package.replace('_', '-')}",
        )
