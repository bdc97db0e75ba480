"""What happens on the History tab: each handler finds whose it is, calls the history, formats."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from engines.api import SpeechRequest
from engines.errors import InvalidRequest, VivavoceError
from studio.history import History, NoSound, TakeRecord, TakeState, TakeUnfinished, request_of
from studio.jobs import Job
from studio.studio import Studio
from ui import export, history_view, view
from ui.asked import answered, number, text
from ui.history_view import View
from ui.owner import owner_of
from ui.view import duration

LOOK_EVERY = 0.3  # seconds between two views of a take that is being made again
LONGEST_READ = 60.0  # seconds of sound in one answer
MOST_BARS = 2_000

Shown = dict[str, Any]


class Handlers:
    """Bound methods for the tab's events. What an event carries is read with care: anyone can send
    anything.

    Args:
        fill: puts a request into the form of the Speak tab; gives `outputs` values.
    """

    def __init__(
        self, studio: Studio, fill: Callable[[SpeechRequest], tuple[Any, ...]], outputs: int
    ) -> None:
        self._studio = studio
        self._fill = fill
        self._outputs = outputs

    def open(self, visitor: gr.Request, shown: Any) -> Shown:
        """The tab was chosen: what was looked for, as it is now."""
        query = shown.get("query") if isinstance(shown, dict) else ""
        return self._page(visitor, {"query": query if isinstance(query, str) else ""})

    def look(self, visitor: gr.Request, event: gr.EventData) -> Shown:
        """The page {query, before}."""
        return self._page(visitor, event._data)

    def pin(self, visitor: gr.Request, event: gr.EventData) -> Shown:
        """Keep the take {take} for good, or no longer: {pinned}."""

        def act(history: History, owner: str) -> str:
            pinned = event._data.get("pinned") is True
            history.pin(owner, text(event._data, "take"), pinned)
            return "Pinned: it stays whatever room is needed." if pinned else "No longer pinned."

        return self._page(visitor, event._data, act)

    def remove(self, visitor: gr.Request, event: gr.EventData) -> Shown:
        """Delete the take {take}."""

        def act(history: History, owner: str) -> str:
            history.delete(owner, text(event._data, "take"))
            return "Deleted."

        return self._page(visitor, event._data, act)

    def again(self, visitor: gr.Request, event: gr.EventData) -> Iterator[Shown]:
        """Speak the take {take} anew, with the same seed, and say whether it came out the same."""
        asked = {"query": "", "before": None}  # the new one is at the top
        try:
            history, owner = self._studio.history, owner_of(self._studio, visitor)
            old = history.get(owner, text(event._data, "take"))
            job = self._studio.submit(request_of(old, history.text(old), door="page"))
            here = self._page(visitor, event._data)
            for progress in _progress(job):
                yield {**here, "busy": old.id, "said": f"Making it again … {progress:.0%}"}
            said, compare = self._outcome(history, old, job)
        except VivavoceError as error:
            yield {**self._page(visitor, event._data), "alert": view.alert(error)}
            return
        yield {**self._page(visitor, asked), "said": said, "compare": compare}

    @staticmethod
    def _outcome(history: History, old: TakeRecord, job: Job) -> tuple[str, tuple[str, ...]]:
        """What to say of a take that was made again, and what to listen to."""
        if not job.take_id:
            return "Made again, but not kept: the history is switched off (--history).", ()
        new = history.find(job.take_id)
        if not old.frames:
            return f"Made again: {duration(new.seconds)} of audio.", ()
        result = history.compare(old, new)
        if result.differs_at is None:
            return "Made again: the same, sample for sample.", ()
        if old.state is not TakeState.DONE and result.differs_at >= old.seconds:
            return "Made again: the same as far as the old one goes.", (old.id, new.id)
        return (
            f"Made again: it differs from {result.differs_at:.2f} s on. Listen to both in turn.",
            (old.id, new.id),
        )

    def open_in_speak(self, visitor: gr.Request, event: gr.EventData) -> tuple[Any, ...]:
        """Put the take {take} into the form of the Speak tab. Outputs: panel, tabs, the form."""
        try:
            history, owner = self._studio.history, owner_of(self._studio, visitor)
            take = history.get(owner, text(event._data, "take"))
            filled = self._fill(request_of(take, history.text(take)))
        except VivavoceError as error:
            alert = {**self._page(visitor, event._data), "alert": view.alert(error)}
            return alert, *[gr.skip()] * (1 + self._outputs)
        return gr.skip(), gr.Tabs(selected="speak"), *filled

    def download(self, visitor: gr.Request, event: gr.EventData) -> tuple[Any, str | None]:
        """A file of the take {take}: {what}, {format}. Outputs: panel, file."""
        try:
            history, owner = self._studio.history, owner_of(self._studio, visitor)
            take = _heard(history.get(owner, text(event._data, "take")))
            path = export.write_file(
                take.excerpt,
                text(event._data, "what"),
                text(event._data, "format"),
                lambda path, fmt: history.export(take, fmt, path),
                lambda: history.timings(take),
            )
        except VivavoceError as error:
            return {**self._page(visitor, event._data), "alert": view.alert(error)}, None
        return gr.skip(), str(path)

    def _page(
        self, visitor: gr.Request, asked: Any, act: Callable[[History, str], str] | None = None
    ) -> Shown:
        """Do something, then show the page that was asked for."""
        said, alert = "", ()
        try:
            query, before = _asked(asked)
            history, owner = self._studio.history, owner_of(self._studio, visitor)
            if act is not None:
                try:
                    said = act(history, owner)
                except VivavoceError as error:
                    alert = view.alert(error)
            page = history.page(owner, query, before)
            if not page.takes and before is not None:  # all of that page were deleted
                before, page = None, history.page(owner, query)
            return history_view.of_page(
                page,
                history.totals(),
                {one.name: one for one in self._studio.capabilities()},
                query=query,
                before=before,
                count=history.count(owner),
                said=said,
                alert=alert,
            ).as_json()
        except VivavoceError as error:
            return View(alert=view.alert(error)).as_json()


def server_functions(studio: Studio) -> tuple[Callable[[Any], dict[str, Any]], ...]:
    """What the page asks for beside: sound, waveform, loudness and whole text of a take by its id,
    which only those know to whom it was shown."""

    def read_take(asked: Any) -> dict[str, Any]:
        """16-bit little-endian samples, as base64."""

        def answer() -> dict[str, Any]:
            take = _heard(studio.history.find(text(asked, "take")))
            start, count = number(asked, "start"), number(asked, "count")
            most = int(LONGEST_READ * take.sample_rate)
            pcm = studio.history.pcm(take, min(start, take.frames), min(count, most))
            return {"pcm": base64.b64encode(pcm).decode()}

        return answered(answer)

    def take_peaks(asked: Any) -> dict[str, Any]:
        def answer() -> dict[str, Any]:
            take = _heard(studio.history.find(text(asked, "take")))
            return {"peaks": studio.history.peaks(take, min(number(asked, "bars"), MOST_BARS))}

        return answered(answer)

    def take_facts(asked: Any) -> dict[str, Any]:
        """For listening in turn: how long, how loud, by whom."""

        def answer() -> dict[str, Any]:
            take = _heard(studio.history.find(text(asked, "take")))
            engines = {one.name: one for one in studio.capabilities()}
            loudness = studio.history.loudness(take)
            heard = (
                f"{loudness:.1f} LUFS".replace("-", "−") if math.isfinite(loudness) else "silent"
            )
            return {**history_view.row(take, engines), "loudness": heard}

        return answered(answer)

    def take_text(asked: Any) -> dict[str, Any]:
        return answered(
            lambda: {"text": studio.history.text(studio.history.find(text(asked, "take")))}
        )

    return read_take, take_peaks, take_facts, take_text


def _progress(job: Job) -> Iterator[float]:
    """Shares of the work, now and then until it is done. Leaving it cancels the job."""
    due = 0.0
    for _ in job.events():
        if time.monotonic() >= due:
            due = time.monotonic() + LOOK_EVERY
            yield job.progress


def _heard(take: TakeRecord) -> TakeRecord:
    """
    Raises:
        TakeUnfinished, NoSound: there is nothing to hear yet, or at all.
    """
    if take.state is TakeState.UNFINISHED:
        raise TakeUnfinished
    if not take.frames:
        raise NoSound
    return take


def _asked(asked: Any) -> tuple[str, int | None]:
    query, before = text(asked, "query"), asked.get("before")
    if before is not None and (isinstance(before, bool) or not isinstance(before, int)):
        raise InvalidRequest(f"before was {before!r:.80}.", "It takes a whole number.")
    return query, None if before is None else min(max(before, 0), 1 << 62)
