"""Mandarin text to initials and finals with tones, as ESPnet's recipes use pypinyin."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from engines.errors import MissingDependency


def syllables(text: str) -> Iterator[tuple[str, int]]:
    """Pinyin with the tone as a digit ("ni3"), and runs of other signs as they are; each with the
    offset of its first sign in the text."""
    need_pypinyin()
    from pypinyin import Style, pinyin

    at = 0
    for (syllable,) in pinyin(text, style=Style.TONE3):
        yield syllable, at
        at += len(syllable) if text.startswith(syllable, at) else 1


def plain_syllables(text: str) -> Iterator[tuple[str, int]]:
    """The same without tones."""
    need_pypinyin()
    from pypinyin import Style, pinyin

    at = 0
    for (syllable,) in pinyin(text, style=Style.NORMAL, strict=False):
        yield syllable, at
        at += len(syllable) if text.startswith(syllable, at) else 1


def phones(text: str) -> Iterator[tuple[str, int]]:
    """Initials, and finals with the tone as a digit: "n", "i3"; marks as they are."""
    need_pypinyin()
    from pypinyin.style._utils import get_finals, get_initials

    for syllable, at in syllables(text):
        if syllable[-1].isdigit():
            final = get_finals(syllable[:-1], strict=True) + syllable[-1]
        elif syllable[-1].isalnum():
            final = get_finals(syllable, strict=True)
        else:
            final = syllable
        for phone in (get_initials(syllable, strict=True), final):
            if phone and not phone.isdigit():
                yield phone, at


def plain_phones(text: str) -> Iterator[tuple[str, int]]:
    """Initials and finals without tones."""
    need_pypinyin()
    from pypinyin.style._utils import get_finals, get_initials

    rounded = {"un": "vn", "uan": "van"}  # after x, y, j and q
    for syllable, at in plain_syllables(text):
        initial = get_initials(syllable, strict=False)
        final = get_finals(syllable, strict=False)
        if initial:
            yield initial, at
            if initial in ("x", "y", "j", "q"):
                final = rounded.get(final, final)
            final = "ve" if final == "ue" else final
        yield final, at


def need_pypinyin() -> None:
    """
    Raises:
        MissingDependency: pypinyin is not installed.
    """
    if importlib.util.find_spec("pypinyin") is None:
        raise MissingDependency(
            "This model reads Mandarin through the package pypinyin, which is not installed.",
            "",
            "Install it: pip install pypinyin",
        )
