"""From words as they were spoken to words as they were written."""

from __future__ import annotations

from collections.abc import Iterable

from engines.api import Utterance, WordTime


def source_words(utterance: Utterance, words: Iterable[WordTime]) -> list[tuple[str, float, float]]:
    """Words as the user wrote them: text, start and end in seconds of the utterance.

    A span that is spoken in other words than it was written in counts as one word, however many
    words were spoken for it.
    """
    found: list[tuple[int, int, float, float]] = []  # from and to character of source, times
    for word in sorted(words, key=lambda word: word.start):
        first, last = _source_range(utterance, word.position, word.position + word.length)
        if first == last:
            continue
        if found and first < found[-1][1] and last > found[-1][0]:
            before = found.pop()
            first, last = min(first, before[0]), max(last, before[1])
            found.append((first, last, before[2], max(word.end, before[3])))
        else:
            found.append((first, last, word.start, word.end))
    source = utterance.source
    return [(source[first:last].strip(), start, end) for first, last, start, end in found]


def _source_range(utterance: Utterance, start: int, end: int) -> tuple[int, int]:
    """Characters of `source` that stand for characters of `spoken`; an empty range for none."""
    ranges: list[tuple[int, int]] = []
    written = said = 0
    for span in utterance.spans:
        low, high = max(start - said, 0), min(end - said, len(span.spoken))
        if low < high:
            if span.source == span.spoken:
                ranges.append((written + low, written + high))
            elif span.source.strip():
                ranges.append((written, written + len(span.source)))
        written += len(span.source)
        said += len(span.spoken)
    return (ranges[0][0], ranges[-1][1]) if ranges else (0, 0)
