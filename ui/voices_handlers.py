"""The list of voices: each handler finds whose it is, calls the studio, formats."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder

from engines.api import CancelToken, SpeechRequest
from engines.errors import (
    BadReference,
    Cancelled,
    EngineFailure,
    InvalidRequest,
    StorageError,
    VivavoceError,
)
from studio import speaker
from studio.jobs import Sound
from studio.kept import forget
from studio.studio import Studio
from studio.voices import NoSuchVoice, VoiceLibrary
from ui import kept_view, voices_view
from ui.asked import text
from ui.owner import owner_of
from ui.view import alert
from ui.voices_sound import Shown, played, silent, sound
from ui.voices_view import LONGEST_TRIAL
from ui.voices_visits import Visits

LISTED = 50  # voices at once, and more of them each time that more are asked for
MOST_LISTED = 5_000
ALIKE = 20  # voices found by sound


class Lists:
    """Bound methods for the tab's events. What an event carries is read with care: anyone can send
    anything.

    Args:
        keep_track: told of each file for download, so that Gradio deletes it after some hours.
    """

    def __init__(self, studio: Studio, visits: Visits, keep_track: Callable[[str], object]) -> None:
        self._studio = studio
        self._visits = visits
        self._keep_track = keep_track

    def look(self, visitor: gr.Request, event: gr.EventData) -> Shown:
        """The list {query, limit, open, like}."""
        return self.page(visitor, carried(event))

    def open(self, visitor: gr.Request) -> Shown:
        """The tab was chosen."""
        return self.page(visitor, {})

    def like(self, visitor: gr.Request) -> Shown:
        """Voices that sound like the clip."""
        return self.page(visitor, {"like": True})

    def rename(self, visitor: gr.Request, event: gr.EventData) -> Shown:
        """Give {voice} another {name}."""
        asked, owner = carried(event), owner_of(self._studio, visitor)
        with self._told():
            self._library.rename(owner, text(asked, "voice"), text(asked, "name"))
        return self.page(visitor, asked)

    def remove(self, visitor: gr.Request, event: gr.EventData) -> Shown:
        """Delete {voice}."""
        asked, owner = carried(event), owner_of(self._studio, visitor)
        with self._told():
            self._library.delete(owner, text(asked, "voice"))
        return self.page(visitor, {**asked, "open": ""})

    def forget(self, visitor: gr.Request, event: gr.EventData) -> Shown:
        """Let go of the voice that is kept under a name as {voice}."""
        asked = carried(event)
        with self._told():
            forget(self._studio, text(asked, "voice"))
        return self.page(visitor, asked)

    def export(self, visitor: gr.Request, event: gr.EventData) -> str:
        """A zip of {voice}. Output: file."""
        owner = owner_of(self._studio, visitor)
        with self._told():
            voice = self._library.get(owner, text(carried(event), "voice"))
            # nobody can guess the folder, from which Gradio serves downloads
            folder = Path(get_upload_folder()) / secrets.token_hex(32)
            path = folder / f"{_file_name(voice.name)}.voice.zip"
            try:
                folder.mkdir(parents=True)
            except OSError as error:
                raise StorageError(
                    f"The file could not be written ({error.strerror}).", "", "Free some space."
                ) from error
            self._keep_track(str(path))
            return str(self._library.export_zip(owner, voice.id, path))

    def take_in(self, visitor: gr.Request, path: str | None) -> Shown:
        """A voice file was chosen."""
        if path is None:
            return gr.skip()
        owner = owner_of(self._studio, visitor)
        try:
            with self._told():
                voice = self._library.import_zip(owner, uploaded(path))
        finally:
            remove_upload(path)
        return self.page(visitor, {"open": voice.id})

    # sound

    def play(self, visitor: gr.Request, event: gr.EventData) -> Shown:
        """The {clip} of {voice}, or its first one. Output: player."""
        asked, owner = carried(event), owner_of(self._studio, visitor)
        try:
            voice = self._library.get(owner, text(asked, "voice"))
            clip_id = asked.get("clip") or voice.clips[0].id
            wav = self._library.clip_wav(owner, voice.id, str(clip_id))
        except VivavoceError as error:
            return silent(*parts_of(self._studio, error))
        return played(voice.name, wav, "audio/wav")

    def speak(self, visitor: gr.Request, event: gr.EventData) -> Iterator[Shown]:
        """Say {text} with {voice} and {engine}. Output: player."""
        asked, owner = carried(event), owner_of(self._studio, visitor)
        visit = self._visits.of(session_of(visitor))
        try:
            voice = self._library.get(owner, text(asked, "voice"))
            engine, words = text(asked, "engine"), text(asked, "text")[:LONGEST_TRIAL]
            request = SpeechRequest(words, engine=engine, voice=voice.id, owner=owner, door="page")
            job = self._studio.submit(request)
        except VivavoceError as error:
            yield silent(*parts_of(self._studio, error))
            return
        if visit.job is not None:
            visit.job.cancel()
        visit.job = job
        title = f"{voice.name} · {self._studio.engine(engine).capability.title}"
        yield {**silent(), "title": title, "said": "Speaking …"}
        try:
            samples = [event.samples for event in job.events() if isinstance(event, Sound)]
            yield sound(title, np.concatenate(samples), job.sample_rate)
        except Cancelled:
            yield silent()
        except VivavoceError as error:
            yield silent(*parts_of(self._studio, error))
        finally:
            job.cancel()

    def hush(self, visitor: gr.Request) -> None:
        """The player was closed."""
        visit = self._visits.of(session_of(visitor))
        if visit.job is not None:
            visit.job.cancel()

    # parts

    @property
    def _library(self) -> VoiceLibrary:
        return self._studio.voices_library

    def page(self, visitor: gr.Request, asked: dict[str, Any]) -> Shown:
        owner = owner_of(self._studio, visitor)
        view = _view(asked)
        opened = None
        try:
            if view["like"]:
                rows = self._alike(visitor, owner)
                total = len(rows)
            else:
                page = self._library.search(owner, view["query"], limit=view["limit"])
                rows, total = [(voice, None) for voice in page.voices], page.total
            with contextlib.suppress(NoSuchVoice):
                opened = self._library.get(owner, view["open"]) if view["open"] else None
        except VivavoceError as error:
            return {**voices_view.broken(parts_of(self._studio, error)), "view": view}
        whole = not view["like"] and not view["query"].strip()
        found = voices_view.voices(
            rows,
            total,
            query=view["query"],
            like=view["like"],
            opened=opened,
            cloners=self._studio.cloners(),
            kept=kept_view.kept(self._studio) if whole else "",
        )
        return {**found, "view": view}

    def _alike(self, visitor: gr.Request, owner: str) -> list[tuple[Any, float | None]]:
        draft = self._visits.of(session_of(visitor)).draft
        if draft is None:
            raise BadReference("There is no clip to compare with.", "", "Choose one first.")
        if draft.embedding is None:
            embed = embedder(self._studio)
            draft.embedding = embed(draft.prepared.samples, draft.prepared.sample_rate)
        return list(self._library.near(owner, draft.embedding, ALIKE))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Errors as a message over the page, which stays as it is."""
        try:
            yield
        except VivavoceError as error:
            raise gr.Error(
                " ".join(parts_of(self._studio, error)), print_exception=False
            ) from error


def parts_of(studio: Studio, error: VivavoceError) -> Sequence[str]:
    """The error in words; on a shared machine nothing about the host."""
    if studio.settings.shared and isinstance(error, StorageError | EngineFailure):
        return ("This could not be done.", "Try again; if it stays, tell whoever runs it.")
    return alert(error)


def embedder(
    studio: Studio, cancel: CancelToken | None = None
) -> Callable[[np.ndarray, int], np.ndarray]:
    """The speaker encoder, counted among what is in memory."""
    return lambda samples, rate: speaker.embed(samples, rate, memory=studio.memory, cancel=cancel)


def uploaded(path: str) -> Path:
    """
    Raises:
        InvalidRequest: it is no file that was uploaded. Gradio looks too; this costs nothing.
    """
    if not _is_uploaded(path):
        raise InvalidRequest("The file was not uploaded here.", "", "Choose it again.")
    return Path(path)


def remove_upload(path: str) -> None:
    """Delete an uploaded file once it was read, and no other: a clip that nobody agreed to keep
    does not stay on the disk."""
    if _is_uploaded(path):
        with contextlib.suppress(OSError):
            Path(path).unlink()


def _is_uploaded(path: str) -> bool:
    return Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())


def _file_name(name: str) -> str:
    return "-".join(re.findall(r"\w+", name)).lower()[:60] or "voice"


def _view(asked: dict[str, Any]) -> dict[str, Any]:
    """What of the list is asked for, whatever was sent."""
    query, limit, opened = asked.get("query"), asked.get("limit"), asked.get("open")
    whole = isinstance(limit, int) and not isinstance(limit, bool)
    return {
        "query": query[:200] if isinstance(query, str) else "",
        "limit": min(max(limit, LISTED), MOST_LISTED) if whole else LISTED,
        "open": opened if isinstance(opened, str) else "",
        "like": asked.get("like") is True,
    }


def carried(event: gr.EventData) -> dict[str, Any]:
    return event._data if isinstance(event._data, dict) else {}


def session_of(visitor: gr.Request) -> str:
    return visitor.session_hash or ""
