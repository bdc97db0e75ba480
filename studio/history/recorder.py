"""What one job makes, kept while it is made."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import numpy as np

from engines.errors import StorageError, VivavoceError
from studio.formats import Tags
from studio.history.records import TakeState
from studio.history.sound import SoundWriter
from studio.jobs import Event, Job, SentenceDone, SentenceTiming, Sound

if TYPE_CHECKING:
    from studio.history.history import History

log = logging.getLogger("vivavoce.history")


class Recorder:
    """Keeps one take; for the one thread that makes it. Nothing that goes wrong here stops the
    speech: the take is marked, and whoever listens is told once.

    Args:
        number: of its row.
        trouble: why nothing can be kept, where that is known already.
    """

    def __init__(
        self, history: History, job: Job, take_id: str, number: int, trouble: str = ""
    ) -> None:
        plan = job.plan
        self.id = take_id
        self._history = history
        self._number = number
        self._submitted = job.submitted
        self._first_sound: float | None = None
        self._lost = trouble
        self._untold = bool(trouble)
        tags = Tags(plan.text, plan.engine, plan.voice.id)
        self._sound = SoundWriter(history.path(take_id), job.sample_rate, tags)

    def take_in(self, event: Event) -> str:
        """Keep what an event brings.

        Returns:
            What the listener has to know, once; "" otherwise.
        """
        try:
            if isinstance(event, Sound):
                self.append(event.samples)
            elif isinstance(event, SentenceDone) and event.timing.text.strip():
                self.sentence(event.timing)
        except StorageError as error:
            log.warning("take %s: %s", self.id, error)
            self._lost, self._untold = str(error), True
        told, self._untold = (self._lost if self._untold else ""), False
        return told

    def append(self, samples: np.ndarray) -> None:
        """Add float32 [T].

        Raises:
            StorageError: the disk is full; what was there before stays whole.
        """
        if self._first_sound is None:
            self._first_sound = time.monotonic() - self._submitted
        if not self._lost:  # sound after a gap would not be the take
            self._sound.append(samples)

    def sentence(self, timing: SentenceTiming) -> None:
        """Note a sentence whose sound was appended.

        Raises:
            StorageError: the disk is full.
        """
        if not self._lost:
            self._sound.sentence(timing)

    def end(self, outcome: str, error: VivavoceError | None = None) -> None:
        """The take is done, cancelled or failed. A cancelled one without sound is forgotten.

        Args:
            outcome: value of a `TakeState`.
        """
        state, there = TakeState(outcome), self._sound.close()
        if not self._number:
            return
        try:
            if state is TakeState.CANCELLED and not there.frames:
                self._history.forget(self._number, self.id)
                return
            values: dict[str, object] = {
                "state": state.value,
                "frames": there.frames,
                "sentences": there.sentences,
                "bytes": there.bytes,
                "first_sound": self._first_sound,
                "whole": time.monotonic() - self._submitted,
                "error": str(error or ""),
                "lost": self._lost,
            }
            self._history.ended(self._number, self.id, values)
        except StorageError as failure:
            log.warning("take %s could not be put away: %s", self.id, failure)
