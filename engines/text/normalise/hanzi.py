"""Chinese and Japanese, through wetext's grammars, which come inside its wheel."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wetext import Normalizer

# What wetext is given at a time: a number and its neighbours up to the next mark or space. It takes
# time in proportion to its input, and would escape quotes and backslashes.
_STRETCH = re.compile("[^\\s。！？；、，…“”‘’「」『』（）()《》〈〉【】\\[\\]\"'\\\\!?;|{}<>]+")
_NUMBER = re.compile(r"\d[\d.,:/~～〜–%％-]*")
_LONG_NUMBER = re.compile(r"\d{21,}")  # more digits than a number that has a name
_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")
_LONGEST = 80  # characters that wetext is given, which takes it about 40 ms
_BEFORE, _AFTER = 4, 6  # neighbours that may tell what a number means: 第3章, 14点30分, 60km/h
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_HALF_WIDTH = str.maketrans("０１２３４５６７８９％．，－＋／：", "0123456789%.,-+/:")
_lock = threading.Lock()


def readings(text: str, language: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Start, end and words of every number with what belongs to it.

    Args:
        language: "zh" or "ja".
    """
    for stretch in _STRETCH.finditer(text, start, end):
        position = stretch.start()
        for number in _LONG_NUMBER.finditer(text, position, stretch.end()):
            yield from _short(text, language, position, number.start())
            yield number.start(), number.end(), _digits(number[0])
            position = number.end()
        yield from _short(text, language, position, stretch.end())


def _short(text: str, language: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    for left, right in _neighbourhoods(text, start, end):
        written = text[left:right]
        if right - left > _LONGEST:  # nothing that has a name
            yield left, right, _digits(written)
            continue
        said = _ask(language, _GROUPED.sub("", written.translate(_HALF_WIDTH)))
        if said and said != written:
            head = _common(written, said)
            tail = _common(written[head:][::-1], said[head:][::-1])
            if head + tail < len(written):
                yield left + head, right - tail, said[head : len(said) - tail]


def _digits(text: str) -> str:
    return "".join(str(int(sign)) if sign.isdecimal() else sign for sign in text).translate(_DIGITS)


def _neighbourhoods(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Ranges around the numbers between two offsets; those that touch are one."""
    found: list[tuple[int, int]] = []
    for match in _NUMBER.finditer(text, start, end):
        left, right = max(start, match.start() - _BEFORE), min(end, match.end() + _AFTER)
        if found and left <= found[-1][1]:
            left = found.pop()[0]
        found.append((left, right))
    return found


def _common(first: str, second: str) -> int:
    """Length of the common start of two texts."""
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length


def _ask(language: str, written: str) -> str:
    with _lock:
        return _normalizer(language).normalize(written)


@lru_cache(maxsize=2)
def _normalizer(language: str) -> Normalizer:
    from wetext import Normalizer

    return Normalizer(lang=language, operator="tn")
