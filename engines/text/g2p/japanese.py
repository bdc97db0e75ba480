"""Japanese text to phonemes and accents through pyopenjtalk, as ESPnet's recipes use it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from engines.errors import MissingDependency

_UNVOICED = "AEIOU"
_ABSENT = -50  # what a label's field counts as where it says nothing
_CURRENT = re.compile(r"-(.*?)\+")
_ACCENT = re.compile(r"-(.*?)\+.*?/A:([0-9\-]+).*?/F:.*?_([0-9]+)")
_FIELDS = {
    "a1": re.compile(r"/A:([0-9\-]+)\+"),  # mora from the accent on
    "a2": re.compile(r"\+(\d+)\+"),  # mora in the accent phrase
    "a3": re.compile(r"\+(\d+)/"),  # the same from its end
    "f1": re.compile(r"/F:(\d+)_"),  # morae in the accent phrase
    "e3": re.compile(r"!(\d+)_"),  # is it a question?
}


def phones(text: str) -> list[str]:
    said: str = _pyopenjtalk().g2p(text, kana=False)
    return said.split(" ")


def kana(text: str) -> list[str]:
    return list(_pyopenjtalk().g2p(text, kana=True))


def accents(text: str) -> list[str]:
    """Each phoneme, followed by the accent type of its phrase and its place from the accent on."""
    found = (_ACCENT.search(label) for label in _labels(text))
    return [part for each in found if each for part in (each[1], each[3], each[2])]


def accents_and_pauses(text: str) -> list[str]:
    """The same with "pau" for a pause."""
    said: list[str] = []
    for label in _labels(text):
        if _phone(label) == "pau":
            said.append("pau")
        elif found := _ACCENT.search(label):
            said += [found[1], found[3], found[2]]
    return said


def prosody(text: str) -> list[str]:
    """Phonemes between ^ and $ or ?, with [ where the pitch rises, ] where it falls, # between
    accent phrases, _ for a pause. Unvoiced vowels count as voiced."""
    return [sign for sign in _with_marks(_labels(text)) if sign]


def _with_marks(labels: list[str]) -> Iterator[str]:
    for number, (label, following) in enumerate(pairwise([*labels, ""])):
        phone = _phone(label)
        if phone in _UNVOICED:
            phone = phone.lower()
        if phone == "sil" and number == 0:
            yield "^"
        elif phone == "sil":
            yield {0: "$", 1: "?"}.get(_field("e3", label), "")
        elif phone == "pau":
            yield "_"
        else:
            yield phone
            yield _mark(phone, label, following)


def _mark(phone: str, label: str, following: str) -> str:
    """The sign after a phoneme, "" for none."""
    a1, a2, a3, f1 = (_field(name, label) for name in ("a1", "a2", "a3", "f1"))
    next_a2 = _field("a2", following)
    if a3 == 1 and next_a2 == 1 and phone in "aeiouAEIOUNcl":
        return "#"
    if a1 == 0 and next_a2 == a2 + 1 and a2 != f1:
        return "]"
    return "[" if a2 == 1 and next_a2 == 2 else ""


def _phone(label: str) -> str:
    found = _CURRENT.search(label)
    return found[1] if found else ""


def _field(name: str, label: str) -> int:
    found = _FIELDS[name].search(label)
    return int(found[1]) if found else _ABSENT


def _labels(text: str) -> list[str]:
    """Full-context labels of HTS."""
    library = _pyopenjtalk()
    made = library.run_frontend(text)
    # newer versions give the words alone, and the labels for these
    return list(made[1] if isinstance(made, tuple) else library.make_label(made))


def _pyopenjtalk() -> Any:
    """The library, once it is sure that it has its dictionary, which it would download.

    Raises:
        MissingDependency: it is not installed, or has no dictionary.
    """
    todo = "Install the edition that brings its dictionary along: pip install pyopenjtalk-plus"
    if importlib.util.find_spec("pyopenjtalk") is None:
        raise MissingDependency(
            "This model reads Japanese through the package pyopenjtalk, which is not installed.",
            "",
            todo,
        )
    import pyopenjtalk

    given = pyopenjtalk.OPEN_JTALK_DICT_DIR
    if not Path(given.decode() if isinstance(given, bytes) else given).is_dir():
        raise MissingDependency(
            "The installed pyopenjtalk has no dictionary.",
            "It would download one, and nothing is downloaded while speaking.",
            todo,
        )
    return pyopenjtalk
