"""A sentence that is too long for an engine → pieces of about the same length."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from engines.api import Span
from engines.text.split import between_letters, letter_boundary

# What a break costs, in shares of the wanted length: a comma far from the middle is better than
# a space in the middle.
_BREAKS = (
    (
        re.compile(r"(?:(?<=[^\W\d_]{4})\.|[!?…؟۔।])[)\]}\"'”’»]*\s+|[。！？]+[」』”’）】]*"),
        0.0,
    ),
    (re.compile(r"[;:؛]\s+|[；：]|\s[–—-]+\s+|—"), 0.15),
    (re.compile(r"[,،]\s+|[，、]"), 0.3),
    (re.compile(r"\s+"), 1.2),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a sentence; `offset` is where its source starts within the sentence's."""

    offset: int
    spans: tuple[Span, ...]


def pieces(spans: Sequence[Span], limit: int) -> list[Piece]:
    """Cut a sentence so that no piece has more than `limit` spoken characters.

    Cuts are made after marks, else at spaces, else between letters; never inside a span that is
    spoken otherwise than written (a number, a word of the lexicon) unless it is longer than
    `limit` itself. White space around the pieces is left out.
    """
    cutter = _Cutter(spans, limit)
    cuts = [0]
    while len(cutter.spoken) - cuts[-1] > limit:
        cuts.append(cutter.best_cut(cuts[-1]))
    cuts.append(len(cutter.spoken))
    made = [cutter.slice(start, end) for start, end in pairwise(cuts)]
    return [piece for piece in made if piece.spans]


class _Cutter:
    def __init__(self, spans: Sequence[Span], limit: int) -> None:
        self._limit = limit
        self._spans = spans
        self.spoken = "".join(span.spoken for span in spans)
        self._ends = list(accumulate(len(span.spoken) for span in spans))
        self._source_ends = list(accumulate(len(span.source) for span in spans))

    def best_cut(self, start: int) -> int:
        rest = len(self.spoken) - start
        ideal = rest / math.ceil(rest / self._limit)
        farthest = min(start + self._limit, len(self.spoken) - 1)
        low = start + max(1, int(ideal * 0.5))
        high = min(farthest, len(self.spoken) - int(ideal * 0.4))
        return (
            self._cut_at_mark(start, low, high, ideal)
            or self._cut_at_mark(start, start + 1, farthest, ideal)
            or self._hard_cut(start, start + int(ideal), high)
        )

    def _cut_at_mark(self, start: int, low: int, high: int, ideal: float) -> int:
        """The cut after a mark or a space that costs least; 0 where there is none."""
        best, least = 0, math.inf
        for pattern, penalty in _BREAKS:
            # from a little before, as a mark may lie left of the space that ends it
            for match in pattern.finditer(self.spoken, max(start, low - 8), high):
                cut = match.end()
                cost = penalty + abs(cut - start - ideal) / ideal
                if cut >= low and cost < least and self._may_cut(match.start(), cut):
                    best, least = cut, cost
        return best

    def _may_cut(self, mark: int, cut: int) -> bool:
        between_digits = (
            self.spoken[mark - 1 : mark].isdigit()
            and self.spoken[cut : cut + 1].isdigit()
            and self.spoken[mark:cut].isspace()
        )
        return self._splittable(cut, long_spans=True) and not between_digits

    def _splittable(self, cut: int, *, long_spans: bool = False) -> bool:
        """Whether a cut falls between spans, into one that is spoken as it is written or, where
        wanted, into one longer than the limit."""
        index = bisect_left(self._ends, cut)
        span = self._spans[index]
        if cut == self._ends[index] or _as_written(span):
            return True
        return long_spans and len(span.spoken) > self._limit

    def _hard_cut(self, start: int, ideal: int, high: int) -> int:
        """Between two letters; outside of spans that are one thing, where that is possible."""
        downwards = range(ideal, (start + ideal) // 2, -1)
        for cut in (*downwards, *range(ideal + 1, high + 1)):
            inside_number = self.spoken[cut - 1 : cut + 1].isdigit()
            if self._splittable(cut) and between_letters(self.spoken, cut) and not inside_number:
                return cut
        return letter_boundary(self.spoken, high, start)

    def slice(self, start: int, end: int) -> Piece:
        """The spans between two offsets of the spoken text, without white space around them."""
        taken: list[Span] = []
        offset = 0
        for index, span in enumerate(self._spans):
            right = self._ends[index]
            left = right - len(span.spoken)
            silent = left == right and (start <= left < end or left == len(self.spoken) == end)
            if not silent and (right <= start or left >= end):
                continue
            part = span if silent else _part(span, max(start - left, 0), min(end, right) - left)
            if not taken:
                offset = self._source_ends[index] - len(span.source)
                if left < start:
                    offset += start - left if _as_written(span) else len(span.source)
            taken.append(part)
        before = _source_length(taken)
        _strip(taken, 0, str.lstrip)
        offset += before - _source_length(taken)
        _strip(taken, -1, str.rstrip)
        return Piece(offset, tuple(taken))


def _source_length(spans: Sequence[Span]) -> int:
    return sum(len(span.source) for span in spans)


def _as_written(span: Span) -> bool:
    return span.ipa is None and span.spoken == span.source


def _strip(spans: list[Span], edge: int, strip: Callable[[str], str]) -> None:
    """Take white space off the first (0) or last (-1) of the spans, and whole spans of it."""
    while spans:
        span = spans[edge]
        if not (_as_written(span) or span.source.isspace()):
            spans[edge] = replace(span, spoken=strip(span.spoken))
            return
        text = strip(span.source)
        if text:
            spans[edge] = Span(text, text)
            return
        del spans[edge]


def _part(span: Span, left: int, right: int) -> Span:
    if (left, right) == (0, len(span.spoken)):
        return span
    if _as_written(span):
        return Span(span.source[left:right], span.source[left:right])
    # only a span longer than the limit is cut: what is written goes with its first part
    return replace(
        span,
        source=span.source if left == 0 else "",
        spoken=span.spoken[left:right],
        ipa=span.ipa if left == 0 else None,
    )
