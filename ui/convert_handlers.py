"""Recordings on the Voices tab: each handler finds whose it is, calls the studio, formats."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.api import Reference
from engines.errors import BadReference, Cancelled, VivavoceError
from studio.conversion import MOST_SECONDS, ConversionRequest
from studio.jobs import Note, Sound
from studio.offered import LISTED
from studio.reference import Limits, decode
from studio.studio import Studio
from ui import choices
from ui.owner import owner_of
from ui.speak_handlers import whole
from ui.voices_clip import taken
from ui.voices_handlers import parts_of, session_of
from ui.voices_sound import Shown, silent, sound
from ui.voices_visits import Visits

NO_MODEL = (
    "No model that changes the voice of a recording is here. FreeVC, OpenVoice and YourTTS do; "
    "put one of them into the models directory."
)
NO_VOICE = "Make a voice from a clip first: recordings are said in one of yours."


class Conversions:
    """Bound methods for the tab's events."""

    def __init__(self, studio: Studio, visits: Visits) -> None:
        self._studio = studio
        self._visits = visits

    def open(
        self, visitor: gr.Request, voice: str | None, model: str | None
    ) -> tuple[Any, Any, Any, str]:
        """The section was opened. Outputs: voice, model, device, what is missing."""
        owner = owner_of(self._studio, visitor)
        try:
            page = self._studio.voices_library.list(owner, limit=LISTED)
            models = self._studio.converters()
        except VivavoceError as error:
            return gr.skip(), gr.skip(), gr.skip(), _alert(*parts_of(self._studio, error))
        voices = [(each.name, each.id) for each in page.voices]
        offered = [(each.name, each.id) for each in models]
        missing = [] if offered else [NO_MODEL]
        missing += [] if voices else [NO_VOICE]
        devices = [("Automatic", choices.AUTO_DEVICE)]
        if models:
            capability = self._studio.engine(models[0].engine).capability
            titles = not self._studio.settings.shared
            offers = choices.device_choices(capability, titles=titles)
            able = (choices.AUTO_DEVICE, *models[0].runtimes)
            devices = [each for each in offers if each[1].split(":")[0] in able]
        return (
            gr.Dropdown(voices, value=_kept(voice, voices)),
            gr.Dropdown(offered, value=_kept(model, offered)),
            gr.Dropdown(devices),
            _alert(*missing) if missing else "",
        )

    def convert(
        self,
        visitor: gr.Request,
        path: str | None,
        voice: str | None,
        model: str | None,
        device: str | None,
        seed: str | None,
    ) -> Iterator[Shown]:
        """Say a recording in a voice. Output: player."""
        visit = self._visits.of(session_of(visitor))
        owner = owner_of(self._studio, visitor)
        try:
            if path is None:
                raise BadReference("There is no recording.", "", "Record one or choose a file.")
            yield {**silent(), "title": "Reading the recording …"}
            limits = Limits(seconds=MOST_SECONDS, bytes=self._studio.settings.max_upload)
            clip = decode(taken(path, limits.bytes), limits=limits)
            job = self._studio.convert(
                ConversionRequest(
                    clip=Reference(clip.samples, clip.sample_rate),
                    name=Path(path).name,
                    voice=voice if isinstance(voice, str) else "",
                    model=model if isinstance(model, str) else None,
                    device=None if device == choices.AUTO_DEVICE else device,
                    seed=whole(seed or ""),  # type: ignore[arg-type]  # the studio checks it
                    owner=owner,
                    door="page",
                )
            )
        except VivavoceError as error:
            yield silent(*parts_of(self._studio, error))
            return
        if visit.job is not None:
            visit.job.cancel()
        visit.job = job
        title = f"{job.plan.text} · {job.plan.voice.name}"
        yield {**silent(), "title": title, "said": "Working …"}
        try:
            heard: list[np.ndarray] = []
            notes: list[str] = []
            for event in job.events():
                if isinstance(event, Sound):
                    heard.append(event.samples)
                    done = sum(each.size for each in heard) / job.sample_rate
                    yield {**silent(), "title": title, "said": f"{done:.0f} s done …"}
                elif isinstance(event, Note):
                    notes.append(event.message)
            shown = sound(title, np.concatenate(heard), job.sample_rate)
            yield {**shown, "said": " ".join([f"Seed {job.plan.seed}.", *notes])}
        except Cancelled:
            yield silent()
        except VivavoceError as error:
            yield silent(*parts_of(self._studio, error))
        finally:
            job.cancel()

    def stop(self, visitor: gr.Request) -> None:
        visit = self._visits.of(session_of(visitor))
        if visit.job is not None:
            visit.job.cancel()


def _kept(value: str | None, offered: list[tuple[str, str]]) -> str | None:
    """What is chosen, while it is there; else the first."""
    ids = [each for _, each in offered]
    return value if value in ids else next(iter(ids), None)


def _alert(*parts: str) -> str:
    lines = "".join(f"<p>{escape(part)}</p>" for part in parts)
    return f"<div class='vv-alert' role='status'>{lines}</div>"
