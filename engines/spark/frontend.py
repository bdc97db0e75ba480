"""Text as Spark-TTS takes it, and what a user should know of it. No torch."""

from __future__ import annotations

import unicodedata

from engines.text.languages import language_name, primary

KNOWN = ("en", "zh")
SCRIPTS = ("LATIN", "CJK", "DIGIT", "FULLWIDTH", "IDEOGRAPHIC", "BOPOMOFO")  # of their letters
LEAST_TRANSCRIPT = 2  # signs; the original takes a shorter one for none


def speakable(text: str) -> bool:
    return any(sign.isalnum() for sign in text)


def transcript_of(given: str) -> str:
    """A transcript worth using, or ""."""
    text = " ".join(given.split())
    return text if len(text) >= LEAST_TRANSCRIPT and speakable(text) else ""


def notes(text: str, language: str) -> tuple[str, ...]:
    """What the model does not know about a text."""
    if primary(language) not in KNOWN:
        return (f"Spark-TTS knows English and Chinese; {language_name(language)} may be misread.",)
    foreign = sorted({sign for sign in text if sign.isalpha() and not _known(sign)})
    if foreign:
        return (f"Spark-TTS knows English and Chinese; it may misread {' '.join(foreign[:8])}.",)
    return ()


def _known(sign: str) -> bool:
    return unicodedata.name(sign, "").startswith(SCRIPTS)
