"""`POST /v1/audio/speech`, as OpenAI's clients speak it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from engines.api import SpeechRequest
from engines.errors import BadControl
from server.catalogue import OPENAI_MODELS
from server.context import context_of
from server.errors import RequestTooLarge, UnknownField
from server.limits import read_json
from server.owner import owner_of
from server.schemas import SpeechBody, VoiceId, control_names, parse_body
from server.streaming import SpeechResponse
from studio.encode import FORMATS, format_named
from studio.studio import Studio

router = APIRouter(tags=["speech"])

REQUEST_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/SpeechBody"},
            "example": {"input": "The birch canoe slid on the smooth planks.", "model": "tts-1"},
        }
    },
}
SPOKEN: dict[str, Any] = {
    "description": "Sound in the format asked for, sent while it is made; or, with stream_format "
    "sse, events speech.audio.delta with base64 `audio`, then speech.audio.done with `usage` "
    "(characters in, twentieths of a second out), or an event with `error` where it broke off.",
    "content": {
        **{
            fmt.mime: {"schema": {"type": "string", "format": "binary"}} for fmt in FORMATS.values()
        },
        "text/event-stream": {},
    },
    "headers": {
        f"X-Vivavoce-{name}": {"description": text, "schema": {"type": "string"}}
        for name, text in (
            ("Synthetic", "true: this voice is no person's"),
            ("Job", "id of this request"),
            ("Engine", "engine that spoke"),
            ("Voice", "voice that spoke"),
            ("Made-Voice", "id of the voice where one was made up: it gives the same one again"),
            ("Language", "language that it spoke"),
            ("Device", "device on which it ran"),
            ("Seed", "seed that gives the same speech again"),
            ("Sample-Rate", "Hz of the sound sent"),
            ("Note", "something about the request that you should know"),
        )
    },
}


@router.post("/audio/speech", include_in_schema=False, response_class=Response)
@router.post(
    "/v1/audio/speech",
    summary="Speak a text; the sound is sent while it is made",
    response_class=Response,
    openapi_extra={"requestBody": REQUEST_BODY},
    responses={200: SPOKEN},
)
async def speech(request: Request) -> Response:
    context = context_of(request)
    body = parse_body(await read_json(request, context.body_limit))
    fmt = format_named(body.response_format)
    spoken, notes = to_request(body, context.studio)
    spoken = replace(spoken, owner=owner_of(request), door="http")
    return SpeechResponse(context, spoken, fmt, sse=body.stream_format == "sse", notes=notes)


def to_request(body: SpeechBody, studio: Studio) -> tuple[SpeechRequest, tuple[str, ...]]:
    """What the studio is to do, and what the client should know about it.

    Raises:
        RequestTooLarge: the text is longer than the studio takes.
        UnknownField, BadControl: a field that nothing takes, or a control given twice.
    """
    limit = studio.settings.max_chars
    if len(body.input) > limit:
        raise RequestTooLarge(
            f"The input has {len(body.input):,} characters.",
            f"One request takes at most {limit:,}.",
            "Send it in parts, a chapter at a time.",
            param="input",
        )
    controls, notes = _controls(body, studio)
    return (
        SpeechRequest(
            text=body.input,
            engine=None if body.model in OPENAI_MODELS else body.model,
            voice=body.voice.id if isinstance(body.voice, VoiceId) else body.voice,
            language=body.language,
            device=body.device,
            controls=controls,
            seed=body.seed,
            preset=body.preset,
            deadline=body.deadline,
        ),
        notes,
    )


def _controls(body: SpeechBody, studio: Studio) -> tuple[dict[str, object], tuple[str, ...]]:
    """Controls from both places where a body may hold them; the engine checks their values."""
    known = control_names(studio)
    extra = dict(body.model_extra or {})
    notes: tuple[str, ...] = ()
    if body.instructions and "instructions" in known:
        extra["instructions"] = body.instructions
    elif body.instructions:
        notes = ("The instructions were left out: no engine here follows any.",)
    controls = dict(body.controls or {})
    for name, value in extra.items():
        if name not in known:
            raise UnknownField(
                f"There is no field {name!r:.80}.",
                f"Fields: {', '.join(SpeechBody.model_fields)}. Controls: {', '.join(known)}.",
                "Leave it out or pick one of these.",
                param=name,
            )
        given = controls.setdefault(name, value)
        if given is not value and given != value:
            raise BadControl(
                f"{name} was {value!r:.80}, and {given!r:.80} in controls.",
                "It can have one value.",
                "Give it once.",
                param=name,
            )
    return controls, notes
