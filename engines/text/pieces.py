"""A sentence that is too long for an engine → pieces of about the same length."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Sequence
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
    cutter = _Cutter(spans)
    cuts = [0]
    while len(cutter.spoken) - cuts[-1] > limit:
        cuts.append(cutter.best_cut(cuts[-1], limit))
    cuts.append(len(cutter.spoken))
    made = [cutter.slice(start, end) for start, end in pairwise(cuts)]
    return [piece for piece in made if piece.spans]


class _Cutter:
    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = spans
        self.spoken = "".join(span.spoken for span in spans)
        self._ends = list(accumulate(len(span.spoken) for span in spans))
        self._source_ends = list(accumulate(len(span.source) for span in spans))

    def best_cut(self, start: int, limit: int) -> int:
        rest = len(self.spoken) - start
        ideal = rest / math.ceil(rest / limit)
        low = start + max(1, int(ideal * 0.5))
        high = min(start + limit, len(self.spoken) - int(ideal * 0.4))
        best, least = 0, math.inf
        for pattern, penalty in _BREAKS:
            # from a little before, as a mark may lie left of the space that ends it
            for match in pattern.finditer(self.spoken, max(start, low - 8), high):
                cut = match.end()
                cost = penalty + abs(cut - start - ideal) / ideal
                if cut >= low and cost < least and self._may_cut(match.start(), cut, limit):
                    best, least = cut, cost
        return best or self._hard_cut(start, start + int(ideal), high)

    def _may_cut(self, mark: int, cut: int, limit: int) -> bool:
        between_digits = (
            self.spoken[mark - 1 : mark].isdigit()
            and self.spoken[cut : cut + 1].isdigit()
            and self.spoken[mark:cut].isspace()
        )
        return self._splittable(cut, limit) and not between_digits

    def _splittable(self, cut: int, limit: float = math.inf) -> bool:
        index = bisect_left(self._ends, cut)
        span = self.spans[index]
        return cut == self._ends[index] or _as_written(span) or len(span.spoken) > limit

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
        first, final = start, end
        while start < end and self.spoken[start].isspace() and self._splittable(start + 1):
            start += 1
        while end > start and self.spoken[end - 1].isspace() and self._splittable(end - 1):
            end -= 1
        taken: list[Span] = []
        offset = 0
        for index, span in enumerate(self.spans):
            right = self._ends[index]
            left = right - len(span.spoken)
            silent = left == right and (first <= left < final or left == len(self.spoken) == final)
            if not silent and (right <= start or left >= end):
                continue
            skipped = max(start - left, 0)
            if not taken:
                offset = self._source_ends[index] - len(span.source)
                offset += min(skipped, len(span.source))
            taken.append(span if silent else _part(span, skipped, min(end, right) - left))
        return Piece(offset, tuple(taken))


def _as_written(span: Span) -> bool:
    return span.ipa is None and span.spoken == span.source


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
