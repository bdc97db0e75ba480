"""What a person sees while `say` works: a bar on a terminal, one line at the end anywhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from engines import registry
from studio.jobs import Job, Note, SentenceDone, SentenceStarted, SentenceTiming, Sound
from studio.pace import pace

if TYPE_CHECKING:
    from rich.progress import Progress


class Listener:
    """Takes a job's events: passes the sound on, keeps the timings, shows the rest.

    Attributes:
        timings: of the sentences done so far.
    """

    def __init__(self, job: Job, *, quiet: bool) -> None:
        self.timings: list[SentenceTiming] = []
        self._job = job
        self._quiet = quiet
        self._started = time.monotonic()
        self._bar = None if quiet or not sys.stderr.isatty() else _bar()

    def __enter__(self) -> Listener:
        if self._bar is not None:
            self._task = self._bar.add_task("", total=len(self._job.plan.text), figures="")
            self._bar.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def sounds(self) -> Iterator[np.ndarray]:
        """The delivered audio, float32 [T], in order.

        Raises:
            VivavoceError: what ended the job, if it did not end well.
        """
        for event in self._job.events():
            if isinstance(event, Sound):
                yield event.samples
            elif isinstance(event, SentenceDone):
                self.timings.append(event.timing)
            elif isinstance(event, Note):
                self._print(f"Note: {event.message}")
            elif isinstance(event, SentenceStarted):
                self._show(event.utterance.start, event.utterance.index + 1)

    def summarise(self, title: str) -> None:
        job = self._job
        seed = registry.engine_class(job.plan.engine).capability.uses_seed
        self._print(
            f"{title}: {job.seconds_made:.1f} s of sound in {self._elapsed():.1f} s "
            f"({self._pace()}), voice {job.plan.voice.id}"
            + (f", seed {job.plan.seed}" if seed else "")
        )

    def _show(self, done: int, sentence: int) -> None:
        if self._bar is not None:
            figures = (
                f"sentence {sentence}, {self._job.seconds_made:.0f} s of sound, {self._pace()}"
            )
            self._bar.update(self._task, completed=done, figures=figures)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _pace(self) -> str:
        return pace(self._job.seconds_made, self._elapsed())

    def _print(self, line: str) -> None:
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
