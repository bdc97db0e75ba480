"""A release's text front end: the cleaner and phonemes that it was trained with, then ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from engines.errors import BadText, MissingDependency
from engines.espnet_vits.config import UNKNOWN, ReleaseConfig
from engines.text import tacotron
from engines.text.g2p import english, japanese, mandarin

SPACE = "<space>"
NO_LANGUAGE = "zxx"  # BCP 47: text that is no language, such as phonemes
SHOWN = 8  # unknown symbols that one note names


class Token(NamedTuple):
    """
    Attributes:
        position, length: of the word that it comes from, in characters of the text; a length of 0
            where that is unknown.
    """

    text: str
    position: int
    length: int


class Encoded(NamedTuple):
    """
    Attributes:
        ids: int64 [T_text], one for each token.
        unknown: texts of tokens that the release has no symbol for.
    """

    tokens: tuple[Token, ...]
    ids: np.ndarray
    unknown: tuple[str, ...]


Phonemizer = Callable[[str], list[Token]]
_WORD = re.compile(r"\S+")


def encode(text: str, config: ReleaseConfig) -> Encoded:
    """
    Raises:
        BadText: nothing of it can be spoken.
        MissingDependency: the release's way from text to phonemes needs something that is not here.
    """
    tokens = tuple(_tokens(text, config))
    ids, unknown = token_ids([token.text for token in tokens], config.token_list)
    if not tokens or len(unknown) == len(tokens):
        raise BadText(
            f"The text {text!r:.80} has nothing that this voice can speak.",
            f"It reads {_reads(config)}.",
            "Write words in its language, or pick another voice.",
            param="text",
        )
    return Encoded(tokens, ids, unknown)


def token_ids(
    tokens: Sequence[str], token_list: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Places in the list, int64 [T_text], and the tokens that are not in it: they count as <unk>.
    Nothing is put before, behind or between."""
    places = {token: number for number, token in enumerate(token_list)}
    ids = [places.get(token, UNKNOWN) for token in tokens]
    return np.array(ids, np.int64), tuple(token for token in tokens if token not in places)


def unknown_note(unknown: Iterable[str], name: str) -> str:
    """What to tell about tokens that a release has no symbol for."""
    distinct = list(dict.fromkeys(unknown))
    more = f" and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else ""
    return f"{name} has no symbol for {' '.join(distinct[:SHOWN])}{more}; left unspoken."


def language(config: ReleaseConfig) -> str:
    """BCP 47 of what the front end reads."""
    return _kind(config).language


class _Kind(NamedTuple):
    """A `g2p` of ESPnet's: what it reads, and how; `phonemize` is None where it is not done."""

    language: str
    phonemize: Phonemizer | None


def _tokens(text: str, config: ReleaseConfig) -> list[Token]:
    phonemize = _kind(config).phonemize
    if phonemize is None:
        raise MissingDependency(
            f"This release was trained with the front end {_named(config)}.",
            f"Front ends that are here: {', '.join(sorted(map(str, _G2P)))}.",
            "Pick another release.",
        )
    if config.cleaner not in _CLEANERS:
        raise MissingDependency(
            f"This release was trained with the text cleaner {config.cleaner!r:.80}.",
            "Cleaners that are here: tacotron, jaconv.",
            "Pick another release.",
        )
    if config.cleaner == "jaconv":
        text = _jaconv(text)
    elif config.cleaner == "tacotron" and phonemize not in (_arpabet, _arpabet_with_spaces):
        text = tacotron.clean(text)
    return phonemize(text)


def _kind(config: ReleaseConfig) -> _Kind:
    if config.token_type == "char":
        return _Kind("en-US" if config.cleaner == "tacotron" else NO_LANGUAGE, _characters)
    if config.token_type != "phn":
        return _Kind(NO_LANGUAGE, None)
    found = _G2P.get(config.g2p)
    return found or _Kind(_ESPEAK.get((config.g2p or "").removeprefix("espeak_ng_"), "und"), None)


def _named(config: ReleaseConfig) -> str:
    return f"{config.g2p!r:.80} for tokens of type {config.token_type!r:.80}"


def _reads(config: ReleaseConfig) -> str:
    if config.token_type == "phn" and config.g2p is None:
        return f"phonemes with spaces between, such as {' '.join(config.token_list[2:7])}"
    return f"words of the language {language(config)}"


def _arpabet(text: str) -> list[Token]:
    return [token for token in _arpabet_with_spaces(text) if token.text != english.SPACE]


def _arpabet_with_spaces(text: str) -> list[Token]:
    # word by word, which gives the same and keeps where each comes from
    words = list(_WORD.finditer(text))
    pieces = [tacotron.clean(word[0]) for word in words]
    return [
        Token(sound, words[piece].start(), len(words[piece][0]))
        for sound, piece in english.phonemes(pieces)
    ]


def _pinyin(phones: Callable[[str], Iterable[tuple[str, int]]]) -> Phonemizer:
    return lambda text: [Token(phone, at, 1) for phone, at in phones(text)]


def _placeless(phones: Callable[[str], Iterable[str]]) -> Phonemizer:
    return lambda text: [Token(phone, 0, 0) for phone in phones(text)]


def _split(text: str) -> list[Token]:
    """Phonemes that stand in the text, a space between; three spaces, or <space>, mean a space."""
    marked = text.strip().replace("   ", f" {SPACE} ")
    found: list[Token] = []
    at = 0
    for word in marked.split():
        if word == SPACE:
            found.append(Token(" ", 0, 0))
        else:
            at = text.index(word, at)
            found.append(Token(word, at, len(word)))
            at += len(word)
    return found


def _characters(text: str) -> list[Token]:
    words = [(word.start(), len(word[0])) for word in _WORD.finditer(text) for _ in word[0]]
    spread = iter(words)
    return [
        Token(SPACE, 0, 0) if sign.isspace() else Token(sign, *next(spread)) for sign in text
    ]


def _jaconv(text: str) -> str:
    try:
        import jaconv
    except ImportError:
        raise MissingDependency(
            "This model cleans Japanese text with the package jaconv, which is not installed.",
            "",
            "Install it: pip install jaconv",
        ) from None
    return jaconv.normalize(text)


_CLEANERS = (None, "tacotron", "jaconv")
_G2P: dict[str | None, _Kind] = {
    None: _Kind(NO_LANGUAGE, _split),
    "g2p_en": _Kind("en-US", _arpabet_with_spaces),
    "g2p_en_no_space": _Kind("en-US", _arpabet),
    "pyopenjtalk": _Kind("ja", _placeless(japanese.phones)),
    "pyopenjtalk_kana": _Kind("ja", _placeless(japanese.kana)),
    "pyopenjtalk_accent": _Kind("ja", _placeless(lambda t: japanese.accented(t, pauses=False))),
    "pyopenjtalk_accent_with_pause": _Kind(
        "ja", _placeless(lambda t: japanese.accented(t, pauses=True))
    ),
    "pyopenjtalk_prosody": _Kind("ja", _placeless(japanese.prosody)),
    "pypinyin_g2p": _Kind("zh", _pinyin(mandarin.syllables)),
    "pypinyin_g2p_phone": _Kind("zh", _pinyin(mandarin.phones)),
    "pypinyin_g2p_phone_without_prosody": _Kind("zh", _pinyin(mandarin.plain_phones)),
}
_ESPEAK = {
    "arabic": "ar",
    "german": "de",
    "french": "fr-FR",
    "spanish": "es",
    "russian": "ru",
    "greek": "el",
    "finnish": "fi",
    "hungarian": "hu",
    "dutch": "nl",
    "english_us_vits": "en-US",
    "hindi": "hi",
    "italian": "it",
    "ukrainian": "uk",
    "polish": "pl",
}
