"""The front end that every engine goes through: text → utterances, one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engines.api import Capability, Span, Utterance
from engines.text import pauses
from engines.text.clean import speakable
from engines.text.lexicon import Lexicon, Matcher
from engines.text.normalise import normalise
from engines.text.pieces import pieces
from engines.text.split import WINDOW, Sentence, sentences

# what marks a line as an item, a heading or a quotation in plain text is not read out
_LINE_MARK = re.compile(r"(?:[-*+•‣◦▪●–—>]|#{1,6})\s+(?=\S)")
_DEEPEST_INDENT = 80  # columns


def utterances(
    text: str, language: str, *, lexicon: Lexicon, capability: Capability
) -> Iterator[Utterance]:
    """Split a text into what an engine speaks at a time; the first one comes at once, whatever
    the length of the text.

    Every character of the text is in the source of one utterance, in order, except white space
    between utterances and pause marks. Utterances are numbered from 0, pieces of an over-long
    sentence each on their own. Two kinds of utterance have nothing for an engine to speak, so that
    only their pause is delivered: one without spans (a pause before any text), and one whose
    `spoken` is empty ("* * *" between two scenes).

    An explicit pause replaces the one that punctuation asks for; pauses in a row add up. The last
    utterance has no pause after it unless the text asks for one.

    Args:
        text: as `clean` returns it.
        language: BCP 47; numbers are put into words in the languages that `normalise` covers.
        capability: of the engine that will speak: the longest sentence it takes, and whether it
            takes IPA.

    Raises:
        BadText: a malformed pause mark, when it is reached.
        BadLexicon, StorageError: a file of the lexicon is broken, before the first utterance.
    """
    yield from _FrontEnd(text, language, lexicon.matcher(language), capability).run()


class _FrontEnd:
    """One text on its way through the stages."""

    def __init__(self, text: str, language: str, matcher: Matcher, capability: Capability) -> None:
        self._text = text
        self._end = len(text.rstrip())
        self._language = language
        self._matcher = matcher
        self._capability = capability
        self._window = max(WINDOW, 2 * capability.max_chars)
        self._made = 0

    def run(self) -> Iterator[Utterance]:
        position = 0
        joined = False
        while position < self._end:
            mark = pauses.next_mark(self._text, position)
            stop = mark.start if mark else self._end
            after, pause = self._pause_run(mark) if mark else (self._end, None)
            spoken = False
            for sentence in sentences(self._text, position, stop, self._language, self._window):
                spoken = True
                rest = pause if sentence.last and pause is not None else self._rest(sentence)
                yield from self._sentence(sentence, rest, joined)
                joined = not self._closes(sentence)
            if mark and pause is not None and not spoken:
                yield self._utterance((), mark.start, pause)
            position = after

    def _pause_run(self, first: pauses.PauseMark) -> tuple[int, float]:
        """Where pause marks in a row end, and what they add up to."""
        total, end = first.seconds, first.end
        while following := pauses.mark_in_a_row(self._text, end):
            total, end = total + following.seconds, following.end
        return end, total

    def _rest(self, sentence: Sentence) -> float:
        """Seconds of silence that punctuation and layout ask for after a sentence."""
        if sentence.end >= self._end:
            return 0.0
        written = pauses.by_punctuation(self._text[sentence.start : sentence.end])
        if not sentence.whole:
            return written
        least = pauses.PARAGRAPH if sentence.newlines > 1 else pauses.SENTENCE
        return max(written, least)

    def _closes(self, sentence: Sentence) -> bool:
        written = self._text[sentence.start : sentence.end]
        return sentence.newlines > 0 or pauses.by_punctuation(written) >= pauses.SENTENCE

    def _sentence(self, sentence: Sentence, rest: float, joined: bool) -> Iterator[Utterance]:
        spans = self._read(sentence)
        if not speakable("".join(span.spoken for span in spans)):
            silent = Span(self._text[sentence.start : sentence.end], "")
            yield self._utterance((silent,), sentence.start, rest, joined)
            return
        parts = pieces(spans, self._capability.max_chars)
        for number, part in enumerate(parts):
            start = sentence.start + part.offset
            last = number == len(parts) - 1
            pause = rest if last else pauses.by_punctuation(part.spans[-1].spoken)
            yield self._utterance(part.spans, start, pause, joined or number > 0)

    def _utterance(
        self, spans: tuple[Span, ...], start: int, pause: float, joined: bool = False
    ) -> Utterance:
        index = self._made
        self._made += 1
        return Utterance(spans, self._language, pause, index, start, joined)

    def _read(self, sentence: Sentence) -> list[Span]:
        """The sentence as it is spoken: the lexicon first, then numbers and the like."""
        written = self._text[sentence.start : sentence.end]
        spans: list[Span] = []
        position = 0
        indent = self._text[max(0, sentence.start - _DEEPEST_INDENT) : sentence.start]
        mark = _LINE_MARK.match(written)
        if mark and (not indent.strip() or indent.rstrip(" ").endswith("\n")):
            spans.append(Span(mark[0], ""))
            position = mark.end()
        for start, end, entry in self._matcher.find(written):
            takes_ipa = self._capability.phonemes == "ipa"
            if start < position or (entry.ipa and not takes_ipa):
                continue
            spans.extend(normalise(written, self._language, position, start))
            word = written[start:end]
            spans.append(Span(word, entry.respelling or word, entry.ipa or None))
            position = end
        spans.extend(normalise(written, self._language, position))
        return spans
