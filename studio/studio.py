"""What UI, server and command line share: a request is routed, queued, worked on, cancelled."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines import registry
from engines.api import (
    CancelToken,
    Capability,
    Controls,
    Converter,
    Engine,
    EngineContext,
    SpeechRequest,
    Voice,
)
from engines.errors import (
    Cancelled,
    EngineFailure,
    OutOfMemory,
    QueueFull,
    StorageError,
    VivavoceError,
)
from engines.memory import MemoryManager
from engines.runtime import device as devices
from engines.text import STARTER, Lexicon
from studio import longform, presets
from studio.cloning import Cloning
from studio.conversion import ConversionRequest, Conversions
from studio.counters import Counters
from studio.delivery import DeliverySettings
from studio.history import History, kept
from studio.jobs import Job, JobState, Note, Plan
from studio.kept import KeptVoices
from studio.route import Router
from studio.settings import Settings

if TYPE_CHECKING:
    from studio.models import ModelShelf
    from studio.voices import VoiceLibrary

log = logging.getLogger("vivavoce.studio")

# A worker whose listener reads at the pace of speech mostly waits, so a few more than cores are
# kept: two people who listen to a book must not make everyone else wait.
LEAST_WORKERS = 8


class Studio:
    """One queue for every front door, a few workers, the engines, and what they share.

    Args:
        settings: paths and limits.

    Raises:
        StorageError: the data folders cannot be made.
        UnknownDevice: the default device is not there.
        BadPreset, BadLexicon: a file of the user's is broken; the message names file and line.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        default_device = devices.parse(settings.device)
        if default_device is not None:  # an absent default is said at start, not at each request
            devices.resolve(settings.device, (default_device.runtime,))
        settings.make_folders()
        _begin_lexicon(settings.lexicon_dir)
        self.shipped = presets.load(settings.presets_dir)
        self.kept = KeptVoices(settings.own_presets_dir / "voices", self.shipped)
        self.lexicon = Lexicon.load(settings.lexicon_dir)
        self.memory = MemoryManager(budget=settings.memory_budget, idle_ttl=settings.idle_ttl)
        self.counters = Counters()
        self._engines: dict[str, Engine] = {}
        self._jobs: dict[str, Job] = {}
        self._waiting: queue.Queue[Job | None] = queue.Queue(maxsize=settings.max_queued)
        self._lock = threading.Lock()
        self._history: History | None = None
        self._opening = threading.Lock()  # for what is opened when it is first needed
        self._workers: list[threading.Thread] = []
        self._closed = False
        self._library: VoiceLibrary | None = None
        self._shelf: ModelShelf | None = None
        self._cloning = Cloning(lambda: self.voices_library, self.cloners)
        self._router = Router(settings, lambda: self.presets, self.engine, self._cloning)
        self._conversion = Conversions(
            settings, lambda: self.voices_library, self.capabilities, self.engine
        )

    # engines and voices

    def capabilities(self) -> tuple[Capability, ...]:
        return tuple(registry.engine_class(name).capability for name in registry.names())

    def cloners(self) -> tuple[Capability, ...]:
        """Engines that speak with stored voices, the best first. One that takes the nearest of its
        own voices for them comes last, and has to have some."""
        able = [one for one in self.capabilities() if one.clones and self._clones_now(one)]
        return tuple(sorted(able, key=lambda one: one.approximates))

    def _clones_now(self, capability: Capability) -> bool:
        engine = self.engine(capability.name)
        if capability.approximates:
            return bool(engine.voices())
        can_clone = getattr(engine, "can_clone", None)
        return can_clone is None or can_clone()

    def controls(self, engine: str) -> type[Controls]:
        return registry.engine_class(engine).controls

    def controls_of(self, engine: str, voice: str | None) -> frozenset[str] | None:
        """Names of an engine's controls that a voice has; None where each voice has all."""
        asked = getattr(self.engine(engine), "controls_of", None)
        if asked is None or voice is None:
            return None
        starters = {each.id: each.voice for each in self.presets.voices if each.engine == engine}
        return frozenset(asked(starters.get(voice, voice)))

    def engine(self, name: str) -> Engine:
        """The one instance of an engine, made when first asked for.

        Raises:
            UnknownEngine: there is no such engine.
        """
        with self._lock:
            if name not in self._engines:
                context = EngineContext(self.settings.models, self.settings.cache_dir, self.memory)
                self._engines[name] = registry.engine_class(name)(context)
            return self._engines[name]

    @property
    def presets(self) -> presets.Presets:
        """Those that come with the program, and after its voices those that were kept."""
        voices = (*self.shipped.voices, *self.kept.voices())
        return presets.Presets(self.shipped.engines, voices)

    def voices(self, engine: str | None = None) -> tuple[Voice, ...]:
        """Starter voices of engines that can speak now, then every engine's own, the default
        first."""
        named = registry.names() if engine is None else (engine,)
        own = {name: self.engine(name).voices() for name in named}
        starters = [voice.as_voice() for voice in self.presets.voices if own.get(voice.engine)]
        return (*starters, *(voice for voices in own.values() for voice in voices))

    # what is kept

    @property
    def history(self) -> History:
        """The takes that were made; opened when first asked for.

        Raises:
            StorageError: its folder cannot be used, or its database is damaged.
        """
        with self._opening:
            if self._history is None:
                settings = self.settings
                self._history = History(
                    settings.history_dir,
                    settings.history_bytes,
                    settings.history_takes,
                    likeness=self._likeness,
                )
            return self._history

    def _likeness(self, owner: str, voice: str, samples: np.ndarray, sample_rate: int) -> float:
        """How much a take sounds like the clips of its voice."""
        from studio import speaker

        clips = self.voices_library.embedding(owner, voice)
        return speaker.similarity(speaker.embed(samples, sample_rate, memory=self.memory), clips)

    @property
    def voices_library(self) -> VoiceLibrary:
        """The voices that were made from clips.

        Raises:
            StorageError: its folder cannot be used, or its database is damaged.
        """
        from studio.voices import VoiceLibrary

        with self._opening:
            if self._library is None:
                settings = self.settings
                self._library = VoiceLibrary(
                    settings.voices_dir, settings.cache_dir, memory=self.memory
                )
            return self._library

    @property
    def models(self) -> ModelShelf:
        """The published models: which are here, and how others come here."""
        from studio.models import ModelShelf

        with self._opening:
            if self._shelf is None:
                self._shelf = ModelShelf(self.settings)
            return self._shelf

    # requests

    def plan(self, request: SpeechRequest) -> Plan:
        """Check a request without speaking it.

        Raises:
            InvalidRequest: a value at fault, named in `param`.
        """
        return self._router.plan(request)

    def submit(self, request: SpeechRequest) -> Job:
        """Check a request and put it in the queue.

        Raises:
            InvalidRequest: a value at fault, named in `param`.
            QueueFull: too many requests wait already.
        """
        plan = self.plan(request)
        return self._queue(Job(plan, CancelToken(self._router.deadline(request))))

    def converters(self) -> tuple[Converter, ...]:
        """Models that say a clip in another voice, the default first."""
        return self._conversion.converters()

    def convert(self, request: ConversionRequest) -> Job:
        """Check a request for a clip in another voice, and put it in the queue.

        Raises:
            InvalidRequest: a value at fault, named in `param`.
            QueueFull: too many requests wait already.
        """
        plan, work = self._conversion.plan(request)
        deadline = self._router.deadline(plan.request)
        return self._queue(Job(plan, CancelToken(deadline), work=work))

    def _queue(self, job: Job) -> Job:
        with self._lock:
            if self._closed:
                raise Cancelled("The studio is shutting down.")
            try:
                self._waiting.put_nowait(job)
            except queue.Full:
                raise QueueFull(
                    f"{self.settings.max_queued} requests wait already.",
                    "No more are taken until one is done.",
                    "Try again in a few seconds.",
                ) from None
            self._jobs[job.id] = job
            self._start_workers()
        return job

    def jobs(self) -> tuple[Job, ...]:
        """Jobs that wait or are in work, oldest first."""
        with self._lock:
            return tuple(self._jobs.values())

    def queue_position(self, job: Job) -> int:
        """How many jobs are taken before this one; 0 when it is in work or ended."""
        ahead = 0
        for other in self.jobs():
            if other is job:
                return ahead + 1 if job.state is JobState.QUEUED else 0
            ahead += other.state is JobState.QUEUED
        return 0

    def close(self) -> None:
        """Cancel what is in work, end the workers, let go of engines and memory."""
        with self._lock:
            self._closed = True
            jobs, workers = list(self._jobs.values()), list(self._workers)
        for job in jobs:
            job.cancel(Cancelled("The studio is shutting down."))
        for _ in workers:
            with contextlib.suppress(queue.Full):  # a worker that hangs must not hang us
                self._waiting.put(None, timeout=10)
        for worker in workers:
            worker.join(timeout=10)
        for engine in self._engines.values():
            engine.close()
        for store in (self._history, self._library, self._shelf):
            if store is not None:
                store.close()
        self.memory.close()

    # work

    def _start_workers(self) -> None:
        wanted = self.settings.workers or max(LEAST_WORKERS, os.cpu_count() or 1)
        if len(self._workers) < wanted:
            worker = threading.Thread(
                target=self._work, name=f"speech-{len(self._workers)}", daemon=True
            )
            self._workers.append(worker)
            worker.start()

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            started = time.monotonic()
            error = self._run(job)
            if job.kept is not None:
                job.kept.end(_end_state(error).value, error)
            outcome = JobState.DONE.value if error is None else error.code
            with self._lock:
                self._jobs.pop(job.id, None)
            self.counters.count(
                outcome, job.characters_done, job.seconds_made, time.monotonic() - started
            )
            # last, so that whoever hears of the end finds the queue and the totals up to date
            job.end(_end_state(error), error)

    def _run(self, job: Job) -> VivavoceError | None:
        try:
            job.cancel_token.raise_if_set()
            job.state = JobState.RUNNING
            self._keep(job)
            if job.work is not None:
                job.work(job)
                return None
            plan, engine = job.plan, self.engine(job.plan.engine)
            voice = self._cloning.conditioned(
                plan.request.owner, plan.voice, engine, plan.device, job.cancel_token
            )
            delivery = DeliverySettings(loudness=self.settings.loudness)
            longform.speak(job, engine, voice, self.lexicon, delivery)
        except VivavoceError as error:
            return error
        except MemoryError:
            return OutOfMemory(
                "This machine ran out of memory while it spoke.",
                "",
                "Close other programs, lower --memory-budget, or send a shorter text.",
            )
        except Exception as error:
            log.exception("job %s failed in engine %s", job.id, job.plan.engine)
            return EngineFailure(
                f"The engine {job.plan.engine} broke: {type(error).__name__}: {error}.",
                "",
                "Try again; if it stays, the program's log says where it broke.",
            )
        return None

    def _keep(self, job: Job) -> None:
        if not kept(self.settings.history, job.plan.request.door):
            return
        try:
            job.kept = self.history.begin(job)
        except StorageError as error:  # a damaged history must not keep anyone from speaking
            job.emit(Note(f"This take is not kept in the history. {error}"))


def _begin_lexicon(folder: Path) -> None:
    """Leave a file that explains itself where there is no lexicon yet."""
    if any(folder.iterdir()):
        return
    try:
        (folder / "en.txt").write_text(STARTER, "utf-8")
    except OSError as error:
        raise StorageError(
            f"The folder {folder} cannot be written to ({error.strerror}).",
            "The lexicon is kept there.",
            "Free some space or put its rights in order, or give another folder with --data-dir.",
        ) from error


def _end_state(error: VivavoceError | None) -> JobState:
    if error is None:
        return JobState.DONE
    return JobState.CANCELLED if isinstance(error, Cancelled) else JobState.FAILED
