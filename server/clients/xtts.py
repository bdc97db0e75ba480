"""The dialect of daswer123's XTTS API server, in which SillyTavern's provider XTTS speaks.

What writes on the server's disk or reads folders of it there is left out. A path may end with a
slash or not, as clients differ in it.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from engines.errors import InvalidRequest
from engines.text import language_name
from engines.text.languages import primary
from server.clients.speakers import find
from server.clients.whole import WholeSpeech
from server.clients.xtts_answers import Detail, DetailRoute
from server.clients.xtts_request import (
    client_of,
    settings_of,
    speakers_of,
    text_field,
    to_request,
)
from server.clients.xtts_settings import SettingsShelf, XttsSettings, parse_settings
from server.context import ServerContext, context_of
from server.limits import read_json
from server.streaming import SpeechResponse
from studio.encode import FORMATS
from studio.jobs import Job

WHOLE_CHARS = 50_000  # an hour of speech or so, which lies on the disk until it is sent
WAV = FORMATS["wav"]

router = APIRouter(
    tags=["XTTS"],
    route_class=DetailRoute,
    responses={"default": {"model": Detail, "description": "What went wrong."}},
)
Context = Annotated[ServerContext, Depends(context_of)]


def install(app: FastAPI) -> None:
    """Give `app` the dialect."""
    app.state.xtts_settings = SettingsShelf()
    app.include_router(router)


def _near(request: Request) -> None:
    """For what a mere address in a web page starts, where the browser names no origin: pages of
    the internet must not make us speak."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise HTTPException(
            403, "A page of another host may not ask for this. Use the same host name for both."
        )


class _NearSpeech(SpeechResponse):
    """Sound that a page of the same host may play from another port, as SillyTavern's does."""

    def _start_headers(self, job: Job) -> list[tuple[bytes, bytes]]:
        return [*super()._start_headers(job), (b"cross-origin-resource-policy", b"same-site")]


class SpeakerItem(BaseModel):
    name: str
    voice_id: str
    preview_url: str


class Languages(BaseModel):
    languages: dict[str, str] = Field(description="Codes by English name.")


class Message(BaseModel):
    message: str


@router.get("/speakers/", include_in_schema=False)
@router.get("/speakers", summary="Voices, as SillyTavern lists them")
def listspeakers_of(request: Request, context: Context) -> list[SpeakerItem]:
    base = str(request.base_url)
    return [
        SpeakerItem(
            name=speaker.name,
            voice_id=speaker.key,
            preview_url=f"{base}sample/{quote(speaker.key)}.wav",
        )
        for speaker in speakers_of(request, context)
    ]


@router.get("/speakers_list/", include_in_schema=False)
@router.get("/speakers_list", summary="Names of the voices")
def list_names(request: Request, context: Context) -> list[str]:
    return [speaker.name for speaker in speakers_of(request, context)]


@router.get("/languages/", include_in_schema=False)
@router.get("/languages", summary="Languages that some voice speaks")
def list_languages(request: Request, context: Context) -> Languages:
    found: dict[str, str] = {}
    for speaker in speakers_of(request, context):
        for code in dict.fromkeys(primary(tag) for tag in speaker.voice.languages):
            found.setdefault(language_name(code), code)
    return Languages(languages=dict(sorted(found.items())))


@router.get("/get_tts_settings/", include_in_schema=False)
@router.get("/get_tts_settings", summary="Settings of this client")
def get_settings(request: Request) -> XttsSettings:
    return settings_of(request)


@router.post("/set_tts_settings/", include_in_schema=False)
@router.post(
    "/set_tts_settings",
    summary="Set up this client's speech",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": XttsSettings.model_json_schema()}},
        }
    },
)
async def set_settings(request: Request, context: Context) -> Message:
    """They last until the server ends, for requests from the same address."""
    values = await read_json(request, context.body_limit)
    settings, unused = parse_settings(values, context.studio)
    request.app.state.xtts_settings.keep(client_of(request), settings)
    note = f" No engine here has: {', '.join(unused)}." if unused else ""
    return Message(message=f"Settings successfully applied.{note}")


SYNTHESIS = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {
        "text": {"type": "string", "maxLength": WHOLE_CHARS},
        "speaker_wav": {"type": "string", "description": "a voice of GET /speakers"},
        "language": {"type": "string", "description": "a language of GET /languages"},
    },
}
SOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A wav file.",
        "content": {WAV.mime: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("/tts_to_audio", include_in_schema=False)
@router.post(
    "/tts_to_audio/",
    summary="Speak a text; the wav file is sent once it is complete",
    response_class=Response,
    responses=SOUND,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": SYNTHESIS}}}
    },
)
async def to_audio(request: Request, context: Context) -> Response:
    body = await read_json(request, context.body_limit)
    given = [text_field(body, name) for name in ("text", "speaker_wav", "language")]
    if unknown := body.keys() - SYNTHESIS["properties"].keys():
        raise InvalidRequest(
            f"There is no field {min(unknown)!r:.80}.",
            f"Fields: {', '.join(SYNTHESIS['properties'])}. Nothing is written on the server.",
            "Leave it out.",
            param=min(unknown),
        )
    spoken, notes = to_request(request, context, *given, limit=WHOLE_CHARS)
    return WholeSpeech(context, spoken, WAV, sse=False, notes=notes)


@router.get("/tts_stream/", include_in_schema=False, dependencies=[Depends(_near)])
@router.get(
    "/tts_stream",
    summary="Speak a text; the wav file is sent while it is made",
    response_class=Response,
    responses=SOUND,
    dependencies=[Depends(_near)],
)
def stream(
    request: Request,
    context: Context,
    text: Annotated[str, Query(description="the text to speak")],
    speaker_wav: Annotated[str, Query(description="a voice of GET /speakers")] = "",
    language: Annotated[str, Query(description="a language of GET /languages")] = "",
) -> Response:
    limit = context.settings.max_chars
    spoken, notes = to_request(request, context, text, speaker_wav, language, limit=limit)
    return _NearSpeech(context, spoken, WAV, sse=False, notes=notes)


@router.get(
    "/sample/{file}",
    summary="A voice says its name",
    response_class=Response,
    responses=SOUND,
    dependencies=[Depends(_near)],
)
def sample(file: str, request: Request, context: Context) -> Response:
    voice = file.removesuffix(".wav")
    speaker = find(speakers_of(request, context), voice)
    text = speaker.voice.name if speaker else voice
    spoken, notes = to_request(request, context, text, voice, "", limit=len(text))
    return _NearSpeech(context, spoken, WAV, sse=False, notes=notes)
