"""A clip in another voice: checked, said by a model that does it, delivered like speech."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from engines.api import (
    Capability,
    Converter,
    ConvertingEngine,
    Engine,
    Reference,
    Span,
    SpeechRequest,
    Utterance,
    Voice,
)
from engines.errors import BadReference, UnknownVoice
from studio.delivery import DeliverySettings, Master
from studio.jobs import Job, Note, Plan, SentenceDone, SentenceStarted, Sound
from studio.route import checked_seed, pick_device

if TYPE_CHECKING:
    from studio.settings import Settings
    from studio.voices import VoiceLibrary

MOST_SECONDS = 600.0  # of a clip
LEAST_SECONDS = 0.5
NAME_LENGTH = 120  # characters of a file's name that the history shows


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """What every front door hands to the studio.

    Attributes:
        clip: what is to be said.
        name: of its file, for the history.
        voice: id of the owner's stored voice to say it in.
        model: id of a converter; None takes the first.
        device, seed, deadline, owner, door: as in `SpeechRequest`.
    """

    clip: Reference
    voice: str
    name: str = ""
    model: str | None = None
    device: str | None = None
    seed: int | None = None
    deadline: float | None = None
    owner: str = ""
    door: str = ""


class Conversions:
    """
    Args:
        library: the voice library, opened when it is first needed.
    """

    def __init__(
        self,
        settings: Settings,
        library: Callable[[], VoiceLibrary],
        capabilities: Callable[[], Sequence[Capability]],
        engine: Callable[[str], Engine],
    ) -> None:
        self._settings = settings
        self._library = library
        self._capabilities = capabilities
        self._engine = engine

    def converters(self) -> tuple[Converter, ...]:
        able = [one.name for one in self._capabilities() if one.converts]
        return tuple(each for name in able for each in self._converting(name).converters())

    def plan(self, request: ConversionRequest) -> tuple[Plan, Callable[[Job], None]]:
        """Everything decided, and the work to be done.

        Raises:
            UnknownVoice, BadReference, BadControl, UnknownDevice …: names the field at fault.
        """
        converter = self._converter(request.model)
        engine = self._converting(converter.engine)
        profile = self._library().get(request.owner, request.voice)
        _check_clip(request.clip)
        rows = engine.capability.support
        able = replace(
            engine.capability,
            support=tuple(row for row in rows if row.runtime in converter.runtimes),
        )
        device, notes = pick_device(self._settings, request.device, able)
        title = f"A recording ({request.name})" if request.name else "A recording"
        plan = Plan(
            request=SpeechRequest(
                text=title[:NAME_LENGTH],
                engine=converter.engine,
                voice=profile.id,
                deadline=request.deadline,
                owner=request.owner,
                door=request.door,
            ),
            text=title[:NAME_LENGTH],
            engine=converter.engine,
            voice=Voice(
                profile.id, profile.name, converter.engine, (), "", ("cloned",), profile.id
            ),
            language=profile.language,
            device=device,
            controls=engine.controls(),
            seed=checked_seed(request.seed),
            sample_rate=converter.sample_rate,
            notes=notes,
        )
        return plan, lambda job: self._work(job, converter, request.clip)

    def _work(self, job: Job, converter: Converter, clip: Reference) -> None:
        """Emit a job's events; its clip is one sentence without words."""
        plan = job.plan
        for message in plan.notes:
            job.emit(Note(message))
        target = self._library().references(plan.request.owner, plan.voice.reference)
        utterance = Utterance((Span(plan.text, plan.text),), plan.language)
        master = Master(plan.sample_rate, DeliverySettings(loudness=self._settings.loudness))
        job.emit(SentenceStarted(utterance))
        _emit(job, master.begin(utterance))
        for chunk in self._converting(converter.engine).convert(
            converter.id,
            clip,
            target,
            device=plan.device,
            seed=plan.seed,
            cancel=job.cancel_token,
        ):
            job.cancel_token.raise_if_set()
            _emit(job, master.push(chunk))
        samples, timing = master.end()
        _emit(job, samples)
        job.emit(SentenceDone(timing))
        job.characters_done = len(plan.text)
        _emit(job, master.finish())

    def _converter(self, given: str | None) -> Converter:
        found = self.converters()
        for each in found:
            if given in (None, "", each.id):
                return each
        raise UnknownVoice(
            f"model was {given!r:.80}." if given else "No model that changes voices is here.",
            f"Models that change the voice of a recording: {', '.join(each.id for each in found)}."
            if found
            else "FreeVC, OpenVoice and YourTTS do.",
            "Pick one of them." if found else "Put one of them into the models directory.",
            param="model",
        )

    def _converting(self, name: str) -> ConvertingEngine:
        return cast("ConvertingEngine", self._engine(name))


def _check_clip(clip: Reference) -> None:
    seconds = clip.samples.size / clip.sample_rate
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise BadReference(
            f"The recording has {seconds:.1f} s.",
            f"It may have {LEAST_SECONDS:g} to {MOST_SECONDS:g} s.",
            "Choose another one, or cut it into parts.",
            param="file",
        )
    if not np.any(np.abs(clip.samples) > 1e-3):
        raise BadReference("The recording is silent.", "", "Choose another one.", param="file")


def _emit(job: Job, samples: np.ndarray) -> None:
    if samples.size:
        job.seconds_made += samples.size / job.sample_rate
        job.emit(Sound(samples, 0))
