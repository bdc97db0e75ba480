"""The shapes of what is sent and answered about one's own voices; OpenAPI shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from studio.voices import LibraryVoice, VoiceSummary

TEXT = {"type": "string"}
CONSENT = {
    "consent": {"type": "boolean", "description": "true: the speaker agreed"},
    "consent_name": {**TEXT, "description": "who agreed"},
    "consent_purpose": {**TEXT, "description": "what the voice may be used for"},
}
ABOUT = {
    "name": TEXT,
    "language": {**TEXT, "description": "a BCP 47 tag such as en-GB"},
    "tags": {**TEXT, "description": "separated by commas"},
    "notes": TEXT,
    "transcript": {**TEXT, "description": "what is said in the clip"},
    "denoise": {"type": "boolean", "description": "true: reduce a steady noise"},
}
LIMIT = {"limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}}
FILE = {**TEXT, "format": "binary"}


def form_body(fields: dict[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"file": FILE, **fields},
        "required": ["file", *required],
        "additionalProperties": False,
    }
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


class ProfileItem(BaseModel):
    id: str = Field(description="What a request for speech gives as its voice.")
    name: str
    language: str = Field(description="BCP 47; empty where unknown.")
    tags: list[str]
    notes: str
    created: datetime
    changed: datetime
    clip_count: int
    clip_seconds: float = Field(description="Of all clips together.")


class ClipItem(BaseModel):
    id: str
    transcript: str
    language: str
    seconds: float
    sha256: str = Field(description="Of the clip's file.")
    created: datetime


class ConsentItem(BaseModel):
    who: str
    purpose: str
    when: datetime
    clip_hash: str = Field(description="SHA-256 of the clip that was agreed to.")


class WholeProfile(ProfileItem):
    clips: list[ClipItem]
    consents: list[ConsentItem]


class FindingItem(BaseModel):
    severity: str = Field(description="good or warning")
    text: str
    advice: str


class NewProfile(WholeProfile):
    report: list[FindingItem] = Field(description="What was noticed about the recording.")


class ProfileList(BaseModel):
    voices: list[ProfileItem]
    total: int = Field(description="Of all pages.")


class LikenessItem(BaseModel):
    voice: ProfileItem
    likeness: float = Field(description="1 for the very same clip; one speaker is above 0.8.")


class LikenessList(BaseModel):
    voices: list[LikenessItem] = Field(description="The most alike first.")


class ProfileChange(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: StrictStr | None = None
    language: StrictStr | None = None
    tags: list[StrictStr] | None = None
    notes: StrictStr | None = None


def item_of(voice: VoiceSummary) -> ProfileItem:
    return ProfileItem(**{name: getattr(voice, name) for name in ProfileItem.model_fields})


def whole_of(voice: LibraryVoice) -> WholeProfile:
    return WholeProfile(
        **item_of(voice).model_dump(),
        clips=[
            ClipItem(**{name: getattr(clip, name) for name in ClipItem.model_fields})
            for clip in voice.clips
        ],
        consents=[
            ConsentItem(who=c.who, purpose=c.purpose, when=c.when, clip_hash=c.clip_hash)
            for c in voice.consents
            if c.when is not None
        ],
    )
