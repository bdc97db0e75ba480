"""What is known of a take, and the request that makes it again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from engines.api import SpeechRequest
from engines.errors import InvalidRequest
from studio.formats import Tags

EXCERPT = 300  # characters of a text that the list holds


class UnknownTake(InvalidRequest):
    code = "unknown_take"

    def __init__(self, take_id: object) -> None:
        super().__init__(
            f"There is no take {take_id!r:.80}.",
            "It may have been deleted, or have made room for newer ones.",
            "Look at the list for those that there are.",
            param="id",
        )


class TakeUnfinished(InvalidRequest):
    """The take is still being made."""

    code = "take_unfinished"

    def __init__(self) -> None:
        super().__init__("This take is still being made.", "", "Try again once it is done.")


class NoSound(InvalidRequest):
    """A take that was over before its first sound."""

    code = "no_sound"

    def __init__(self) -> None:
        super().__init__("This take has no sound.", "It ended before its first one.")


class TakeState(str, Enum):
    UNFINISHED = "unfinished"  # in work
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    BROKEN_OFF = "broken off"  # the program ended while it was made


@dataclass(frozen=True, slots=True)
class TakeRecord:
    """One take as the history knows it.

    Attributes:
        number: its place in the list; later takes have higher ones.
        made: Unix time at which the work on it began.
        door: where its request came in: "page", "http" …
        excerpt: the beginning of its text, which has `characters` in all.
        voice: id in the engine. reference: id of the library voice that it is, or "".
        sample_rate: Hz. frames: samples that were kept.
        bytes: what it takes up on disk.
        queued, first_sound, whole: seconds from the request to the begin of the work, to the first
            sound, to the end; None where it did not come to that.
        similarity: of its speaker to the voice's reference, -1 to 1; None where there is none or
            it was not looked at yet.
        error: what ended it, where it did not end well.
        lost: why a part of its sound was not kept; "" where it is whole.
    """

    number: int
    id: str
    owner: str
    state: TakeState
    pinned: bool
    made: float
    door: str
    excerpt: str
    characters: int
    engine: str
    voice: str
    voice_name: str
    reference: str
    language: str
    preset: str
    device: str
    controls: Mapping[str, Any]
    seed: int
    sample_rate: int
    queued: float
    first_sound: float | None
    whole: float | None
    frames: int
    sentences: int
    bytes: int
    similarity: float | None
    error: str
    lost: str

    @property
    def seconds(self) -> float:
        """Of sound."""
        return self.frames / self.sample_rate


def of_row(row: sqlite3.Row) -> TakeRecord:
    return TakeRecord(
        number=row["number"],
        id=row["id"],
        owner=row["owner"],
        state=TakeState(row["state"]),
        pinned=bool(row["pinned"]),
        made=row["made"],
        door=row["door"],
        excerpt=row["excerpt"],
        characters=row["characters"],
        engine=row["engine"],
        voice=row["voice"],
        voice_name=row["voice_name"],
        reference=row["reference"],
        language=row["language"],
        preset=row["preset"],
        device=row["device"],
        controls=json.loads(row["controls"]),
        seed=row["seed"],
        sample_rate=row["rate"],
        queued=row["queued"],
        first_sound=row["first_sound"],
        whole=row["whole"],
        frames=row["frames"],
        sentences=row["sentences"],
        bytes=row["bytes"],
        similarity=row["similarity"],
        error=row["error"],
        lost=row["lost"],
    )


def tags_of(take: TakeRecord) -> Tags:
    """What files of a take say of themselves."""
    return Tags(take.excerpt, take.engine, take.voice)


def request_of(take: TakeRecord, text: str, *, door: str = "") -> SpeechRequest:
    """The request that makes a take again: same seed, controls and device.

    Args:
        text: the take's whole text (`History.text`).
        door: where this request comes in.
    """
    return SpeechRequest(
        text=text,
        engine=take.engine,
        voice=take.reference or take.voice,
        language=take.language,
        device=take.device,
        controls=take.controls,  # all of them, so what a preset had set is among them
        seed=take.seed,
        owner=take.owner,
        door=door,
    )


def kept(which: Literal["all", "page", "off"], door: str) -> bool:
    """Whether takes of requests that come in at a door are kept. Those that name no door, such as
    the command line's, are not."""
    return bool(door) and (which == "all" or which == "page" == door)
