"""A text of any length → sentences, a window at a time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from engines.text.languages import primary
from engines.text.normalise.words import Words, words_of

WINDOW = 2048  # characters looked at in one step, so that the first sentence comes at once
_WRAPPED = range(50, 121)  # columns of the lines of a text that was wrapped by hand
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_VISIBLE = re.compile(r"\S")
_BULLET = re.compile(r"\s*(?:[-*+•‣◦▪●–—]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s")
_LIST_NUMBER = re.compile(r"\s*\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]\s*")
_CLOSING = re.compile(r"[)\]}\"'”’»«›‹」』】）〉》〕］｝]+(?=\s|\Z)")
_MISSED_ENDS = re.compile(
    r"(?:[།༎៕។᠃᠉።፧۔։][)\]”’»]*\s*)|(?<![^\W\d_])(?P<word>[^\W\d_]+)[.!?](?P<closers>[)\]]*)\s+"
)
_APOSTROPHE = re.compile(r"(?<=\w)'")
_INCHES = re.compile(r"(\d)\"")
_OPENERS = "([{\"'“„«"
_NUMERAL = re.compile(r"\s*\(?(?:\d|[IVXLC]{2,}\b|[VXLC]\b)")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,3}\.){2,}")
_CUTS = (re.compile(r"[;:,—–、，；：،؛]\s+|[、，；：。！？]|\s[—–]\s"), re.compile(r"\s+"))


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as a range of the text.

    Attributes:
        start, end: offsets in the text, without the white space around it.
        newlines: line ends between it and what follows; two make a paragraph.
        whole: False where a window ended before the sentence did.
        last: nothing follows in the range that was split.
    """

    start: int
    end: int
    newlines: int
    whole: bool
    last: bool


def sentences(
    text: str, start: int, end: int, language: str, window: int = WINDOW
) -> Iterator[Sentence]:
    """Split a range of a text into sentences, lazily and in linear time.

    A blank line ends a sentence, and so does a line end, unless the line was wrapped by hand.

    Args:
        window: characters looked at in one step; a sentence longer than that is yielded in parts.
    """
    position = _skip_space(text, start, end)
    while position < end:
        blank = _BLANK_LINE.search(text, position, min(end, position + window))
        stop = blank.start() if blank else min(end, position + window)
        open_ended = blank is None and stop < end
        for first, final, whole in _whole_sentences(text, position, stop, language, open_ended):
            position = _skip_space(text, final, end)
            final = first + len(text[first:final].rstrip())
            newlines = text.count("\n", final, position)
            yield Sentence(first, final, newlines, whole, position >= end)


def _whole_sentences(
    text: str, start: int, stop: int, language: str, open_ended: bool
) -> Iterator[tuple[int, int, bool]]:
    """Start, end and wholeness of the sentences of a window. The last one is left to the next
    window where it may go on there, and cut where it is the only one."""
    held: tuple[int, int] | None = None
    alone = True
    for found in _window_sentences(text, start, stop, language):
        if held:
            alone = False
            yield *held, True
        held = found
    if held and not open_ended:
        yield *held, True
    elif held and alone:
        yield start, _cut_near_the_end(text, start, stop), False


def _skip_space(text: str, start: int, end: int) -> int:
    match = _VISIBLE.search(text, start, end)
    return match.start() if match else end


def _window_sentences(text: str, start: int, stop: int, language: str) -> Iterator[tuple[int, int]]:
    """Ranges of the sentences between two offsets; each starts with a visible character."""
    for first, final in _logical_lines(text, start, stop):
        for left, right in _library_sentences(text, first, final, language):
            visible = _skip_space(text, left, right)
            if visible < right:
                yield visible, right


def _logical_lines(text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Ranges of lines, those that were wrapped by hand joined."""
    lines = text[start:stop].split("\n")
    if len(lines) == 1:
        return [(start, stop)]
    widths = [_columns(line) for line in lines]
    widest = max(widths)
    wrapped = len(lines) > 2 and widest in _WRAPPED
    groups = []
    first = position = start
    for number, line in enumerate(lines[:-1]):
        position += len(line) + 1
        following = lines[number + 1]
        head = following.lstrip()
        word = _columns(head.partition(" ")[0])
        full = wrapped and widths[number] >= _WRAPPED.start and widths[number] + word >= widest
        soft = head[:1].islower() or full
        if not soft or _BULLET.match(following):
            groups.append((first, position))
            first = position
    groups.append((first, stop))
    return groups


def _columns(line: str) -> int:
    line = line.strip()
    if line.isascii():
        return len(line)
    return len(line) + sum(unicodedata.east_asian_width(sign) in "WF" for sign in line)


def _library_sentences(
    text: str, start: int, stop: int, language: str
) -> Iterator[tuple[int, int]]:
    """The library's sentences, put right where it splits too often or too seldom."""
    import sentencex

    code = primary(language)
    words = words_of(language)
    line = _for_the_library(text[start:stop])
    begin = position = 0
    for segment in sentencex.segment(code, line):
        for part in _split_at_missed_ends(segment, words):
            closing = _CLOSING.match(part)
            if closing and position and not line[position - 1].isspace():
                position += closing.end()
                part = part[closing.end() :]
            before = line[max(begin, position - 60) : position]
            if part and before and not _goes_on(before, part, words):
                yield start + begin, start + position
                begin = position
            position += len(part)
    if begin < position:
        yield start + begin, start + position


def _for_the_library(text: str) -> str:
    """The text with other signs where the library would see quotes that are none; as long as
    before."""
    text = _APOSTROPHE.sub("’", text.replace("\n", " "))
    return _INCHES.sub(_without_quote, text)


def _without_quote(match: re.Match[str]) -> str:
    """A number without the sign for inches, which the library takes for an opening quote."""
    quoted = match.string.count('"', 0, match.start()) % 2
    return match[0] if quoted else f"{match[1]} "


def _split_at_missed_ends(segment: str, words: Words) -> Iterator[str]:
    """A sentence of the library's in parts, where it overlooked an end: marks of other scripts, a
    bracket that closes after the full stop, a word such as "no." that is no abbreviation here."""
    position = 0
    for match in _MISSED_ENDS.finditer(segment):
        word = match["word"]
        following = segment[match.end() : match.end() + 1]
        missed = word is None or (
            following.isupper()
            and (word + "." in words.ordinary_words or match["closers"])
            and not _NUMERAL.match(segment, match.end())
        )
        if missed:
            yield segment[position : match.end()]
            position = match.end()
    if position < len(segment):
        yield segment[position:]


def _goes_on(sentence: str, following: str, words: Words) -> bool:
    """Whether a break that the library made is none."""
    if _LIST_NUMBER.fullmatch(sentence):
        return True
    bare = sentence.rstrip()
    head = following.lstrip()[:1]
    if head in (",", ";"):
        return True
    if not bare.endswith("."):
        return False
    *before, token = bare.split()[-2:]
    token = token.lstrip(_OPENERS)
    if token in words.before_number:
        return bool(_NUMERAL.match(following))
    if token in words.abbreviations or token in words.more_abbreviations:
        return token not in words.final_abbreviations or head.islower()
    if len(token) == 2 and token[0].isalpha():
        return head.islower() or (token[0].isupper() and token != words.lone_word)
    if token[:-1].isdecimal() and len(token) <= 3 and before:
        return before[0].lower() in words.ordinal_cues
    return bool(_DOTTED.fullmatch(token)) and (head.islower() or head.isdigit())


def _cut_near_the_end(text: str, start: int, stop: int) -> int:
    """Where to end a part of a sentence that is longer than the window: after the last clause mark
    of its second half, else after the last space there, else anywhere that splits no letter."""
    middle = (start + stop) // 2
    for pattern in _CUTS:
        ends = [match.end() for match in pattern.finditer(text, middle, stop)]
        if ends:
            return ends[-1]
    return letter_boundary(text, stop, middle)


def letter_boundary(text: str, position: int, lowest: int) -> int:
    """The last offset up to `position` that does not split what a reader sees as one letter;
    `position` itself where there is none above `lowest`."""
    for offset in range(position, lowest, -1):
        if between_letters(text, offset):
            return offset
    return position


def between_letters(text: str, offset: int) -> bool:
    """False where a cut would part an accent from its letter, or letters that join into one."""
    if not 0 < offset < len(text):
        return True
    before, after = text[offset - 1], text[offset]
    if unicodedata.category(after)[0] == "M" or after in "\u200c\u200d" or before == "\u200d":
        return False
    tied = unicodedata.combining(before) == 9 and after.isalpha()  # a virama ties two consonants
    jamo = "\u1160" <= after <= "\u11ff" and "\u1100" <= before <= "\u11ff"
    return not tied and not jamo
