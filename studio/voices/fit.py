"""Which clip of a voice suits a text, by what is written down of both."""

from __future__ import annotations

from collections.abc import Sequence

from engines.text.languages import primary
from studio.voices.fields import fold
from studio.voices.records import VoiceClip

QUESTION = "?？؟՞፧"
EXCLAMATION = "!！¡"
CLOSING = "\"'”’»«)]}）」』 "
BEST_SECONDS = (3.0, 12.0)  # what cloning engines like best

# shares of the score, which add up to 1
LANGUAGE, KIND, LENGTH, SOUNDS, DURATION = 0.3, 0.2, 0.15, 0.25, 0.1


def best_for_text(clips: Sequence[VoiceClip], text: str, language: str = "") -> VoiceClip:
    """The clip whose transcript is most like the text; of equal ones the first.

    Measured are: the same language; the same kind of sentence (question, exclamation, statement),
    since a reference lends its melody; a like number of characters; how many of the text's pairs of
    letters occur in the transcript, which stand for its sounds; and a length of 3 to 12 s. The
    meaning is not looked at, nor is the sound.

    Args:
        clips: at least one.
        language: BCP 47 of the text; "" where unknown.
    """
    wanted = _Text(text)
    return max(clips, key=lambda clip: _score(clip, wanted, language))


class _Text:
    def __init__(self, text: str) -> None:
        self.kind = _kind(text)
        letters = "".join(c for c in fold(text) if c.isalnum() or c == " ")
        self.length = len(letters)
        self.pairs = {letters[at : at + 2] for at in range(len(letters) - 1)}


def _score(clip: VoiceClip, wanted: _Text, language: str) -> float:
    shortest, longest = BEST_SECONDS
    seconds = clip.seconds
    score = DURATION * min(1.0, seconds / shortest, longest / seconds)
    if language and clip.language and primary(language) == primary(clip.language):
        score += LANGUAGE
    if not clip.transcript:
        return score
    said = _Text(clip.transcript)
    score += KIND * (said.kind == wanted.kind)
    if wanted.length and said.length:
        score += LENGTH * min(wanted.length / said.length, said.length / wanted.length)
    if wanted.pairs:
        score += SOUNDS * len(wanted.pairs & said.pairs) / len(wanted.pairs)
    return score


def _kind(text: str) -> str:
    last = text.rstrip(CLOSING)[-1:]
    if last and last in QUESTION:
        return "question"
    return "exclamation" if last and last in EXCLAMATION else "statement"
