"""What the page shows of a take: plain data and the words for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engines.errors import VivavoceError
from studio.jobs import Job, JobState
from studio.pace import pace
from studio.take import Take

IDLE, WAITING, SPEAKING, AGAIN = "idle", "waiting", "speaking", "again"
DONE, STOPPED, FAILED = "done", "stopped", "failed"


@dataclass(frozen=True, slots=True)
class View:
    """One state of the take panel; the page draws it (static/take_view.js).

    Attributes:
        take: id by which the page asks for sound and sentences; "" before the first take.
        version: changes when a sentence was replaced.
        rate: Hz. frames: samples that are there by now.
        sentences: how many are there by now.
        busy: number of the sentence that is being made again, or -1.
        progress: 0 to 1.
        alert: the three parts of an error, or nothing.
        fixed: why another seed would change nothing; "" where it would.
        made: id of the voice that was made up for the take and can be kept; "" where none was.
    """

    state: str = IDLE
    take: str = ""
    version: int = 0
    rate: int = 0
    frames: int = 0
    sentences: int = 0
    busy: int = -1
    progress: float = 0.0
    status: str = ""
    notes: tuple[str, ...] = ()
    alert: tuple[str, ...] = ()
    seed: int | None = None
    fixed: str = ""
    made: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def of_take(take: Take | None, **values: Any) -> View:
    """A view of a take as it is now."""
    if take is None:
        return View(**values)
    return View(
        take=take.id,
        version=take.version,
        rate=take.sample_rate,
        frames=take.frames,
        sentences=len(take),
        **values,
    )


def alert(error: VivavoceError) -> tuple[str, ...]:
    return tuple(part for part in (error.given, error.allowed, error.todo) if part)


def waiting_status(ahead: int) -> str:
    if ahead <= 0:
        return "Starting …"
    return f"Waiting: {_count(ahead, 'request')} before yours."


def speaking_status(job: Job, sentences: int, characters: int, seconds_at_work: float) -> str:
    """Such as "Sentence 3 of about 40 · 12.4 s of audio · 55× real time".

    Args:
        sentences: that are done. characters: of the text that they take up.
    """
    parts = [f"Sentence {sentences + 1}"]
    if characters:
        whole = round(sentences * len(job.plan.text) / characters)
        parts[0] += f" of about {max(whole, sentences + 1):,}"
    if job.seconds_made:
        parts.append(f"{duration(job.seconds_made)} of audio")
        parts.append(pace(job.seconds_made, seconds_at_work))
    return " · ".join(parts)


def ended_status(job: Job, take: Take, seconds_at_work: float) -> str:
    parts = [_count(len(take), "sentence"), f"{duration(take.seconds)} of audio"]
    if job.state is JobState.DONE:
        parts.append(f"made in {duration(seconds_at_work)}")
        parts.append(pace(job.seconds_made, seconds_at_work))
    else:
        parts.insert(0, "Stopped")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Such as "0.8 s", "1:05 min" or "2:03:20 h"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
