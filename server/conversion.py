"""`/v1/audio/conversions`: a recording in another voice."""

from __future__ import annotations

import re
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from engines.api import CancelToken, Reference, SpeechRequest
from engines.errors import InvalidRequest
from server.clients.whole import WholeSpeech
from server.context import ServerContext, context_of
from server.owner import owner_of
from server.speech import SPOKEN
from server.uploads import Form, form
from server.voices_answers import TEXT, form_body
from studio.conversion import MOST_SECONDS, ConversionRequest
from studio.encode import FORMATS, Format, format_named
from studio.jobs import Job
from studio.reference import Limits, decode

SECONDS = 120.0  # that reading a recording may take
FIELDS: dict[str, Any] = {
    "voice": {**TEXT, "description": "id of one of your voices, see GET /v1/voices"},
    "model": {**TEXT, "description": "see GET /v1/audio/converters; the first of them without"},
    "response_format": {**TEXT, "enum": list(FORMATS), "default": "mp3"},
    "device": {**TEXT, "description": "a device such as auto, cpu or cuda:0"},
    "seed": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
}

router = APIRouter(tags=["speech"])


class ConverterItem(BaseModel):
    id: str
    name: str
    engine: str
    sample_rate: int


class ConverterList(BaseModel):
    converters: list[ConverterItem]


@router.get("/v1/audio/converters", summary="Models that change the voice of a recording")
def converters(request: Request) -> ConverterList:
    found = context_of(request).studio.converters()
    return ConverterList(
        converters=[
            ConverterItem(
                id=each.id, name=each.name, engine=each.engine, sample_rate=each.sample_rate
            )
            for each in found
        ]
    )


@router.post(
    "/v1/audio/conversions",
    summary="Say a recording in one of your voices; the sound is sent when it is complete",
    response_class=Response,
    openapi_extra=form_body(FIELDS, ("voice",)),
    responses={
        200: {
            "description": "Sound in the format asked for, marked as synthetic.",
            "content": {fmt.mime: SPOKEN["content"][fmt.mime] for fmt in FORMATS.values()},
            "headers": SPOKEN["headers"],
        }
    },
)
async def convert(request: Request) -> Response:
    context = context_of(request)
    context.raise_if_stopping()
    async with form(request, context.settings, tuple(FIELDS)) as sent:
        fmt = format_named(sent.fields.get("response_format", "mp3"))
        asked = await to_thread.run_sync(_asked, context, sent, owner_of(request))
    return _Converted(context, asked, fmt)


class _Converted(WholeSpeech):
    def __init__(self, context: ServerContext, asked: ConversionRequest, fmt: Format) -> None:
        super().__init__(context, SpeechRequest(asked.name), fmt, sse=False)
        self._asked = asked

    def _plan(self) -> Job:
        return self._context.studio.convert(self._asked)


def _asked(context: ServerContext, sent: Form, owner: str) -> ConversionRequest:
    """
    Raises:
        InvalidRequest: a field is missing or has a value that it cannot have.
        BadReference: the file is no recording, or is too long.
    """
    fields = sent.fields
    if not fields.get("voice"):
        raise InvalidRequest(
            "voice is missing.", "It takes the id of one of your voices.", "Add it.", param="voice"
        )
    limits = Limits(seconds=MOST_SECONDS, bytes=context.settings.max_upload)
    clip = decode(sent.file.read(), limits=limits, cancel=CancelToken(SECONDS))
    return ConversionRequest(
        clip=Reference(clip.samples, clip.sample_rate),
        voice=fields["voice"],
        model=fields.get("model") or None,
        device=fields.get("device") or None,
        seed=_seed(fields.get("seed", "")),
        owner=owner,
        door="http",
    )


def _seed(given: str) -> int | None:
    if not given:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", given):
        raise InvalidRequest(
            f"seed was {given!r:.80}.",
            "It takes a whole number from 0.",
            "Change it.",
            param="seed",
        )
    return int(given)
