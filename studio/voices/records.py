"""What the library holds and is given. Times are UTC, lengths in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Consent:
    """Who agreed that a clip may be used, and for what. Never changed, only added to.

    Attributes:
        who: the person who agreed, or who speaks for them.
        purpose: what the voice may be used for.
        when: set by the library as it is recorded.
        clip_hash: SHA-256 of the clip's file; set by the library.
    """

    who: str
    purpose: str
    when: datetime | None = None
    clip_hash: str = ""


@dataclass(frozen=True, slots=True)
class NewClip:
    """A clip as it comes in.

    Attributes:
        wav: a WAV file, mono.
        transcript: what is said in it; "" where nobody wrote it down.
        language: BCP 47; "" takes the voice's.
        sha256: of `wav`; checked where it is given.
    """

    wav: bytes
    transcript: str = ""
    language: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class VoiceClip:
    """A clip of a voice; its sound is read with `VoiceLibrary.clip_wav`."""

    id: str
    transcript: str
    language: str
    seconds: float
    sha256: str
    created: datetime


@dataclass(frozen=True, slots=True)
class VoiceSummary:
    """A voice as lists show it.

    Attributes:
        clip_count: clips that it has.
        clip_seconds: their length together.
    """

    id: str
    owner: str
    name: str
    language: str  # BCP 47; "" where unknown
    tags: tuple[str, ...]
    notes: str
    created: datetime
    changed: datetime
    clip_count: int
    clip_seconds: float


@dataclass(frozen=True, slots=True)
class LibraryVoice(VoiceSummary):
    """A voice with all that belongs to it, clips and consents in the order they came."""

    clips: tuple[VoiceClip, ...]
    consents: tuple[Consent, ...]


@dataclass(frozen=True, slots=True)
class VoicePage:
    """A part of a list, and how many voices the whole list has."""

    voices: tuple[VoiceSummary, ...]
    total: int


class Likeness(NamedTuple):
    """A voice found by sound. `likeness` is the cosine of the speaker embeddings: 1 for the very
    same clip, usually above 0.8 for one speaker, below 0.7 for two."""

    voice: VoiceSummary
    likeness: float
