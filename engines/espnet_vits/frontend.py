"""A release's text front end: the cleaner and phonemes that it was trained with, then ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from engines.errors import BadText, MissingDependency
from engines.espnet_vits.config import UNKNOWN, ReleaseConfig
from engines.text import tacotron
from engines.text.g2p import english, espeak, japanese, mandarin

SPACE = "<space>"
NO_LANGUAGE = "zxx"  # BCP 47: text that is no language, such as phonemes
SHOWN = 8  # unknown symbols of a sentence that are told

Clean = Callable[[str], str]
_WORD = re.compile(r"\S+")


class Token(NamedTuple):
    """
    Attributes:
        position, length: of the word that it comes from, in characters of the text; a length of 0
            where that is unknown.
    """

    text: str
    position: int = 0
    length: int = 0


class Encoded(NamedTuple):
    """
    Attributes:
        ids: int64 [T_text], one for each token.
        unknown: texts of tokens that the release has no symbol for.
    """

    tokens: tuple[Token, ...]
    ids: np.ndarray
    unknown: tuple[str, ...]

    @property
    def speakable(self) -> bool:
        return len(self.tokens) > len(self.unknown)


class FrontEnd(NamedTuple):
    """
    Attributes:
        language: BCP 47 of what it reads.
        tokens: from text and cleaner to tokens.
    """

    language: str
    tokens: Callable[[str, Clean], list[Token]]


def encode(text: str, config: ReleaseConfig) -> Encoded:
    """
    Raises:
        BadText: it has words, and none of them can be spoken.
        MissingDependency: the release's way from text to phonemes needs something that is not here.
    """
    front_end, clean = front_end_of(config)
    tokens = tuple(front_end.tokens(text, clean))
    encoded = Encoded(tokens, *token_ids([token.text for token in tokens], config.token_list))
    if not encoded.speakable and any(sign.isalnum() for sign in text):
        raise BadText(
            f"The text {text!r:.80} has nothing that this voice can speak.",
            f"Its symbols are {' '.join(config.token_list[2:])!s:.120} …",
            "Write words in its language, or pick another voice.",
            param="text",
        )
    return encoded


def token_ids(
    tokens: Sequence[str], token_list: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Places in the list, int64 [T_text], and the tokens that are not in it: they count as <unk>.
    Nothing is put before, behind or between."""
    places = {token: number for number, token in enumerate(token_list)}
    if SPACE in places:
        places.setdefault(" ", places[SPACE])
    ids = [places.get(token, UNKNOWN) for token in tokens]
    return np.array(ids, np.int64), tuple(token for token in tokens if token not in places)


def unknown_notes(unknown: Iterable[str], release: str) -> tuple[str, ...]:
    """What to tell about tokens that a release has no symbol for: a sentence for each, so that none
    is told twice in a long text."""
    distinct = list(dict.fromkeys(unknown))[:SHOWN]
    return tuple(
        f"{release} has no symbol for {each}: it takes that as unknown." for each in distinct
    )


def front_end_of(config: ReleaseConfig) -> tuple[FrontEnd, Clean]:
    """
    Raises:
        MissingDependency: it is none that is here; the message names it.
    """
    found = None
    if config.token_type == "char":
        found = FrontEnd("en-US" if config.cleaner == "tacotron" else NO_LANGUAGE, _characters)
    elif config.token_type == "phn":
        found = _FRONT_ENDS.get(config.g2p)
    if found is None:
        raise MissingDependency(
            f"It was trained with g2p {config.g2p!r:.80} for tokens of type "
            f"{config.token_type!r:.80}, which is not here.",
            f"Here are {', '.join(sorted(filter(None, _FRONT_ENDS)))}.",
            "Pick another release.",
        )
    if config.cleaner not in _CLEANERS:
        raise MissingDependency(
            f"It was trained with the text cleaner {config.cleaner!r:.80}, which is not here.",
            f"Here are {', '.join(filter(None, _CLEANERS))}.",
            "Pick another release.",
        )
    return found, _CLEANERS[config.cleaner]


def _arpabet(text: str, clean: Clean) -> list[Token]:
    return [token for token in _arpabet_with_spaces(text, clean) if token.text != english.SPACE]


def _arpabet_with_spaces(text: str, clean: Clean) -> list[Token]:
    # cleaned word by word, which gives the same and keeps where each comes from
    words = list(_WORD.finditer(text))
    return [
        Token(sound, words[piece].start(), len(words[piece][0]))
        for sound, piece in english.phonemes([clean(word[0]) for word in words])
    ]


def _characters(text: str, clean: Clean) -> list[Token]:
    found: list[Token] = []
    for word in _WORD.finditer(text):
        place = word.start(), len(word[0])
        found += [Token(SPACE)] * bool(found)
        found += [
            Token(SPACE) if sign == " " else Token(sign, *place) for sign in clean(word[0]).strip()
        ]
    return found


def _given(text: str, clean: Clean) -> list[Token]:
    """Phonemes that stand in the text, a space between; three spaces, or <space>, mean a space."""
    text = clean(text)
    found: list[Token] = []
    for word in re.finditer(r" {3}|\S+", text):
        is_space = word[0] in ("   ", SPACE)
        found.append(Token(" ") if is_space else Token(word[0], word.start(), len(word[0])))
    return found


def _espeak(voice: str, language: str, *, letters: bool = False) -> FrontEnd:
    """
    Args:
        voice: eSpeak NG's name of the language.
        letters: every letter of the IPA is a token, and so is a space between words.
    """

    def tokens(text: str, clean: Clean) -> list[Token]:
        joined, places = "", list[tuple[int, int]]()  # of each sign: its word in the text
        for word in _WORD.finditer(text):
            part = (" " if joined else "") + clean(word[0]).strip()
            joined += part
            places += [(word.start(), len(word[0]))] * len(part)
        found: list[Token] = []
        for piece in espeak.pieces(joined, voice):
            if piece.is_punctuation:
                signs = piece.sounds if letters else piece.sounds.split()
                found += [Token(SPACE if sign == " " else sign) for sign in signs]
                continue
            said = piece.sounds.split(" ")
            words = [places[piece.start + word.start()] for word in _WORD.finditer(piece.source)]
            if len(words) != len(said):  # "of the" may be one word to it
                words = [(0, 0)] * len(said)
            for number, (sounds, place) in enumerate(zip(said, words, strict=True)):
                found += [Token(SPACE)] * (letters and number > 0)
                sound = sounds.replace("_", "") if letters else sounds.split("_")
                found += [Token(each, *place) for each in sound]
        return found

    return FrontEnd(language, tokens)


def _pinyin(phones: Callable[[str], Iterable[tuple[str, int]]]) -> FrontEnd:
    def tokens(text: str, clean: Clean) -> list[Token]:
        return [Token(phone, at, int(clean is _as_it_is)) for phone, at in phones(clean(text))]

    return FrontEnd("zh", tokens)


def _japanese(phones: Callable[[str], Iterable[str]]) -> FrontEnd:
    return FrontEnd("ja", lambda text, clean: [Token(phone) for phone in phones(clean(text))])


def _jaconv(text: str) -> str:
    try:
        import jaconv
    except ImportError:
        raise MissingDependency(
            "This model cleans Japanese text with the package jaconv, which is not installed.",
            "",
            "Install it: pip install jaconv",
        ) from None
    normalised: str = jaconv.normalize(text)
    return normalised


def _as_it_is(text: str) -> str:
    return text


_CLEANERS: dict[str | None, Clean] = {
    None: _as_it_is,
    "tacotron": tacotron.clean,
    "jaconv": _jaconv,
}
_ESPEAK_LANGUAGES = {
    "arabic": "ar",
    "dutch": "nl",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hindi": "hi",
    "hungarian": "hu",
    "italian": "it",
    "polish": "pl",
    "russian": "ru",
    "spanish": "es",
    "ukrainian": "uk",
}
# By ESPnet's names; None is text that is phonemes already.
_FRONT_ENDS: dict[str | None, FrontEnd] = {
    None: FrontEnd(NO_LANGUAGE, _given),
    "g2p_en": FrontEnd("en-US", _arpabet_with_spaces),
    "g2p_en_no_space": FrontEnd("en-US", _arpabet),
    "espeak_ng_english_us_vits": _espeak("en-us", "en-US", letters=True),
    **{f"espeak_ng_{name}": _espeak(voice, voice) for name, voice in _ESPEAK_LANGUAGES.items()},
    "pyopenjtalk": _japanese(japanese.phones),
    "pyopenjtalk_kana": _japanese(japanese.kana),
    "pyopenjtalk_accent": _japanese(japanese.accents),
    "pyopenjtalk_accent_with_pause": _japanese(japanese.accents_and_pauses),
    "pyopenjtalk_prosody": _japanese(japanese.prosody),
    "pypinyin_g2p": _pinyin(mandarin.syllables),
    "pypinyin_g2p_phone": _pinyin(mandarin.phones),
    "pypinyin_g2p_phone_without_prosody": _pinyin(mandarin.plain_phones),
}
