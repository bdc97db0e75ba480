"""Captions in SRT and WebVTT from the timing of sentences.

A sentence is cut into units (words, or single signs in scripts without spaces), each unit gets its
time from the words around it, and units are filled into cues of at most two lines.

Widths are columns: a wide East Asian sign takes two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from studio.jobs import SentenceTiming

LINE_WIDTH = 42  # columns
LONGEST_CUE = 7.0  # seconds
PAUSE_BONUS = 10  # columns by which lines may be more uneven to break after a pause
PAUSING = "、。，．！？；：…!?.,;:—–"  # a line or cue ends best after these
QUOTES_AFTER = "\"'”’»›)]}」』）】》〉"  # which may follow them
WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60\U00020000-\U0003ffff"  # Han, kana, their marks
NOT_LAST = "「『（【《〈‘“"  # of a line
NOT_FIRST = "、。，．！？；：」』）】》〉…’”ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
UNIT = re.compile(rf"[{NOT_LAST}]*(?:[^\s{WIDE}]+|[{WIDE}])[{NOT_FIRST}]*")


@dataclass(frozen=True, slots=True)
class _Unit:
    """The smallest piece that stays on one line.

    Attributes:
        gap: the space before it, or nothing.
        start, end: seconds.
        columns: its width without the gap.
        pauses: whether a pause follows it in speech.
    """

    text: str
    gap: str
    start: float
    end: float
    columns: int
    pauses: bool


@dataclass(frozen=True, slots=True)
class _Cue:
    start: int  # milliseconds
    end: int
    lines: tuple[str, ...]


def to_srt(timings: Sequence[SentenceTiming]) -> str:
    """SubRip. It has no way to write "-->" within a text, so an arrow stands for it."""
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        + "\n".join(cue.lines).replace("-->", "→")
        for number, cue in enumerate(_cues(timings), 1)
    ]
    return "\n\n".join(blocks) + "\n"


def to_vtt(timings: Sequence[SentenceTiming]) -> str:
    """WebVTT."""
    blocks = [
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n" + _escaped("\n".join(cue.lines))
        for cue in _cues(timings)
    ]
    return "\n\n".join(["WEBVTT", *blocks]) + "\n"


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cues(timings: Sequence[SentenceTiming]) -> Iterator[_Cue]:
    """Cues in order; none begins before the one before it has ended."""
    free = 0
    for timing in timings:
        units = _units(timing)
        while units:
            count = _fill(units)
            start = max(round(units[0].start * 1000), free)
            free = max(start, round(units[count - 1].end * 1000))
            if free > start:
                end = min(free, start + round(LONGEST_CUE * 1000))
                yield _Cue(start, end, _lines(units[:count]))
            units = units[count:]


def _fill(units: Sequence[_Unit]) -> int:
    """How many units the next cue takes."""
    fits, line, width = 0, 1, 0
    for unit in units:
        wider = width + len(unit.gap) * (width > 0) + unit.columns
        if wider > LINE_WIDTH:
            line, wider = line + 1, unit.columns
        if line > 2 or (fits and unit.end - units[0].start > LONGEST_CUE):
            break
        fits, width = fits + 1, wider
    if fits == len(units):
        return fits
    shortest = fits // 2 + 1
    pausing = [count for count in range(shortest, fits + 1) if units[count - 1].pauses]
    if pausing:
        return pausing[-1]
    # a word or two left over would make a cue that flashes by
    return shortest if len(units) - fits < fits // 4 else fits


def _lines(units: Sequence[_Unit]) -> tuple[str, ...]:
    """Units that two lines hold, on one, or on two about as wide as each other."""
    edges = list(accumulate(unit.columns + len(unit.gap) for unit in units))
    margin = len(units[0].gap)
    if edges[-1] - margin <= LINE_WIDTH:
        return (_joined(units),)
    options = []
    for cut in range(1, len(units)):
        first = edges[cut - 1] - margin
        second = edges[-1] - edges[cut - 1] - len(units[cut].gap)
        if max(first, second) <= LINE_WIDTH:
            options.append((abs(first - second) - PAUSE_BONUS * units[cut - 1].pauses, cut))
    cut = min(options)[1]
    return _joined(units[:cut]), _joined(units[cut:])


def _joined(units: Sequence[_Unit]) -> str:
    return "".join(unit.gap + unit.text for unit in units).strip()


@lru_cache(maxsize=4096)
def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    unseen = ("Mn", "Me", "Cf")
    return sum(
        0
        if unicodedata.category(sign) in unseen
        else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


def _pauses(text: str) -> bool:
    bare = text.rstrip(QUOTES_AFTER)
    return bare != "" and bare[-1] in PAUSING


def _units(timing: SentenceTiming) -> list[_Unit]:
    text = " ".join(timing.text.split())
    pieces = [piece for match in UNIT.finditer(text) for piece in _fitting(text, *match.span())]
    times = np.interp(np.array(pieces).ravel(), *_known_times(text, timing)).tolist()
    return [
        _Unit(
            text[start:end],
            " " if text[start - 1 : start] == " " else "",
            times[2 * number],
            times[2 * number + 1],
            _columns(text[start:end]),
            _pauses(text[start:end]),
        )
        for number, (start, end) in enumerate(pieces)
    ]


def _fitting(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A unit in pieces that fit a line; nearly always the unit itself."""
    if _columns(text[start:end]) <= LINE_WIDTH:
        yield start, end
        return
    width = 0
    for place in range(start, end):
        columns = _columns(text[place])
        if width + columns > LINE_WIDTH:
            yield start, place
            start, width = place, 0
        width += columns
    yield start, end


def _known_times(text: str, timing: SentenceTiming) -> tuple[list[int], list[float]]:
    """Places in the text, rising, and when they are spoken; in between, time runs evenly."""
    places, times = [0], [timing.start]
    for word in timing.words:
        spoken = " ".join(word.text.split())
        place = text.find(spoken, places[-1])
        if place >= 0:
            places += [place, place + len(spoken)]
            times += [max(word.start, times[-1]), max(word.end, word.start, times[-1])]
    places.append(len(text))
    times.append(max(timing.end, times[-1]))
    return places, times
