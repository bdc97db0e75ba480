"""What one visitor works on: at most one job at a time, and the take that it made."""

from __future__ import annotations

import dataclasses
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engines.api import SpeechRequest
from engines.errors import Cancelled, InvalidRequest, VivavoceError
from studio.jobs import Job, JobState, Plan
from studio.kept import keep
from studio.presets import StarterVoice
from studio.studio import Studio
from studio.take import Take, remove_old
from ui import seeds, view
from ui.recording import Recording, Retake, Told, made_with
from ui.view import View

VIEW_EVERY = 0.2  # seconds between two looks at a job
HOUR = 3600.0
KEPT_AFTER_LEAVING = HOUR  # a laptop that slept comes back to its take
KEPT_UNUSED = 24 * HOUR


class Desk:
    """One visitor's job and take. One thread speaks; any thread may cancel or read the take."""

    def __init__(self, studio: Studio, new_take: Callable[[int, dict[str, Any]], Take]) -> None:
        self.take: Take | None = None
        self._studio = studio
        self._new_take = new_take
        self._job: Job | None = None
        self._said: dict[str, Any] = {}  # of the take; stands until something else is said
        self._made: tuple[str, str, str] | None = None  # a voice's engine, id and language

    def speak(self, request: SpeechRequest) -> Iterator[View]:
        """Speak a text into a new take, which replaces the old one once it sounds; views of it.

        Raises:
            VivavoceError: the request was refused; the old take stays.
        """
        job = self._submit(request)
        fixed = seeds.why_fixed(self._studio, job.plan)
        take = self._new_take(job.sample_rate, made_with(job.plan))
        recording = Recording(take, job)
        for shown in self._follow(job, recording):
            if take.frames and self.take is not take:
                self.put_away()
                self.take = take
            elif shown.state == view.STOPPED and not take.frames:
                shown = self.now(state=view.STOPPED, status="Stopped before the first sound.")
            yield self._say(shown, job.plan, fixed, recording.told)

    def speak_again(self, number: int, request: SpeechRequest) -> Iterator[View]:
        """Make one sentence of the take again, by a request that holds its text.

        Raises:
            VivavoceError: the request was refused; the old sentence stays.
        """
        take = self.taken()
        plan = self._studio.plan(request)
        fixed = seeds.why_fixed(self._studio, plan)
        _check_change(take, number, plan.sample_rate, made_with(plan), fixed)
        job = self._submit(dataclasses.replace(request, seed=plan.seed))
        retake = Retake(take, number, job)
        for shown in self._follow(job, retake):
            yield self._say(shown, plan, fixed, retake.told)

    def keep(self, name: str) -> StarterVoice:
        """Keep the voice that was made up under a name.

        Raises:
            InvalidRequest: there is none, or the name does not do.
            StorageError: it could not be written.
        """
        if self._made is None:
            raise InvalidRequest(
                "There is no voice to keep.", "", "Speak with a voice that is made up first."
            )
        engine, voice, language = self._made
        kept = keep(self._studio, name, voice, engine=engine, language=language)
        self._made = None
        self._said["made"] = ""
        return kept

    def taken(self) -> Take:
        """
        Raises:
            InvalidRequest: nothing was spoken yet.
        """
        if self.take is None:
            raise InvalidRequest("Nothing was spoken yet.", "", "Press Speak first.")
        return self.take

    def sentence_text(self, number: int) -> str:
        """
        Raises:
            InvalidRequest: there is no take, or no such sentence in it.
        """
        return self.taken().sentence(number).text

    def cancel(self) -> None:
        """Stop what is in work, within one chunk. What was made stays."""
        job = self._job
        if job is not None:
            job.cancel()

    def put_away(self) -> None:
        """Let go of the take."""
        if self.take is not None:
            self.take.delete()
            self.take = None

    def now(self, **values: Any) -> View:
        """The take as it is, with something said about it."""
        return view.of_take(self.take, **{**self._said, **values})

    @property
    def seed(self) -> int | None:
        """The seed that was used last."""
        return self._said.get("seed")

    def _say(self, shown: View, plan: Plan, fixed: str, told: Told) -> View:
        notes, made = shown.notes, told.made.voice if told.made else ""
        kept = [one.voice for one in self._studio.kept.voices() if one.engine == plan.engine]
        if told.made and self._studio.settings.shared:  # where nothing is kept its id has to do
            notes, made = (*notes, told.made.message), ""
        elif made in kept:
            made = ""
        self._made = (plan.engine, made, plan.language) if made else None
        self._said = {"status": shown.status, "seed": plan.seed, "fixed": fixed, "made": made}
        return dataclasses.replace(shown, notes=notes, seed=plan.seed, fixed=fixed, made=made)

    def _submit(self, request: SpeechRequest) -> Job:
        job = self._studio.submit(request)
        self.cancel()
        self._job = job
        return job

    def _follow(self, job: Job, recording: Recording | Retake) -> Iterator[View]:
        """Views of a job from the queue to its end, however it ends."""
        try:
            yield from self._wait(job, recording)
            started = due = time.monotonic()
            for event in job.events():
                at_once = recording.take_in(event)
                now = time.monotonic()
                if now >= due or at_once:
                    due = now + VIEW_EVERY
                    yield recording.view(now - started)
            yield recording.finish(time.monotonic() - started)
        except Cancelled:
            yield recording.stop()
        except VivavoceError as error:
            yield self.now(state=view.FAILED, alert=view.alert(error), notes=recording.told.notes)
        finally:
            if not job.state.ended:
                job.cancel()
            if self._job is job:
                self._job = None

    def _wait(self, job: Job, recording: Recording | Retake) -> Iterator[View]:
        pause = 0.01
        while job.state is JobState.QUEUED:
            ahead = self._studio.queue_position(job) - 1
            yield recording.waiting(view.waiting_status(ahead))
            time.sleep(pause)
            pause = min(2 * pause, VIEW_EVERY)


def _check_change(take: Take, number: int, rate: int, new: dict[str, Any], fixed: str) -> None:
    """
    Raises:
        InvalidRequest: the sentence would come out as it is, or would not fit in.
    """
    old = take.sentence(number).made_with
    if rate != take.sample_rate:
        raise InvalidRequest(
            f"The engine {new['engine']} gives {rate} Hz, and this take has {take.sample_rate} Hz.",
            f"A sentence is made again with an engine of the same rate, such as {old['engine']}.",
            "Choose that engine, or speak the whole text again.",
        )
    if fixed and {**old, "seed": None} == {**new, "seed": None}:
        raise InvalidRequest(f"This sentence would sound the same again: {fixed}")


class Desks:
    """The desks of all visitors, by session.

    Args:
        clock: seconds, only ever compared.
    """

    def __init__(self, studio: Studio, clock: Callable[[], float] = time.monotonic) -> None:
        self._studio = studio
        self._clock = clock
        self._lock = threading.Lock()
        self._desks: dict[str, Desk] = {}
        self._expires: dict[str, float] = {}
        self._takes: weakref.WeakValueDictionary[str, Take] = weakref.WeakValueDictionary()
        remove_old(self._folder, KEPT_UNUSED)

    def of(self, session: str | None) -> Desk:
        """The desk of a visitor, made at the first visit."""
        key = session or ""
        with self._lock:
            self._clear_away()
            if key not in self._desks:
                self._desks[key] = Desk(self._studio, self._new_take)
            self._expires[key] = self._clock() + KEPT_UNUSED
            return self._desks[key]

    def leave(self, session: str | None) -> None:
        """The visitor closed or reloaded the page: nobody listens to the job any more."""
        key = session or ""
        with self._lock:
            if key in self._desks:
                self._desks[key].cancel()
                self._expires[key] = self._clock() + KEPT_AFTER_LEAVING

    def owns(self, session: str | None, job: Job) -> bool:
        desk = self._desks.get(session or "")
        return desk is not None and desk._job is job

    def take(self, take_id: str) -> Take:
        """
        Raises:
            InvalidRequest: there is none of that id any more.
        """
        take = self._takes.get(take_id)
        if take is None:
            raise InvalidRequest("This take is gone.", "", "Press Speak to make it again.")
        return take

    @property
    def _folder(self) -> Path:
        return self._studio.settings.cache_dir / "takes"

    def _new_take(self, sample_rate: int, how: dict[str, Any]) -> Take:
        take = Take(self._folder, sample_rate, how)
        self._takes[take.id] = take
        return take

    def _clear_away(self) -> None:
        now = self._clock()
        for key in [key for key, expires in self._expires.items() if expires <= now]:
            del self._expires[key]
            desk = self._desks.pop(key)
            desk.cancel()
            desk.put_away()
