"""Voices under names that are unique, for clients that know no engines.

Such clients keep a voice by its name alone, while an id of ours is unique within its engine only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engines.api import Voice
from engines.text.languages import primary


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice as such a client sees it.

    Attributes:
        key: its id; `engine:id` where several engines have that id.
        name: for people; as unique as the key.
    """

    key: str
    name: str
    voice: Voice

    def language_for(self, asked: str) -> str | None:
        """The tag to ask the voice for, where it speaks the language: its own variety of it, or
        `asked` where it speaks any. None where it does not speak it."""
        tags = self.voice.languages
        if not tags or asked.lower() in (tag.lower() for tag in tags):
            return asked
        return next((tag for tag in tags if primary(tag) == primary(asked)), None)


def speakers(voices: Sequence[Voice]) -> tuple[Speaker, ...]:
    """The voices in their order, each under a key and a name of its own."""
    ids = Counter(voice.id for voice in voices)
    keys = [voice.id if ids[voice.id] == 1 else f"{voice.engine}:{voice.id}" for voice in voices]
    names = Counter(voice.name for voice in voices)
    return tuple(
        Speaker(key, voice.name if names[voice.name] == 1 else f"{voice.name} [{key}]", voice)
        for key, voice in zip(keys, voices, strict=True)
    )


def find(known: Sequence[Speaker], asked: str) -> Speaker | None:
    """The speaker of that key or name; some clients add the ending of a sound file to it."""
    for wanted in (asked, asked.removesuffix(".wav")):
        for speaker in known:
            if wanted in (speaker.key, speaker.name):
                return speaker
    return None
