"""A text that is still being written, by a language model for instance."""

from __future__ import annotations

from engines.text.split import sentences


class IncomingText:
    """Parts of a text come in, whole sentences go out.

    Args:
        language: BCP 47.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._text = ""

    def add(self, part: str) -> None:
        self._text += part

    def take_sentences(self) -> str:
        """The sentences that are complete, once: all but the last, since what follows decides
        whether it goes on ("3." may become "3.50"); "" where there are none."""
        found = list(sentences(self._text, 0, len(self._text), self._language))
        return self._take(found[-1].start) if len(found) > 1 else ""

    def take_rest(self) -> str:
        """What is left at the end of the text."""
        return self._take(len(self._text))

    def _take(self, size: int) -> str:
        taken, self._text = self._text[:size], self._text[size:]
        return taken
