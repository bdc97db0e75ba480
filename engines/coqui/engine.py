"""The models of the coqui-tts library as an engine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import ClassVar

import numpy as np

from engines.api import (
    AudioChunk,
    CancelToken,
    Capability,
    Controls,
    Converter,
    EngineContext,
    Reference,
    Support,
    Utterance,
    Voice,
)
from engines.coqui import clips
from engines.coqui.controls import CoquiControls, check
from engines.coqui.opaque import DEVICES, Opaque
from engines.coqui.performing import Latents, Performer, Saying, performers
from engines.coqui.shelf import FAMILY, Installed, Shelf
from engines.errors import (
    BadControl,
    BadReference,
    UnknownLanguage,
    UnknownVoice,
    UnsupportedRuntime,
    VivavoceError,
)
from engines.voices import unknown_voice

SAMPLE_RATE = 24_000  # Hz, of XTTS
CLONERS = ("xtts", "vits", "tortoise", "bark")  # kinds, the best first
MOST_KEPT = 32  # clips whose latents are kept beside those of the voice library


class CoquiEngine:
    """Speaks with the models that lie in the models directory."""

    capability: ClassVar[Capability] = Capability(
        name=FAMILY,
        title="Coqui TTS",
        summary="Models of the coqui-tts library: XTTS clones voices, and many smaller ones.",
        sample_rate=SAMPLE_RATE,
        licence="MPL-2.0; weights as each model says",
        support=(
            Support("cuda", "float32", "untested"),
            Support("mps", "float32", "untested"),
            Support("cpu", "float32", "supported"),
            Support("xla", "float32", "supported", "XTTS v2 alone, compiled when it is loaded."),
            Support("onnx", "float32", "supported", "XTTS v2 alone, once it is converted."),
            Support("onnx:cuda", "float32", "untested", "XTTS v2 alone, once it is converted."),
        ),
        clones=True,
        converts=True,
        uses_seed=True,
    )
    controls: ClassVar[type[Controls]] = CoquiControls
    shelf: ClassVar[type[Shelf]] = Shelf
    conditioning_version: ClassVar[str] = "1"

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._shelf = Shelf(context.models_dir)
        self._kept: OrderedDict[tuple[str, ...], Latents] = OrderedDict()
        self._lock = Lock()

    def voices(self) -> Sequence[Voice]:
        """A voice for each speaker of each model; none of models that speak like clips alone."""
        return [voice for each in self._shelf.models() for voice in each.voices]

    def broken(self) -> Mapping[str, VivavoceError]:
        """Models that are here and cannot be worked with, by id, and why."""
        return self._shelf.broken()

    def can_clone(self) -> bool:
        """Whether a model that speaks like a clip is here."""
        return bool(self._cloners())

    def voice(self, voice_id: str) -> Voice:
        """The voice of that id; the first of a model for the model's id.

        Raises:
            UnknownVoice: there is none.
            BadReference: it is a model that needs a clip of the voice to speak with.
            BadCheckpoint: it is one of a model that cannot be worked with.
        """
        installed, speaker = self._find(voice_id)
        if not installed.voices:
            raise BadReference(
                f"{installed.id} has no voices of its own.",
                "It speaks like a clip." if installed.clones else "It says clips in other voices.",
                "Make a voice from a clip in the Voices tab and choose that.",
                param="voice",
            )
        return installed.voices[list(installed.speakers).index(speaker) if speaker else 0]

    def controls_of(self, voice_id: str) -> Collection[str]:
        """Names of the controls that a voice has: those of its model; for one that was made from a
        clip, those of any model that can speak with it."""
        name = voice_id.partition(".")[0]
        for installed in self._shelf.models():
            if installed.id == name:
                return installed.controls
        return {"model", *(name for each in self._cloners() for name in each.controls)}

    def speak(
        self,
        utterance: Utterance,
        voice: Voice,
        controls: Controls,
        *,
        device: str,
        seed: int,
        cancel: CancelToken,
    ) -> Iterator[AudioChunk]:
        """Speak one utterance.

        Raises:
            UnknownVoice, UnknownLanguage, BadControl: the voice, the language or a control.
            BadReference: the clips do not do for the model.
            BadCheckpoint: a file of the model is missing or damaged.
            MissingDependency: it needs a package or a program that is not here.
        """
        assert isinstance(controls, CoquiControls)
        cancel.raise_if_set()
        heard = voice.conditioning
        if heard is None:
            installed, part = self._find(voice.id)
            if controls.model.strip() not in ("", installed.id):
                raise BadControl(
                    f"model was {controls.model!r:.80}, and the voice is one of {installed.id}.",
                    "It is for voices that were made from a clip.",
                    "Leave it out, or choose such a voice.",
                    param="model",
                )
        else:
            installed, part = self._cloner(controls.model.strip(), utterance.language), ""
        check(controls, installed.controls, installed.id)
        language = _language(installed, utterance.language)
        if not utterance.spoken.strip():
            return
        performer = self._performer(installed, device)
        speaker = self._speaker(installed, part, controls.speaker.strip())
        latents = None
        if heard is not None and not controls.speaker.strip():
            latents = self._latents(heard, installed, performer, device, cancel)
        saying = Saying(utterance.spoken, language, speaker, latents, controls)
        yield from performer.speak(installed, saying, device=device, seed=seed, cancel=cancel)

    def condition(
        self, references: Sequence[Reference], *, device: str, cancel: CancelToken
    ) -> Mapping[str, np.ndarray]:
        """What the best model that clones hears in the clips, and the clips themselves for others.

        Raises:
            UnknownVoice: no model that clones is here.
            BadReference: there are no clips, or they do not do for the model.
        """
        if not references:
            raise BadReference(
                "There was no clip.",
                "A voice is made from one clip or several.",
                "Give a clip of the voice.",
            )
        language = next((each.language for each in references if each.language), "")
        installed = self._cloner("", language)
        performer = self._performer(installed, device)
        latents = performer.condition(installed, references, device=device, cancel=cancel)
        return clips.pack(references, installed, latents)

    def converters(self) -> Sequence[Converter]:
        """The models that say a clip in another voice."""
        return [
            Converter(each.id, f"{each.id} ({each.kind.title})", FAMILY, each.sample_rate, DEVICES)
            for each in self._shelf.models()
            if each.converts
        ]

    def convert(
        self,
        converter: str,
        source: Reference,
        target: Sequence[Reference],
        *,
        device: str,
        seed: int,
        cancel: CancelToken,
    ) -> Iterator[AudioChunk]:
        """Say what is said in a clip in the voice of others.

        Raises:
            UnknownVoice: no model of that id does that.
            BadReference: a clip does not do.
            BadCheckpoint, MissingDependency: as for `speak`.
        """
        able = {each.id: each for each in self._shelf.models() if each.converts}
        if fault := self._shelf.broken().get(converter):
            raise fault
        if converter not in able:
            raise UnknownVoice(
                f"There is no model {converter!r:.80} that says a clip in another voice.",
                f"Here are: {', '.join(able) or 'none'}.",
                "Pick one of them, or put FreeVC or OpenVoice into the models directory.",
                param="model",
            )
        if not self._opaque.takes(able[converter], device):
            raise self._not_on(able[converter], device)
        if not target:
            raise BadReference(
                "There was no clip of the voice.", "One or several are needed.", "Give one."
            )
        yield from self._opaque.convert(
            able[converter], source, target, device=device, seed=seed, cancel=cancel
        )

    def close(self) -> None:
        """Nothing is held outside the leases."""

    @cached_property
    def _performers(self) -> tuple[Performer, ...]:
        return performers(self._context)

    @property
    def _opaque(self) -> Opaque:
        return next(each for each in self._performers if isinstance(each, Opaque))

    def _performer(self, installed: Installed, device: str) -> Performer:
        able = [each for each in self._performers if each.takes(installed, device)]
        if not able:
            raise self._not_on(installed, device)
        return able[0]

    def _not_on(self, installed: Installed, device: str) -> UnsupportedRuntime:
        others = [row.runtime for row in self.capability.support if row.runtime in DEVICES]
        return UnsupportedRuntime(
            f"{installed.id} ({installed.kind.title}) does not run on {device}.",
            f"It runs on {', '.join(others)}; XTTS v2 speaks on {device} as well.",
            "Pick one of these.",
            param="device",
        )

    def _cloners(self) -> list[Installed]:
        able = [each for each in self._shelf.models() if each.clones]
        return sorted(able, key=lambda each: CLONERS.index(each.kind.name))

    def _cloner(self, given: str, language: str) -> Installed:
        """The model that speaks like a clip: the one named, else the best for the language."""
        able = self._cloners()
        named = [each for each in able if given in ("", each.id)]
        if not named:
            raise UnknownVoice(
                f"model was {given!r:.80}." if given else "The voice was made from a clip.",
                f"Models that speak like a clip here: {', '.join(each.id for each in able)}."
                if able
                else f"No model of {self.capability.title} that speaks like a clip is here.",
                "Download one in the Models tab, such as XTTS v2, or choose another engine.",
                param="model" if given else "voice",
            )
        fitting = [each for each in named if each.language(language) is not None]
        return (fitting or named)[0]

    def _speaker(self, installed: Installed, part: str, given: str) -> str:
        """The model's name of a speaker: the one asked for, or the voice's."""
        if not given:
            return installed.speakers.get(part, "")
        names = installed.speakers
        if given in names.values():
            return given
        if given in names:
            return names[given]
        raise BadControl(
            f"speaker was {given!r:.80}, and {installed.id} has no such speaker.",
            f"It has {len(names)}: {', '.join(list(names.values())[:20])}.",
            "Pick one of them, or leave it out.",
            param="speaker",
        )

    def _latents(
        self,
        heard: Mapping[str, np.ndarray],
        installed: Installed,
        performer: Performer,
        device: str,
        cancel: CancelToken,
    ) -> Latents:
        """What a voice's clips are to a model: kept with the voice, or listened to once."""
        found = clips.latents_of(heard, installed)
        if found is not None:
            return found
        key = (installed.id, installed.version, clips.digest(heard))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        references = clips.references_of(heard)
        made = performer.condition(installed, references, device=device, cancel=cancel)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return made

    def _find(self, voice_id: str) -> tuple[Installed, str]:
        """The model of a voice, and its speaker's part of the id."""
        name, dot, part = voice_id.partition(".")
        models = self._shelf.models()
        for installed in models:
            if installed.id == name and not dot:
                return installed, next(iter(installed.speakers), "")
            if installed.id == name and part in installed.speakers:
                return installed, part
        if fault := self._shelf.broken().get(name):
            raise fault
        if voices := self.voices():
            raise unknown_voice(self.capability, voice_id, voices)
        raise UnknownVoice(
            f"{self.capability.title} has no voice {voice_id!r:.80}: no model that has voices is "
            "here.",
            f"Models are folders with a config.json in {self._context.models_dir}.",
            "Download one in the Models tab, or put one there.",
            param="voice",
        )


def _language(installed: Installed, tag: str) -> str:
    """The model's name of a language.

    Raises:
        UnknownLanguage: it lacks it.
    """
    found = installed.language(tag)
    if found is None:
        raise UnknownLanguage(
            f"{installed.id} does not speak {tag!r:.40}.",
            f"It speaks {', '.join(installed.languages)}.",
            "Pick one of these, or another model.",
            param="language",
        )
    return found if len(installed.languages) > 1 else ""
