"""From a job's events into a take: a whole new one, or one sentence of one that is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.errors import EngineFailure
from studio.jobs import (
    CaptionWord,
    Event,
    Job,
    Note,
    Plan,
    SentenceDone,
    SentenceStarted,
    SentenceTiming,
    Sound,
)
from studio.take import Take
from ui import view
from ui.view import View


def made_with(plan: Plan) -> dict[str, Any]:
    """How a plan's speech is made, as a take keeps it."""
    return {
        "engine": plan.engine,
        "voice": plan.voice.id,
        "language": plan.language,
        "controls": plan.controls.model_dump(),
        "seed": plan.seed,
    }


class Told:
    """What a job's notes say.

    Attributes:
        notes: those for a person to read.
        made: the one that tells of a voice that was made up.
    """

    def __init__(self) -> None:
        self.notes: tuple[str, ...] = ()
        self.made: Note | None = None

    def take_in(self, note: Note) -> None:
        if note.voice:
            self.made = note
        else:
            self.notes = (*self.notes, note.message)


class Recording:
    """Puts what a job makes into a new take."""

    def __init__(self, take: Take, job: Job) -> None:
        self.take = take
        self.told = Told()
        self._job = job
        self._reached = 0  # characters of the text before the sentence in work

    def take_in(self, event: Event) -> bool:
        """Keep what an event brings.

        Returns:
            True where it should be shown at once: the first sound.

        Raises:
            StorageError: the disk is full.
        """
        if isinstance(event, Sound):
            first = not self.take.frames
            self.take.append(event.samples)
            return first
        if isinstance(event, SentenceStarted):
            self._reached = event.utterance.start
        elif isinstance(event, SentenceDone) and event.timing.text.strip():
            self.take.add_sentence(event.timing)
        elif isinstance(event, Note):
            self.told.take_in(event)
        return False

    def waiting(self, status: str) -> View:
        return view.of_take(self.take, state=view.WAITING, status=status)

    def view(self, seconds_at_work: float) -> View:
        return view.of_take(
            self.take,
            state=view.SPEAKING,
            progress=self._job.progress,
            status=view.speaking_status(self._job, len(self.take), self._reached, seconds_at_work),
            notes=self.told.notes,
        )

    def finish(self, seconds_at_work: float) -> View:
        return view.of_take(
            self.take,
            state=view.DONE,
            progress=1.0,
            status=view.ended_status(self._job, self.take, seconds_at_work),
            notes=self.told.notes,
        )

    def stop(self) -> View:
        """What is there when the job was cancelled: what was made stays."""
        status = view.ended_status(self._job, self.take, 0.0)
        return view.of_take(self.take, state=view.STOPPED, status=status, notes=self.told.notes)


class Retake:
    """Puts what a job makes in the place of one sentence, once it is whole."""

    def __init__(self, take: Take, number: int, job: Job) -> None:
        self.take = take
        self.told = Told()
        self._number = number
        self._job = job
        self._sound: list[np.ndarray] = []
        self._timings: list[SentenceTiming] = []

    def take_in(self, event: Event) -> bool:
        if isinstance(event, Sound):
            self._sound.append(event.samples)
        elif isinstance(event, SentenceDone):
            self._timings.append(event.timing)
        elif isinstance(event, Note):
            self.told.take_in(event)
        return False

    def waiting(self, status: str) -> View:
        return self._busy(status)

    def view(self, seconds_at_work: float) -> View:  # noqa: ARG002 (a Recording shows its speed)
        return self._busy(f"Making sentence {self._number + 1} again …")

    def finish(self, seconds_at_work: float) -> View:
        """Put the new sentence in.

        Raises:
            EngineFailure: it has no sound.
            StorageError: the disk is full.
        """
        if not self._timings:
            raise EngineFailure(
                f"Sentence {self._number + 1} came out empty.", "", "The old one stays."
            )
        first, last = self._timings[0].start, self._timings[-1].end
        rate = self._job.sample_rate
        samples = np.concatenate(self._sound)[round(first * rate) : round(last * rate)]
        words = [
            CaptionWord(word.text, word.start - first, word.end - first)
            for timing in self._timings
            for word in timing.words
        ]
        self.take.replace(self._number, samples, words, made_with(self._job.plan))
        status = f"Sentence {self._number + 1} made again in {view.duration(seconds_at_work)}"
        return view.of_take(
            self.take, state=view.DONE, progress=1.0, status=status, notes=self.told.notes
        )

    def stop(self) -> View:
        status = f"Stopped: sentence {self._number + 1} is as it was."
        return view.of_take(self.take, state=view.DONE, progress=1.0, status=status)

    def _busy(self, status: str) -> View:
        return view.of_take(self.take, state=view.AGAIN, busy=self._number, status=status)
