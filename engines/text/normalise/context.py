"""What the readers share: the form of their answers, and a look at the word before."""

from __future__ import annotations

import re

# where the text that was read ends, and what is said for it
Reading = tuple[int, str]

_WORD = re.compile(r"([^\W\d_]+)\.?[\s(\"'“„«]*\Z")


def word_before(text: str, position: int) -> str:
    """The word before a position, with no number or mark between; "" where there is none."""
    match = _WORD.search(text[max(0, position - 40) : position])
    return match[1] if match else ""
