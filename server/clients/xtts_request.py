"""From what a client of the XTTS dialect sends to what the studio takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request

from engines import registry
from engines.api import SpeechRequest
from engines.errors import InvalidRequest, UnknownLanguage
from engines.text.languages import primary
from server.clients.speakers import Speaker, find, speakers
from server.clients.xtts_settings import XttsSettings
from server.context import ServerContext
from server.errors import RequestTooLarge
from server.owner import owner_of
from studio.offered import offered


def speakers_of(request: Request, context: ServerContext) -> tuple[Speaker, ...]:
    return speakers(offered(context.studio, owner_of(request)))


def settings_of(request: Request) -> XttsSettings:
    settings: XttsSettings = request.app.state.xtts_settings.of(client_of(request))
    return settings


def client_of(request: Request) -> str:
    """Whose settings these are; behind a proxy all of an owner's clients are one."""
    return f"{owner_of(request)} {request.client.host if request.client else ''}"


def text_field(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None and name != "text":
        return ""
    if not isinstance(value, str):
        given = f"{name} was {value!r:.80}." if name in body else f"{name} is missing."
        raise InvalidRequest(given, "It takes text.", "Send it as a string.", param=name)
    return value


def to_request(
    request: Request,
    context: ServerContext,
    text: str,
    voice: str,
    language: str,
    *,
    limit: int,
) -> tuple[SpeechRequest, tuple[str, ...]]:
    """What the studio is to do, and what the client should know about it.

    These clients send one language with every voice, so a voice that does not speak it speaks its
    own, and a note says so.

    Raises:
        RequestTooLarge: the text is longer than `limit`.
        UnknownLanguage: no voice here speaks the language.
    """
    if len(text) > limit:
        raise RequestTooLarge(
            f"The text has {len(text):,} characters.",
            f"One request takes at most {limit:,} here.",
            "Send it in parts, or use POST /v1/audio/speech.",
            param="text",
        )
    known = speakers_of(request, context)
    _check_language(known, language)
    speaker = _speaker(known, context, voice)
    engine = speaker.voice.engine if speaker else registry.DEFAULT_ENGINE
    controls = settings_of(request).controls(context.studio, engine)
    whose = {"owner": owner_of(request), "door": "http"}
    if speaker is None:  # the studio's own choice, a voice that is not listed, or one unknown
        given = {"voice": voice} if voice else {"language": language or None}
        return SpeechRequest(text=text, controls=controls, **given, **whose), ()
    tag = speaker.language_for(language) if language else None
    notes = ()
    if language and tag is None:
        own = speaker.voice.languages[0]
        notes = (f"{speaker.name} does not speak {language}, so it spoke {own}.",)
    return SpeechRequest(
        text=text,
        engine=engine,
        voice=speaker.voice.id,
        language=tag,
        controls=controls,
        **whose,
    ), notes


def _speaker(known: Sequence[Speaker], context: ServerContext, voice: str) -> Speaker | None:
    """The voice asked for; OpenAI's names are known too."""
    if not voice:
        return None
    starter = context.studio.presets.starter_voice(voice, None)
    return find(known, voice) or (find(known, starter.id) if starter else None)


def _check_language(known: Sequence[Speaker], language: str) -> None:
    if language and not any(speaker.language_for(language) for speaker in known):
        codes = sorted({primary(tag) for speaker in known for tag in speaker.voice.languages})
        raise UnknownLanguage(
            f"No voice speaks the language {language!r:.40}.",
            f"Languages here: {', '.join(codes)}.",
            "Pick one of them.",
            param="language",
        )
