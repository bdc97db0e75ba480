"""Releases of ESPnet's VITS as an engine: text to ids, ids to sound, part by part."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from engines.api import (
    AudioChunk,
    CancelToken,
    Capability,
    Controls,
    EngineContext,
    Reference,
    Support,
    Utterance,
    Voice,
)
from engines.errors import UnknownVoice, VivavoceError
from engines.espnet_vits import choosing, frontend, likeness, loading, streaming
from engines.espnet_vits.controls import EspnetVitsControls, given_durations
from engines.espnet_vits.saying import Saying, say
from engines.espnet_vits.shelf import FAMILY, Installed, Shelf, Speaker
from engines.memory import Lease
from engines.memory.resident import Resident
from engines.runtime.residents import BoundStages, resident
from engines.runtime.support import open_runtime
from engines.text.languages import primary
from engines.voices import unknown_voice

log = logging.getLogger("vivavoce.espnet_vits")

SAMPLE_RATE = 22_050  # Hz, of most releases
DTYPE = "float32"

EMBEDDING = "embedding"  # of a clip, in a voice's conditioning

_SILENCE = np.zeros(0, np.float32)


class EspnetVitsEngine:
    """Speaks with the releases that lie in the models directory."""

    capability: ClassVar[Capability] = Capability(
        name=FAMILY,
        title="ESPnet VITS",
        summary="Neural voices of published ESPnet releases: quick on a CPU, many speakers.",
        sample_rate=SAMPLE_RATE,
        licence="Apache-2.0; weights as each release says",
        support=(
            Support("cuda", DTYPE, "untested"),
            Support("cuda", "bfloat16", "untested"),
            Support("mps", DTYPE, "untested"),
            Support("cpu", DTYPE, "supported"),
            Support("cpu", "bfloat16", "supported", "The decoder alone, where `precision` asks."),
            Support("xla", DTYPE, "supported", "Its graphs are compiled when it is loaded."),
            Support("onnx", DTYPE, "supported", "The release has to be converted once."),
            Support("onnx:cuda", DTYPE, "untested"),
        ),
        clones=True,
        approximates=True,
        word_times=True,
        uses_seed=True,
    )
    controls: ClassVar[type[Controls]] = EspnetVitsControls
    conditioning_version: ClassVar[str] = likeness.VERSION
    shelf: ClassVar[type[Shelf]] = Shelf

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._shelf = Shelf(context.models_dir)
        self._likenesses = likeness.Likenesses(context.cache_dir, context.memory)

    def voices(self) -> Sequence[Voice]:
        """A voice for each speaker of each release; none where there is no release."""
        return [voice for each in self._shelf.releases() for voice in each.voices]

    def broken(self) -> Mapping[str, VivavoceError]:
        """Releases that are here and cannot be spoken with, by id, and why."""
        return self._shelf.broken()

    def voice(self, voice_id: str) -> Voice:
        """The voice of that id; the first of a release for the release's id.

        Raises:
            UnknownVoice: there is none.
            BadCheckpoint, MissingDependency: it is one of a release that cannot be spoken with.
        """
        installed, speaker = self._find(voice_id)
        return installed.voice(speaker)

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
            UnknownVoice, BadControl, BadText: the voice, a control or the text.
            MissingDependency: the release's text front end needs a package that is not here.
            BadCheckpoint: a file of the release is missing, damaged or not yet converted.
            EngineFailure: the model would speak for minutes.
        """
        assert isinstance(controls, EspnetVitsControls)
        cancel.raise_if_set()
        installed, speaker = self._who(voice, controls, utterance.language)
        config = installed.release.config
        encoded = frontend.encode(utterance.spoken, config)
        if encoded.unknown:
            notes = frontend.unknown_notes(encoded.unknown, installed.id)
            yield AudioChunk(_SILENCE, config.sampling_rate, notes=notes)
        if not encoded.speakable:
            return
        given = controls.language_id
        conditions = choosing.conditions(installed, speaker, utterance.language, given)
        durations = given_durations(controls.durations, utterance.index, encoded.tokens)
        with self._lease(installed, device, controls.precision, cancel) as bound:
            if voice.conditioning is not None and not controls.speaker.strip():
                clip = voice.conditioning[EMBEDDING]
                conditions |= yield from self._like(clip, installed, bound, cancel)
            name = str(utterance.index)
            part = streaming.largest_part(device)
            saying = Saying(installed, encoded, conditions, durations, controls, seed, name, part)
            yield from say(bound, saying, cancel)

    def condition(
        self,
        references: Sequence[Reference],
        *,
        device: str,  # noqa: ARG002 - the encoder is small and stays on the CPU
        cancel: CancelToken,
    ) -> Mapping[str, np.ndarray]:
        """Who speaks in the clips: {"embedding": float32 [256]}, for whichever release.

        Raises:
            UnknownVoice: there is no release with several speakers.
            BadReference: nothing can be heard in the clips.
        """
        self._choir("", "")
        return {EMBEDDING: likeness.of_clips(references, self._context.memory, cancel)}

    def close(self) -> None:
        """Nothing is held outside the leases."""

    def _who(
        self, voice: Voice, controls: EspnetVitsControls, language: str
    ) -> tuple[Installed, Speaker]:
        """The release, and of its speakers the voice's or the one that is asked for."""
        if voice.conditioning is None:
            installed, speaker = self._find(voice.id)
        else:
            installed = self._choir(controls.release, language)
            speaker = next(iter(installed.speakers.values()))
        return installed, choosing.speaker_of(installed, speaker, controls.speaker)

    def _choir(self, given: str, language: str) -> Installed:
        """The release that speaks like a clip: the one named, else that of the most speakers, if
        there is any in the language."""
        found = [each for each in self._shelf.releases() if len(each.speakers) > 1]
        named = [each for each in found if given.strip() in ("", each.id)]
        if named:
            return max(
                named,
                key=lambda each: (
                    primary(language) in map(primary, each.languages),
                    len(each.speakers),
                ),
            )
        raise UnknownVoice(
            f"release was {given!r:.80}." if given.strip() else "The voice was made from a clip.",
            f"Releases with several speakers here: {', '.join(each.id for each in found)}."
            if found
            else f"{self.capability.title} takes the nearest of a release's speakers, and no "
            "release with several is here.",
            "Download one in the Models tab, such as VCTK VITS, or choose another engine.",
            param="release" if given.strip() else "voice",
        )

    def _like(
        self, clip: np.ndarray, installed: Installed, bound: BoundStages, cancel: CancelToken
    ) -> Generator[AudioChunk, None, dict[str, np.ndarray]]:
        """What makes the model sound like a clip; tells meanwhile what it does.

        Args:
            clip: its embedding.
        """
        rate = installed.release.config.sampling_rate
        unheard = self._likenesses.unheard(installed)
        if unheard:
            told = f"Listening once to {unheard} speakers of {installed.id}, which takes a while."
            yield AudioChunk(_SILENCE, rate, notes=(told,))

        def render(speaker: Speaker) -> np.ndarray:
            saying = likeness.introduction(installed, speaker)
            return np.concatenate([chunk.samples for chunk in say(bound, saying, cancel)])

        near = self._likenesses.nearest(clip, installed, render, cancel)
        yield AudioChunk(_SILENCE, rate, notes=(likeness.note(near, installed),))
        return likeness.conditions(near, installed.release.config.generator)

    def _find(self, voice_id: str) -> tuple[Installed, Speaker]:
        name, dot, slug = voice_id.partition(".")
        for installed in self._shelf.releases():
            if installed.id == name and not dot:
                return installed, next(iter(installed.speakers.values()))
            if installed.id == name and slug in installed.speakers:
                return installed, installed.speakers[slug]
        if fault := self._shelf.broken().get(name):
            raise fault
        voices = self.voices()
        if voices:
            raise unknown_voice(self.capability, voice_id, voices)
        raise UnknownVoice(
            f"{self.capability.title} has no voice {voice_id!r:.80}: no release is here.",
            f"Releases are folders with a meta.yaml in {self._context.models_dir}.",
            "Download one in the Models tab, or unpack one there.",
            param="voice",
        )

    def _lease(
        self, installed: Installed, device: str, dtype: str, cancel: CancelToken
    ) -> Lease[BoundStages]:
        def describe() -> Resident[BoundStages]:
            runtime = open_runtime(
                self.capability,
                device,
                buckets=streaming.BUCKETS,
                cache=self._context.cache_dir,
                dtype=dtype,
            )
            if device.startswith("onnx"):
                nbytes = loading.onnx_bytes(installed)
                return resident(runtime, nbytes, lambda _: loading.from_onnx(installed))
            return resident(
                runtime,
                loading.weight_bytes(installed),
                lambda _: loading.from_weights(installed, device, dtype),
                progress=lambda stage, graphs: log.info("%s: %d graphs", stage, graphs),
            )

        key = f"{installed.id} ({installed.version}) on {device} in {dtype}"
        return self._context.memory.acquire(key, describe, cancel=cancel)
