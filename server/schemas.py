"""The body of a speech request: how it is checked and how OpenAPI shows it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from engines.errors import InvalidRequest
from studio.encode import FORMATS
from studio.route import SEED_LIMIT
from studio.studio import Studio


class VoiceId(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: StrictStr


class SpeechBody(BaseModel):
    """What `POST /v1/audio/speech` takes. Descriptions complete the phrase "it takes …"."""

    model_config = ConfigDict(extra="allow")

    input: Annotated[StrictStr, Field(description="the text to speak; may hold `[pause 0.5s]`")]
    model: Annotated[
        StrictStr | None,
        Field(description="an engine or one of OpenAI's model names, see GET /v1/models"),
    ] = None
    voice: Annotated[
        StrictStr | VoiceId | None,
        Field(description='a voice id or {"id": "…"}, see GET /v1/audio/voices'),
    ] = None
    response_format: Annotated[
        StrictStr,
        Field(
            description="one of " + ", ".join(FORMATS), json_schema_extra={"enum": list(FORMATS)}
        ),
    ] = "mp3"
    stream_format: Annotated[
        Literal["audio", "sse"],
        Field(description="audio for the bytes of the sound file, sse for OpenAI's events"),
    ] = "audio"
    instructions: Annotated[
        StrictStr | None,
        Field(description="text; an engine that cannot follow it says so in X-Vivavoce-Note"),
    ] = None
    language: Annotated[
        StrictStr | None, Field(description="a BCP 47 tag such as en-US; the voice's own without")
    ] = None
    device: Annotated[
        StrictStr | None, Field(description="a device such as auto, cpu or cuda:0")
    ] = None
    preset: Annotated[StrictStr | None, Field(description="the id of an engine preset")] = None
    seed: Annotated[
        StrictInt | None,
        Field(ge=0, lt=SEED_LIMIT, description=f"a whole number from 0 to {SEED_LIMIT - 1}"),
    ] = None
    deadline: Annotated[
        StrictFloat | StrictInt | None, Field(gt=0, description="a number of seconds above 0")
    ] = None
    controls: Annotated[
        dict[str, Any] | None, Field(description="an object of the engine's controls by name")
    ] = None


def parse_body(values: dict[str, Any]) -> SpeechBody:
    """Check the fields that every engine has; the rest stays in `model_extra`.

    Raises:
        InvalidRequest: names the first field at fault, its value and what it takes.
    """
    try:
        # null is how some clients leave a field out
        return SpeechBody.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        takes = f"It takes {SpeechBody.model_fields[name].description}."
        if first["type"] == "missing":
            raise InvalidRequest(f"{name} is missing.", takes, "Add it.", param=name) from None
        raise InvalidRequest(
            f"{name} was {values[name]!r:.80}.", takes, "Change it and try again.", param=name
        ) from None


def control_names(studio: Studio) -> tuple[str, ...]:
    """Names of every engine's controls; a body may hold them beside its own fields."""
    names = (studio.controls(capability.name).model_fields for capability in studio.capabilities())
    return tuple(dict.fromkeys(name for fields in names for name in fields))


def openapi(app: FastAPI, studio: Studio) -> dict[str, Any]:
    """The OpenAPI document of `app`, with the controls that the engines declare."""
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    schemas = document["components"]["schemas"]
    _drop_validation_errors(document)
    _errors_are_json(document)
    body = SpeechBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(body.pop("$defs"))
    references = []
    for capability in studio.capabilities():
        name = f"Controls_{capability.name}"
        schemas[name] = studio.controls(capability.name).model_json_schema()
        references.append({"$ref": f"#/components/schemas/{name}"})
        # the request's own fields, and engines that come first in the registry, stand above
        body["properties"] = schemas[name]["properties"] | body["properties"]
    body["properties"]["controls"] = {
        "anyOf": references,
        "description": body["properties"]["controls"]["description"],
    }
    body["additionalProperties"] = False
    schemas["SpeechBody"] = body
    return document


def _errors_are_json(document: dict[str, Any]) -> None:
    """FastAPI announces errors of an operation in the form of what it gives when all goes well."""
    for path in document["paths"].values():
        for operation in path.values():
            error = operation["responses"].get("default", {})
            if content := error.get("content"):
                error["content"] = {"application/json": next(iter(content.values()))}


def _drop_validation_errors(document: dict[str, Any]) -> None:
    """FastAPI announces a 422 of its own form; ours are 400 and have OpenAI's."""
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
