"""What happens with a clip on the Voices tab before it is kept, and as it is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from html import escape
from queue import SimpleQueue
from typing import Any

import gradio as gr

from engines.api import CancelToken
from engines.errors import BadReference, Cancelled, InvalidRequest, StorageError, VivavoceError
from studio.reference import Clip, compare_voices, decode, prepare_clip
from studio.studio import Studio
from studio.voices import Consent, NewClip
from ui import voices_view
from ui.owner import owner_of
from ui.voices_handlers import (
    Lists,
    carried,
    embedder,
    parts_of,
    remove_upload,
    session_of,
    uploaded,
)
from ui.voices_sound import Shown, silent, sound
from ui.voices_visits import Draft, Visits

UNTICKED = (
    "Nothing was stored: the box is not ticked.",
    "A voice is kept only where the person agreed.",
    "Ask them, then tick the box.",
)


class Clips:
    """Bound methods for the events of a new clip."""

    def __init__(self, studio: Studio, visits: Visits, lists: Lists) -> None:
        self._studio = studio
        self._visits = visits
        self._lists = lists

    def take_clip(self, visitor: gr.Request, path: str | None) -> Iterator[tuple[Shown, Any]]:
        """A file was chosen or recorded. Outputs: clip, form."""
        if path is None:
            return
        most = self._studio.settings.max_upload

        def read(token: CancelToken) -> Clip:
            return decode(taken(path, most), cancel=token)

        yield from self._work(visitor, read, denoise=False)

    def denoise(self, visitor: gr.Request, event: gr.EventData) -> Iterator[tuple[Shown, Any]]:
        """The same clip with or without its noise: {on}. Outputs: clip, form."""
        draft = self._visits.of(session_of(visitor)).draft
        if draft is None:
            yield voices_view.empty(), gr.Column(visible=False)
            return
        clip = draft.prepared.original
        on = carried(event).get("on") is True
        yield from self._work(visitor, lambda _token: clip, denoise=on)

    def discard(self, visitor: gr.Request) -> tuple[Shown, Any]:
        """Outputs: clip, form."""
        self._visits.drop(session_of(visitor))
        return voices_view.empty(), gr.Column(visible=False)

    def listen(self, visitor: gr.Request, event: gr.EventData) -> Shown:
        """The clip as it is kept or as it was: {which}. Output: player."""
        draft = self._visits.of(session_of(visitor)).draft
        if draft is None:
            return silent("The clip is gone. Choose it again.")
        prepared = draft.prepared
        if carried(event).get("which") == "original":
            original = prepared.original
            return sound("The clip as it was", original.samples, original.sample_rate)
        return sound("The clip as it is kept", prepared.samples, prepared.sample_rate)

    def save(self, visitor: gr.Request, *given: Any) -> tuple[Any, ...]:
        """Keep the clip as a voice, where its speaker agreed. Outputs: clip, form, message, list,
        then the fields: name, language, tags, transcript, who, purpose, agreed."""
        name, language, tags, transcript, who, purpose, agreed = given
        draft = self._visits.of(session_of(visitor)).draft
        owner = owner_of(self._studio, visitor)
        try:
            _check_filled(
                {
                    "Name": name,
                    "Who speaks in the clip": who,
                    "What the voice may be used for": purpose,
                }
            )
            if agreed is not True:
                raise InvalidRequest(*UNTICKED)
            prepared = _usable(draft).prepared
            clip = NewClip(prepared.wav(), transcript or "", "", prepared.sha256)
            voice = self._studio.voices_library.add(
                owner,
                name or "",
                language or "",
                (tags or "").split(","),
                [clip],
                Consent(who or "", purpose or ""),
            )
        except VivavoceError as error:
            return gr.skip(), gr.skip(), _message(parts_of(self._studio, error)), *[gr.skip()] * 8
        self._visits.drop(session_of(visitor))
        shown = self._lists.page(visitor, {"open": voice.id})
        said = voices_view.clip_value("empty", said=f"“{voice.name}” is saved.")
        return said, gr.Column(visible=False), "", shown, *_cleared()

    # parts

    def _work(
        self, visitor: gr.Request, read: Callable[[CancelToken], Clip], *, denoise: bool
    ) -> Iterator[tuple[Shown, Any]]:
        """Follow the making of a draft: what is being done, then the draft or why there is none."""
        session = session_of(visitor)
        token = self._visits.begin(session)
        heard: SimpleQueue[str | Draft | Exception | None] = SimpleQueue()
        work = threading.Thread(
            target=self._make, args=(read, denoise, token, heard), name="clip", daemon=True
        )
        work.start()
        draft: Draft | None = None
        try:
            while (item := heard.get()) is not None:
                if isinstance(item, str):
                    shown = voices_view.ready(draft, item) if draft else voices_view.working(item)
                    yield shown, gr.skip()
                elif isinstance(item, Draft):
                    if not self._visits.keep(session, token, item):
                        return
                    draft = item
                    usable = draft.prepared.report.usable
                    yield voices_view.ready(draft), gr.Column(visible=usable)
                elif isinstance(item, Cancelled):
                    return
                elif isinstance(item, VivavoceError):
                    if draft is None:  # else what is missing is the last check alone
                        self._visits.keep(session, token, None)
                        yield (
                            voices_view.failed(parts_of(self._studio, item)),
                            gr.Column(visible=False),
                        )
                else:
                    raise item
        finally:
            token.cancel()

    def _make(
        self,
        read: Callable[[CancelToken], Clip],
        denoise: bool,
        token: CancelToken,
        heard: SimpleQueue[str | Draft | Exception | None],
    ) -> None:
        """Put words and drafts into a queue, the first draft as soon as may be: comparing voices
        takes long, above all the first time."""
        try:
            heard.put("Reading the clip …")
            clip = read(token)
            first = prepare_clip(clip, denoise=denoise, cancel=token, progress=heard.put)
            heard.put(Draft(first, denoise))
            if first.report.usable:
                heard.put("Comparing voices …")
                embed = embedder(self._studio, token)
                heard.put(Draft(compare_voices(first, embed, cancel=token), denoise))
        except Exception as error:  # it is raised again where it is heard
            heard.put(error)
        finally:
            heard.put(None)


def taken(path: str, most: int) -> bytes:
    """The bytes of an upload, which does not stay on the disk."""
    try:
        file = uploaded(path)
        size = file.stat().st_size
        if size > most:
            raise BadReference(
                f"The file has {size:,} bytes.",
                f"A clip has at most {most:,}.",
                "Cut out the passage that you need.",
                param="clip",
            )
        return file.read_bytes()
    except OSError as error:
        raise StorageError(
            f"The clip could not be read ({error.strerror}).", "", "Choose it again."
        ) from error
    finally:
        remove_upload(path)


def _cleared() -> tuple[Any, ...]:
    """The fields after a voice was kept; the language and the purpose are likely the same again."""
    return "", gr.skip(), "", "", "", gr.skip(), False


def _check_filled(fields: dict[str, Any]) -> None:
    for label, value in fields.items():
        if not isinstance(value, str) or not value.strip():
            raise InvalidRequest(f"“{label}” is empty.", "", "Fill it in, then save again.")


def _usable(draft: Draft | None) -> Draft:
    if draft is None:
        raise BadReference("There is no clip.", "", "Record one or choose a file first.")
    for finding in draft.prepared.report.findings:
        if finding.severity == "bad":
            raise BadReference(finding.text, "", finding.advice)
    return draft


def _message(parts: Sequence[str]) -> str:
    lines = "".join(f"<p>{escape(part)}</p>" for part in parts)
    return f"<div class='vv-alert' role='alert'>{lines}</div>"
