"""Text to speak: plain English prose of any length, the same every time."""

from __future__ import annotations

import itertools

SENTENCES = (
    "The harbour was quiet when the first boats came home.",
    "A woman in a yellow coat counted the crates and wrote the numbers down.",
    "Nobody had expected so much fish so early in the year.",
    "By nine o'clock the market stood open, and the gulls had taken their places on the roof.",
    "Two boys argued about the price of a knife, then bought it together.",
    "The old clock over the gate was slow, as it had always been.",
    "When the rain began, the traders pulled their cloths across the stalls and went on talking.",
    "It would be a good summer, they said, if the wind kept to the west.",
)
SENTENCES_A_PARAGRAPH = 5


def prose(words: int) -> str:
    """Paragraphs of whole sentences with about as many words."""
    paragraphs: list[str] = []
    sentences: list[str] = []
    count = 0
    for sentence in itertools.cycle(SENTENCES):
        sentences.append(sentence)
        count += len(sentence.split())
        if len(sentences) == SENTENCES_A_PARAGRAPH or count >= words:
            paragraphs.append(" ".join(sentences))
            sentences = []
        if count >= words:
            return "\n\n".join(paragraphs)
    raise AssertionError("cycle() does not end")
