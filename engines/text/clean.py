"""What a person pasted → text that can be spoken, with a word on what was left out."""

from __future__ import annotations

import re
import unicodedata

from engines.errors import BadText
from engines.text.pauses import check_marks, without_marks

# Pictographs are taken by block, so that emoji newer than this Python's tables count as well.
_EMOJI = re.compile(
    "[\u231a\u231b\u23e9-\u23f3\u23f8-\u23fa\u25fd\u25fe\u2600-\u2767\u2794-\u27bf"
    "\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001f0ff\U0001f170-\U0001f19a"
    "\U0001f1e6-\U0001f1ff\U0001f201-\U0001f265\U0001f300-\U0001faff]"
    "|[\u2190-\u21ff\u23cf\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb\u25fc\u2934\u2935\u3030\u303d"
    "\u3297\u3299]\ufe0f"
)
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028]")
_JOINERS = "\u200c\u200d"
# scripts that join or stack their letters: there a joiner is spelling
_JOINING = (
    "\u0590-\u08ff\u0900-\u109f\u1780-\u18af\u1900-\u1aff\u1b00-\u1bff\ua840-\ua8ff"
    "\ua900-\ua9df\uaa00-\uaadf\U00010a00-\U00011fff"
)
_SILENT = frozenset(
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u20e3\u3164\ufeff\uffa0"
    "\ufff9\ufffa\ufffb\ufffc"
)
_SILENT_RANGES = (
    (0x202A, 0x202E),  # bidirectional controls
    (0x2060, 0x206F),  # invisible operators, isolates, word joiner
    (0xFE00, 0xFE0F),  # variation selectors
    (0xE0000, 0xE0FFF),  # tags and more variation selectors
)
_MARKS_IN_A_ROW = 30  # Unicode's limit for text that is safe to normalise (UAX 15, D3)


def clean(text: str) -> tuple[str, tuple[str, ...]]:
    """Make text ready for the other parts of this package.

    Line ends become newlines, tabs become spaces, Unicode is composed (NFC). Byte-order marks,
    zero-width and bidirectional controls go without a word, as nobody hears them; control
    characters, emoji and unreadable characters go with a note. Cleaning twice changes nothing.

    Returns:
        The text, which may be shorter than what was given, and notes for the user.

    Raises:
        BadText: empty, nothing to speak, lone surrogates, or a malformed `[pause]`.
    """
    cleaned = _LINE_ENDS.sub("\n", text).replace("\u2029", "\n\n").replace("\t", " ")
    emoji = marks = 0
    if not text.isascii():
        _refuse_surrogates(text)
        cleaned, emoji = _EMOJI.subn("", cleaned)
    cleaned, controls, unreadable = _drop_characters(cleaned)
    if not cleaned.isascii():
        marks_in = "".join(sorted(sign for sign in set(cleaned) if unicodedata.combining(sign)))
        length = len(cleaned)
        cleaned = _thin_out(cleaned, marks_in)
        marks = length - len(cleaned)
        cleaned = unicodedata.normalize("NFC", _drop_joiners(cleaned, marks_in))
        # composing takes a few characters apart for good, so that a pile may have grown by one
        cleaned = _thin_out(cleaned, marks_in)
    _refuse_unspeakable(text, cleaned)
    check_marks(cleaned)
    counts = (
        (emoji, "emoji or pictograph", "emoji or pictographs"),
        (controls, "control character", "control characters"),
        (unreadable, "unreadable character", "unreadable characters"),
        (marks, "accent piled on others", "accents piled on others"),
    )
    notes = tuple(f"Left out {n:,} {one if n == 1 else many}." for n, one, many in counts if n)
    return cleaned, notes


def speakable(text: str) -> bool:
    """True where at least one letter or digit is in the text."""
    return any(character.isalnum() for character in text)


def _refuse_surrogates(text: str) -> None:
    match = re.search("[\ud800-\udfff]", text)
    if match:
        raise BadText(
            f"The text holds half a character (U+{ord(match[0]):04X}) at position {match.start()}.",
            "It has to be valid Unicode.",
            "Save it as UTF-8, or type that place anew.",
            param="text",
        )


def _refuse_unspeakable(given: str, cleaned: str) -> None:
    if speakable(without_marks(cleaned)):
        return
    if not given:
        what = "The text is empty."
    elif given.isspace():
        what = "The text is nothing but spaces and line ends."
    else:
        names = ", ".join(_kinds(given[:1000]))
        what = f"There is nothing to speak in {given.strip()[:40]!a}: only {names}."
    raise BadText(what, "At least one letter or digit is needed.", "Type some words.", param="text")


def _kinds(text: str) -> list[str]:
    """In words, what a text without letters and digits is made of."""
    names = {
        "P": "punctuation",
        "S": "signs",
        "M": "accents",
        "Cc": "control characters",
        "Cf": "invisible characters",
        "L": "invisible characters",
        "C": "unreadable characters",
    }
    bare = without_marks(text)
    found = {"pauses": None} if bare != text else {}
    for character in bare:
        category = unicodedata.category(character)
        if _EMOJI.match(character):
            found["emoji"] = None
        elif not character.isspace():
            found[names.get(category) or names[category[0]]] = None
    return list(found)


def _drop_characters(text: str) -> tuple[str, int, int]:
    """Text without what has no sound; how many controls and unreadable characters there were."""
    silent: list[str] = []
    controls: list[str] = []
    unreadable: list[str] = []
    for character in set(text):
        code = ord(character)
        category = unicodedata.category(character)
        if category == "Cc" and character != "\n":
            controls.append(character)
        elif category == "Co" or character == "\ufffd" or _is_noncharacter(code):
            unreadable.append(character)
        elif character in _SILENT or any(low <= code <= high for low, high in _SILENT_RANGES):
            silent.append(character)
    lengths = [len(text)]
    for characters in (silent, controls, unreadable):
        if characters:
            text = re.sub(f"[{''.join(characters)}]+", "", text)
        lengths.append(len(text))
    return text, lengths[1] - lengths[2], lengths[2] - lengths[3]


def _is_noncharacter(code: int) -> bool:
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _thin_out(text: str, marks: str) -> str:
    """Text with no more marks on one letter than Unicode calls safe. Composing thousands of marks
    on one letter would take time in the square of their number."""
    if not marks:
        return text
    return re.sub(f"([{marks}]{{{_MARKS_IN_A_ROW}}})[{marks}]+", r"\1", text)


def _drop_joiners(text: str, marks: str) -> str:
    """Text without the joiners that are typography, not spelling."""
    if not any(joiner in text for joiner in _JOINERS):
        return text
    kept = f"[{_JOINING}]" + f"[{marks}]*" * bool(marks)
    return re.sub(f"({kept}[{_JOINERS}])|[{_JOINERS}]", r"\1", text)
