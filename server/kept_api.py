"""`/v1/voices/kept`: voices of the engines themselves that are kept under a name."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from server.context import ServerContext, context_of
from server.errors import ModelNotFound
from server.limits import read_model
from studio.kept import NoKeptVoice, forget, keep
from studio.presets import StarterVoice

router = APIRouter(tags=["voices"])

Context = Annotated[ServerContext, Depends(context_of)]


class KeptItem(BaseModel):
    id: str = Field(description="What a request for speech gives as its voice.")
    name: str
    engine: str
    voice: str = Field(description="The engine's own id of it.")
    language: str
    gender: str


class KeptList(BaseModel):
    voices: list[KeptItem]


class ToKeep(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: StrictStr = Field(description="At most 60 characters that no other voice goes by.")
    voice: StrictStr = Field(description="A voice id of the engine, such as a note tells.")
    engine: StrictStr | None = Field(None, description="Found by the id where it is left out.")
    language: StrictStr | None = Field(None, description="Under which it is listed.")


BODY = {"required": True, "content": {"application/json": {"schema": ToKeep.model_json_schema()}}}


@router.get("/v1/voices/kept", summary="Voices that are kept under a name")
def kept(context: Context) -> KeptList:
    return KeptList(voices=[_item(voice) for voice in context.studio.kept.voices()])


@router.post(
    "/v1/voices/kept",
    status_code=201,
    summary="Keep a voice of an engine under a name",
    openapi_extra={"requestBody": BODY},
)
async def keep_voice(request: Request, context: Context) -> KeptItem:
    takes = "It takes name and voice, and may take engine and language, all of them texts."
    given = await read_model(request, context.body_limit, ToKeep, takes)

    def work() -> StarterVoice:
        return keep(context.studio, **given.model_dump(exclude={"voice"}), voice_id=given.voice)

    return _item(await to_thread.run_sync(work, limiter=context.planners))


@router.delete(
    "/v1/voices/kept/{voice_id}", status_code=204, summary="Let go of a voice that is kept"
)
def forget_voice(voice_id: str, context: Context) -> None:
    try:
        forget(context.studio, voice_id)
    except NoKeptVoice as error:
        raise ModelNotFound(error.given, error.allowed, error.todo, param=error.param) from None


def _item(voice: StarterVoice) -> KeptItem:
    return KeptItem(**{name: getattr(voice, name) for name in KeptItem.model_fields})
