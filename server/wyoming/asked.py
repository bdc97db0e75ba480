"""What an event asks for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from wyoming.event import Event

from engines.api import SpeechRequest
from engines.errors import UnknownVoice
from server.clients.speakers import find, speakers
from server.wyoming.info import OWNER
from server.wyoming.wire import BadEvent
from studio.offered import offered
from studio.studio import Studio


async def request_of(event: Event, studio: Studio) -> SpeechRequest:
    """The request of an event but for its text.

    Raises:
        BadEvent, UnknownVoice: what was asked for is malformed or not there.
    """
    data = event.data
    if data.get("text_format") not in (None, "text"):
        raise BadEvent(
            f"The text_format was {data['text_format']!r:.80}.",
            "Plain text is spoken, no SSML.",
            "Send it without marks; [pause 0.5s] makes a pause.",
        )
    voice = data.get("voice") or {}
    if not isinstance(voice, dict):
        raise BadEvent(f"The voice was {voice!r:.80}.", 'It takes {"name": "…"}.')
    name, language = (_text_or_none(voice, key) for key in ("name", "language"))
    if _text_or_none(voice, "speaker"):
        raise UnknownVoice(f"The voice {name!r:.80} has no speakers.", "", "Leave the speaker out.")
    language = None if name else language
    request = SpeechRequest(text="", voice=name, language=language, door="wyoming")
    if name is None:
        return request
    known = speakers(await asyncio.to_thread(offered, studio, OWNER))
    speaker = find(known, name)
    if speaker is None:  # one that is not listed, or an error to be told
        return request
    return replace(request, engine=speaker.voice.engine, voice=speaker.voice.id)


def _text_or_none(voice: dict[str, Any], key: str) -> str | None:
    value = voice.get(key)
    if value is not None and not isinstance(value, str):
        raise BadEvent(f"The voice's {key} was {value!r:.80}.", "It takes text.")
    return value or None
