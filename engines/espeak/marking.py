"""The text that the library gets, and the way back from its positions to the spoken text."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engines.api import Span
from engines.errors import BadText


@dataclass
class Marked:
    """Text for the library, built piece by piece.

    Attributes:
        text: as the library gets it.
        origin: for each of its characters, the range of the spoken text that it stands for.
        has_phonemes: does it hold phonemes in `[[ ]]`?
    """

    text: str = ""
    origin: list[tuple[int, int]] = field(default_factory=list)
    has_phonemes: bool = False

    def locate(self, position: int, length: int) -> tuple[int, int]:
        """The range of the spoken text for `length` characters from `position` (from 0)."""
        covered = self.origin[position : position + max(1, length)] or self.origin[-1:]
        return covered[0][0], max(end for _, end in covered)

    def add_phonemes(self, mnemonics: str, start: int, end: int) -> None:
        # directly after a letter or bracket the library does not see the mark
        space = "" if self.text[-1:].isspace() or not self.text else " "
        marked = f"{space}[[{mnemonics}]]"
        self.text += marked
        self.origin += [(start, end)] * len(marked)
        self.has_phonemes = True

    def add_text(self, text: str, start: int) -> None:
        plain = text if text.isprintable() else "".join(map(_plain, text))
        if self.text.endswith("[") and plain.startswith("["):
            plain = " " + plain[1:]
        self.text += plain.replace("[[", "[ ")  # two would begin phonemes
        self.origin += [(at, at + 1) for at in range(start, start + len(text))]


def mark(spans: Sequence[Span], mnemonics: Callable[[str], str]) -> Marked:
    """Put a sentence's spans together.

    Args:
        mnemonics: IPA → eSpeak NG's phoneme names.

    Raises:
        BadText: the text holds lone surrogates.
    """
    marked = Marked()
    start = 0
    for span in spans:
        end = start + len(span.spoken)
        if span.ipa is None:
            marked.add_text(span.spoken, start)
        else:
            marked.add_phonemes(mnemonics(span.ipa), start, end)
        start = end
    return marked


def _plain(character: str) -> str:
    """Control characters are commands to the library, and surrogates no characters at all."""
    category = unicodedata.category(character)
    if category == "Cs":
        raise BadText(
            f"The text holds half a character (U+{ord(character):04X}).",
            "Surrogates have to come in pairs.",
            "Write the text anew or leave the character out.",
            param="text",
        )
    return " " if category == "Cc" else character
