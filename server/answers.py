"""The shapes of JSON answers; OpenAPI shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from engines.api import Support
from engines.controls import ControlSpec


class ErrorObject(BaseModel):
    message: str
    type: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    param: str | None = Field(description="The field of the request at fault, where there is one.")
    code: str


class ErrorAnswer(BaseModel):
    error: ErrorObject


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time at which this server was started.")
    owned_by: str = "vivavoce"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class AudioModel(BaseModel):
    id: str
    name: str


class AudioModelList(BaseModel):
    models: list[AudioModel]


class VoiceItem(BaseModel):
    id: str
    name: str
    engine: str
    languages: list[str] = Field(description="BCP 47, preferred first; empty where it speaks any.")
    gender: str
    tags: list[str]


class VoiceList(BaseModel):
    voices: list[VoiceItem]


class PresetItem(BaseModel):
    id: str
    title: str
    description: str


class EngineItem(BaseModel):
    name: str
    title: str
    summary: str
    default: bool
    sample_rate: int = Field(description="Hz")
    licence: str
    clones: bool
    word_times: bool
    uses_seed: bool
    controls: list[ControlSpec]
    support: list[Support]
    presets: list[PresetItem]


class EngineList(BaseModel):
    engines: list[EngineItem]


class DeviceItem(BaseModel):
    name: str = Field(description="What a request gives as its device.")
    runtime: str
    title: str = ""
    total: int | None = Field(default=None, description="Bytes of memory.")
    free: int | None = Field(default=None, description="Bytes of memory.")
    note: str = ""


class DeviceList(BaseModel):
    devices: list[DeviceItem]
