"""What there is: engines as models, voices, controls, devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from engines import registry
from engines.api import Voice
from engines.controls import describe
from engines.runtime import device as devices
from server import answers
from server.context import ServerContext, context_of
from server.errors import ModelNotFound
from server.owner import owner_of
from studio.offered import offered, speaks
from studio.presets import STARTER

router = APIRouter(tags=["catalogue"])

# names by which OpenAI's clients ask; each stands for the default engine
OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")

Context = Annotated[ServerContext, Depends(context_of)]


@router.get("/models", include_in_schema=False)
@router.get("/v1/models", summary="Engines, as OpenAI lists models")
def models(context: Context) -> answers.ModelList:
    return answers.ModelList(data=list(_models(context)))


@router.get("/v1/models/{model_id}", summary="One engine, as OpenAI describes a model")
def model(model_id: str, context: Context) -> answers.Model:
    listed = {each.id: each for each in _models(context)}
    if model_id not in listed:
        raise ModelNotFound(
            f"There is no model {model_id!r:.80}.",
            f"Models here: {', '.join(listed)}.",
            "Pick one of them.",
            param="model",
        )
    return listed[model_id]


@router.get("/audio/models", include_in_schema=False)
@router.get("/v1/audio/models", summary="Engines, as Open WebUI lists them")
def audio_models(context: Context) -> answers.AudioModelList:
    return answers.AudioModelList(
        models=[
            answers.AudioModel(id=capability.name, name=capability.title)
            for capability in context.studio.capabilities()
        ]
    )


@router.get("/audio/voices", include_in_schema=False)
@router.get("/v1/audio/voices", summary="Voices: ready-made ones first, then each engine's")
def voices(
    request: Request,
    context: Context,
    engine: Annotated[str | None, Query(description="only voices of this engine")] = None,
    language: Annotated[
        str | None, Query(description="only voices that speak it: de, en-US")
    ] = None,
    q: Annotated[str | None, Query(description="only voices with this in id, name or tags")] = None,
) -> answers.VoiceList:
    return answers.VoiceList(
        voices=[
            answers.VoiceItem(
                id=voice.id,
                name=voice.name,
                engine=voice.engine,
                languages=list(voice.languages),
                gender=voice.gender,
                tags=list(voice.tags),
            )
            for voice in _voices(context, owner_of(request), engine)
            if (language is None or speaks(voice, language)) and (q is None or _holds(voice, q))
        ]
    )


@router.get("/v1/engines", summary="Engines with their controls, devices and presets")
def engines(context: Context) -> answers.EngineList:
    studio = context.studio
    return answers.EngineList(
        engines=[
            answers.EngineItem(
                name=capability.name,
                title=capability.title,
                summary=capability.summary,
                default=capability.name == registry.DEFAULT_ENGINE,
                sample_rate=capability.sample_rate,
                licence=capability.licence,
                clones=capability.clones,
                word_times=capability.word_times,
                uses_seed=capability.uses_seed,
                controls=list(describe(studio.controls(capability.name))),
                support=list(capability.support),
                presets=[
                    answers.PresetItem(
                        id=preset.id, title=preset.title, description=preset.description
                    )
                    for preset in studio.presets.engines
                    if preset.engine == capability.name
                ],
            )
            for capability in studio.capabilities()
        ]
    )


@router.get("/v1/devices", summary="Devices of this machine that a request may name")
def list_devices(context: Context) -> answers.DeviceList:
    shared = context.settings.shared
    return answers.DeviceList(
        devices=[
            answers.DeviceItem(name=info.spec.name, runtime=info.spec.runtime)
            if shared
            else answers.DeviceItem(
                name=info.spec.name,
                runtime=info.spec.runtime,
                title=info.title,
                total=info.total,
                free=info.free,
                note=info.note,
            )
            for info in devices.available()
        ]
    )


def _models(context: ServerContext) -> Iterator[answers.Model]:
    """Engines that have a voice, whose models are installed; then OpenAI's names."""
    studio = context.studio
    engines = (capability.name for capability in studio.capabilities())
    for name in (*filter(studio.voices, engines), *OPENAI_MODELS):
        yield answers.Model(id=name, created=context.started)


def _voices(context: ServerContext, owner: str, engine: str | None) -> tuple[Voice, ...]:
    """The voices on offer, and after the ready-made ones their other names, which clients pick
    from this list or were set up with: OpenAI's."""
    voices = offered(context.studio, owner, engine)
    ready_made = [voice.id for voice in voices if STARTER in voice.tags]
    named = [
        replace(voice.as_voice(), id=alias, name=f"{voice.name} ({alias})", tags=("alias",))
        for voice in context.studio.presets.voices
        if voice.id in ready_made
        for alias in voice.aliases
    ]
    return (*voices[: len(ready_made)], *named, *voices[len(ready_made) :])


def _holds(voice: Voice, words: str) -> bool:
    found = " ".join((voice.id, voice.name, *voice.languages, *voice.tags)).lower()
    return words.lower() in found
