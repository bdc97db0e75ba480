"""Names, tags and other words that people give: checked and brought into one form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from engines.text.languages import canonical
from studio.voices.errors import BadVoiceField, MissingConsent
from studio.voices.records import Consent

NAME = 100  # characters, as the limits below
TAG = 40
TAGS = 20
NOTES = 5_000
TRANSCRIPT = 5_000
WHO = 200
PURPOSE = 500
LANGUAGE = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,6}")

# they turn the direction of whatever text they stand in
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str) -> str:
    """NFC without control characters; every run of white space is one space."""
    words = " ".join(_printable(" ".join(text.split())).split())
    return unicodedata.normalize("NFC", words)


def lines(text: str) -> str:
    """NFC without control characters; line breaks stay, as \\n."""
    return unicodedata.normalize("NFC", "\n".join(map(_printable, text.splitlines())).strip())


def fold(text: str) -> str:
    """A form in which texts are searched: without case, accents and width."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", "".join(c for c in plain if not unicodedata.combining(c)))


def name(text: str) -> str:
    """
    Raises:
        BadVoiceField: as do all functions below.
    """
    return _sized(one_line(text), "name", 1, NAME)


def tags(given: Sequence[str]) -> tuple[str, ...]:
    """Tags in their order, each once, empty ones left out."""
    kept: dict[str, str] = {}
    for tag in given:
        if cleaned := _sized(one_line(tag), "tags", 0, TAG):
            kept.setdefault(fold(cleaned), cleaned)
        if len(kept) > TAGS:
            raise BadVoiceField(
                f"There are {len(given)} tags.",
                f"A voice has at most {TAGS}.",
                "Leave some out.",
                param="tags",
            )
    return tuple(kept.values())


def language(tag: str) -> str:
    """A BCP 47 tag in its usual spelling, or ""."""
    tag = tag.strip()
    if tag and not LANGUAGE.fullmatch(tag):
        raise BadVoiceField(
            f"The language was {tag!r:.80}.",
            "It takes a tag such as en, en-GB or zh-Hant.",
            "Change it, or leave it empty.",
            param="language",
        )
    return canonical(tag) if tag else ""


def notes(text: str) -> str:
    return _sized(lines(text), "notes", 0, NOTES)


def transcript(text: str) -> str:
    return _sized(one_line(text), "transcript", 0, TRANSCRIPT)


def consent(given: Consent) -> Consent:
    """Who and purpose in one form; `when` and `clip_hash` as they are.

    Raises:
        MissingConsent: one of both is empty.
    """
    who, purpose = one_line(given.who), one_line(given.purpose)
    for param, value in (("consent_name", who), ("consent_purpose", purpose)):
        if not value:
            raise MissingConsent(
                f"{param} is empty.",
                "A voice is kept only with a record of who agreed, and to what.",
                "Name the person who agreed and what the voice may be used for.",
                param=param,
            )
    return Consent(
        _sized(who, "consent_name", 1, WHO),
        _sized(purpose, "consent_purpose", 1, PURPOSE),
        given.when,
        given.clip_hash,
    )


def _printable(text: str) -> str:
    """Without control characters and half surrogate pairs, which no file could hold. Joiners stay:
    emoji and Indic scripts need them."""
    return "".join(
        c
        for c in text
        if unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") and c not in _BIDI
    )


def _sized(text: str, param: str, least: int, most: int) -> str:
    if least <= len(text) <= most:
        return text
    given = f"{len(text):,} characters" if text else "no character that can be seen"
    raise BadVoiceField(
        f"{param} had {given}.",
        f"It takes {least} to {most:,}." if least else f"It takes at most {most:,}.",
        "Change it.",
        param=param,
    )
