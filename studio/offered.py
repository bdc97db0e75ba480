"""The voices that somebody may ask for, wherever they come from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engines.api import Voice
from engines.errors import StorageError
from studio.presets import STARTER

if TYPE_CHECKING:
    from studio.studio import Studio

log = logging.getLogger("vivavoce.studio")

LISTED = 1000  # of an owner's stored voices; more can be spoken with, by their id


def offered(studio: Studio, owner: str, engine: str | None = None) -> tuple[Voice, ...]:
    """Ready-made voices, then the owner's stored ones where an engine can speak with them, then
    every engine's own.

    Args:
        engine: only voices of this engine.

    Raises:
        UnknownEngine: there is no such engine.
    """
    voices = studio.voices(engine)
    ready_made = sum(STARTER in voice.tags for voice in voices)
    stored = tuple(_stored(studio, owner, engine))
    return (*voices[:ready_made], *stored, *voices[ready_made:])


def _stored(studio: Studio, owner: str, engine: str | None) -> Iterator[Voice]:
    names = [one.name for one in studio.cloners() if engine in (None, one.name)]
    if not names:
        return
    try:
        page = studio.voices_library.list(owner, limit=LISTED)
    except StorageError as error:  # all other voices can still speak
        log.warning("stored voices are left out: %s", error)
        return
    for voice in page.voices:
        languages = (voice.language,) if voice.language else ()
        yield Voice(voice.id, voice.name, names[0], languages, "", ("cloned",), voice.id)


def speaks(voice: Voice, language: str) -> bool:
    """Whether a voice speaks a language as asked for: `en` finds en-US, `en-US` no en-GB."""
    asked = language.lower().replace("_", "-")
    tags = [tag.lower() for tag in voice.languages]
    return not tags or any(tag == asked or tag.startswith(asked + "-") for tag in tags)
