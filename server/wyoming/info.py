"""What a client is told that there is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wyoming.info import Attribution, Info, TtsProgram, TtsVoice

from engines.api import Voice
from engines.text.languages import canonical, primary
from server.clients.speakers import Speaker, speakers
from studio.offered import offered
from studio.studio import Studio

NAME = "Vivavoce"
OWNER = ""  # the protocol tells nobody apart: what it may use is the machine's, no user's
_REGION = re.compile(r"[A-Z]{2}|\d{3}")


def describe(studio: Studio) -> Info:
    """Every voice of every engine in one program: Home Assistant looks at the first alone."""
    titles = {capability.name: capability for capability in studio.capabilities()}
    known = speakers(offered(studio, OWNER))
    spoken = _all_languages(known)
    voices = [
        TtsVoice(
            name=speaker.key,
            description=speaker.name,
            languages=_languages(speaker.voice) or spoken,
            attribution=Attribution(
                f"{titles[speaker.voice.engine].title}, {titles[speaker.voice.engine].licence}", ""
            ),
            installed=True,
            version=None,
        )
        for speaker in known
    ]
    program = TtsProgram(
        name=NAME,
        description="Text to speech on your own machine",
        attribution=Attribution(NAME, ""),
        installed=True,
        version=None,
        voices=voices,
        supports_synthesize_streaming=True,
    )
    return Info(tts=[program])


def _languages(voice: Voice) -> list[str]:
    """A voice's languages as Home Assistant knows them: the language, and its region where there
    is one; no finer varieties."""
    tags = []
    for tag in voice.languages:
        region = next(
            (part for part in canonical(tag).split("-")[1:] if _REGION.fullmatch(part)), ""
        )
        tags.append(f"{primary(tag)}-{region}" if region else primary(tag))
    return list(dict.fromkeys(tags))


def _all_languages(known: Sequence[Speaker]) -> list[str]:
    """For voices that speak any language."""
    return sorted({primary(tag) for speaker in known for tag in speaker.voice.languages}) or ["en"]
