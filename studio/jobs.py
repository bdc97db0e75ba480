"""A job: one request on its way through the queue, and what it tells whoever waits for it."""

from __future__ import annotations

import contextlib
import queue
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np

from engines.api import CancelToken, Controls, SpeechRequest, Utterance, Voice
from engines.errors import Cancelled, VivavoceError

EVENTS_HELD = 8  # a slow listener holds the engine back instead of filling the memory
LISTENER_PATIENCE = 60.0  # seconds that a full event buffer may stand still


class JobState(str, Enum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class CaptionWord:
    """A word as the user wrote it; `start` and `end` in seconds of the delivered audio."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class SentenceTiming:
    """Where a sentence lies in the delivered audio, in seconds; the pause after it not counted."""

    index: int
    text: str
    start: float
    end: float
    words: tuple[CaptionWord, ...] = ()


@dataclass(frozen=True, slots=True)
class SentenceStarted:
    utterance: Utterance


@dataclass(frozen=True, slots=True)
class Sound:
    """Delivered audio: float32 [T] mono at `Job.sample_rate`, in order and without gaps."""

    samples: np.ndarray
    sentence: int


@dataclass(frozen=True, slots=True)
class SentenceDone:
    timing: SentenceTiming


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a user should know but that stops nothing, such as signs left unspoken.

    Attributes:
        voice: id of the voice that the engine made up, where the message tells of one; else "".
    """

    message: str
    voice: str = ""


Event = SentenceStarted | Sound | SentenceDone | Note


@dataclass(frozen=True, slots=True)
class Plan:
    """A request with everything decided: gaps filled in, given values checked."""

    request: SpeechRequest
    text: str
    engine: str
    voice: Voice
    language: str
    device: str
    controls: Controls
    seed: int
    sample_rate: int
    notes: tuple[str, ...] = ()


class Keeping(Protocol):
    """Keeps what a job makes, for the history."""

    id: str

    def take_in(self, event: Event) -> str:
        """Keep what an event brings; gives what the listener has to know about it, or ""."""
        ...

    def end(self, outcome: str, error: VivavoceError | None) -> None: ...


@dataclass(eq=False)
class Job:
    """One request in work. `events` is for one listener; the rest may be called by anyone.

    Attributes:
        made_voice: id of the voice that the engine made up for it, known before its first sound.
        kept: where what it makes is kept beside; None where it is not.
        work: what is done instead of speaking the plan's text.
    """

    plan: Plan
    cancel_token: CancelToken
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: JobState = JobState.QUEUED
    error: VivavoceError | None = None
    submitted: float = field(default_factory=time.monotonic)
    characters_done: int = 0
    seconds_made: float = 0.0
    made_voice: str = ""
    kept: Keeping | None = None
    work: Callable[[Job], None] | None = field(default=None, repr=False)
    _events: queue.Queue[Event | None] = field(
        default_factory=lambda: queue.Queue(maxsize=EVENTS_HELD), repr=False
    )

    @property
    def sample_rate(self) -> int:
        return self.plan.sample_rate

    @property
    def take_id(self) -> str:
        """The take of the history that it makes; "" where there is none."""
        return self.kept.id if self.kept else ""

    @property
    def progress(self) -> float:
        """Share of the text that has been spoken, 0 to 1."""
        if self.state is JobState.DONE:
            return 1.0
        return min(1.0, self.characters_done / max(1, len(self.plan.text)))

    def cancel(self, reason: VivavoceError | None = None) -> None:
        self.cancel_token.cancel(reason or Cancelled())

    def events(self) -> Iterator[Event]:
        """What happens, in order, until the job ends. Leaving the iterator early cancels the job.

        Raises:
            VivavoceError: what ended the job, if it did not end well.
        """
        try:
            while (event := self._next_event()) is not None:
                yield event
        finally:
            if not self.state.ended:
                self.cancel()
        if self.error is not None:
            raise self.error
        if self.state is not JobState.DONE:
            self.cancel_token.raise_if_set()

    def _next_event(self) -> Event | None:
        while True:
            try:
                return self._events.get(timeout=0.2)
            except queue.Empty:
                if self.state.ended:
                    # the last events may have come between the time-out and this look
                    with contextlib.suppress(queue.Empty):
                        return self._events.get_nowait()
                    return None
                if self.cancel_token.is_set:
                    return None

    def emit(self, event: Event) -> None:
        """Hand an event to the listener; waits while its buffer is full.

        Raises:
            VivavoceError: the job was cancelled or the listener stopped listening.
        """
        if self.kept is not None and (trouble := self.kept.take_in(event)):
            self.emit(Note(trouble))
        patience = time.monotonic() + LISTENER_PATIENCE
        while True:
            self.cancel_token.raise_if_set()
            try:
                self._events.put(event, timeout=0.1)
                return
            except queue.Full:
                if time.monotonic() > patience:
                    raise Cancelled(
                        f"Nobody took the audio for {LISTENER_PATIENCE:.0f} s; the job was ended."
                    ) from None

    def end(self, state: JobState, error: VivavoceError | None = None) -> None:
        self.error = error
        self.state = state
        with contextlib.suppress(queue.Full):  # then the listener empties it and sees the state
            self._events.put_nowait(None)
