"""What the History tab shows of a take: plain data and the words for it; the page draws it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from engines.api import Capability
from studio.history import Page, TakeRecord, TakeState, Totals
from studio.pace import pace
from ui.devices_view import size
from ui.view import duration

STATES = {
    TakeState.UNFINISHED: "being made",
    TakeState.DONE: "",
    TakeState.CANCELLED: "stopped",
    TakeState.FAILED: "failed",
    TakeState.BROKEN_OFF: "broken off",
}
DOORS = {
    "page": "this page",
    "http": "the HTTP interface",
    "api": "gradio_client",
    "wyoming": "Wyoming",
}


@dataclass(frozen=True, slots=True)
class View:
    """One state of the panel (static/history.js).

    Attributes:
        takes: rows, newest first. older: where the next page begins, or nothing.
        query, before: what this page is of.
        count: takes of this visitor in all.
        kept: how much is kept, in words.
        said: what was just done.
        alert: the three parts of an error, or nothing.
        busy: id of the take that is being made again, or "".
        compare: ids of two takes to listen to in turn, once.
    """

    takes: tuple[dict[str, Any], ...] = ()
    older: int | None = None
    query: str = ""
    before: int | None = None
    count: int = 0
    kept: str = ""
    said: str = ""
    alert: tuple[str, ...] = ()
    busy: str = ""
    compare: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def of_page(page: Page, totals: Totals, engines: dict[str, Capability], **values: Any) -> View:
    rows = tuple(row(take, engines) for take in page.takes)
    return View(takes=rows, older=page.before, kept=kept(totals), **values)


def row(take: TakeRecord, engines: dict[str, Capability]) -> dict[str, Any]:
    """A take for the list."""
    engine = engines.get(take.engine)
    names = [take.voice_name or take.voice, engine.title if engine else take.engine]
    if take.frames:
        names.append(duration(take.seconds))
    return {
        "id": take.id,
        "made": take.made,
        "text": take.excerpt,
        "more": take.characters > len(take.excerpt),
        "about": " · ".join(names),
        "state": STATES[take.state],
        "trouble": " ".join(filter(None, (take.error, take.lost))),
        "pinned": take.pinned,
        "rate": take.sample_rate,
        "frames": take.frames,
        "sentences": take.sentences,
        "facts": facts(take),
    }


def facts(take: TakeRecord) -> list[tuple[str, str]]:
    """How it was made, as names and values."""
    found = [
        ("Voice", take.voice),
        ("Language", take.language),
        ("Seed", str(take.seed)),
        ("Preset", take.preset),
        ("Device", take.device),
        ("Asked for by", DOORS.get(take.door, take.door)),
        ("Waited", _seconds(take.queued)),
        ("First sound after", _seconds(take.first_sound)),
        ("Done after", _seconds(take.whole)),
        ("Speed", _speed(take)),
        ("Text", f"{take.characters:,} characters"),
        ("On disk", size(take.bytes)),
        ("Likeness to the clip", "" if take.similarity is None else f"{take.similarity:.2f}"),
        ("Controls", _controls(take)),
    ]
    return [(name, value) for name, value in found if value]


def kept(totals: Totals) -> str:
    """How many are kept, what happens then, and what the letters in the list are for."""
    full = totals.takes >= totals.max_takes or totals.bytes >= 0.99 * totals.max_bytes
    room = "It is full: the oldest make room" if full else "Then the oldest make room"
    return (
        f"Up to {totals.max_takes:,} takes and {size(totals.max_bytes)} of sound are kept. "
        f"{room}; pinned ones stay. With A and B you listen to two takes in turn."
    )


def _controls(take: TakeRecord) -> str:
    """Such as "speed 1, pitch range 60"."""
    named = ((name.replace("_", " "), value) for name, value in take.controls.items())
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in named
    )


def _speed(take: TakeRecord) -> str:
    if take.whole is None or not take.frames or take.state is not TakeState.DONE:
        return ""
    return pace(take.seconds, take.whole - take.queued)


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1000:.0f} ms" if value < 1 else duration(value)
