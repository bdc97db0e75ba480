"""Spark-TTS as an engine: voices cloned from a clip, or made from gender, pitch and speed."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from engines.decode import Sampling
from engines.errors import UnknownVoice, VivavoceError
from engines.memory import Lease
from engines.memory.resident import Resident
from engines.runtime.residents import BoundStages, resident
from engines.runtime.support import open_runtime
from engines.spark import frontend, listening, loading, made, manner
from engines.spark.answers import Grammar
from engines.spark.controls import LEVELS, SparkControls
from engines.spark.loading import Task
from engines.spark.made import MadeVoice, Style
from engines.spark.saying import Desk, make_voice, say
from engines.spark.shelf import FAMILY, LANGUAGES, Installed, Shelf
from engines.spark.tokens import Tokens
from engines.voices import unknown_voice

log = logging.getLogger("vivavoce.spark")

SAMPLE_RATE = 16_000  # Hz
DTYPE = "float32"
REMEMBERED = 64  # voices that were made up last

_SILENCE = np.zeros(0, np.float32)


class SparkEngine:
    """Speaks with the releases that lie in the models directory."""

    capability: ClassVar[Capability] = Capability(
        name=FAMILY,
        title="Spark-TTS",
        summary="A small language model that speaks English and Chinese: clones a voice, or makes "
        "one from gender, pitch and speed.",
        sample_rate=SAMPLE_RATE,
        licence="Apache-2.0; weights CC BY-NC-SA 4.0",
        support=(
            Support("cuda", DTYPE, "untested"),
            Support("cuda", "bfloat16", "untested", "Where `precision` asks."),
            Support("mps", DTYPE, "untested"),
            Support("cpu", DTYPE, "supported"),
            Support("cpu", "bfloat16", "supported", "Where `precision` asks."),
            Support("xla", DTYPE, "supported", "Its graphs are compiled when it is loaded."),
            Support("onnx", DTYPE, "supported", "The release has to be converted once."),
            Support("onnx:cuda", DTYPE, "untested"),
        ),
        clones=True,
        uses_seed=True,
        max_chars=300,
    )
    controls: ClassVar[type[Controls]] = SparkControls
    conditioning_version: ClassVar[str] = listening.VERSION
    shelf: ClassVar[type[Shelf]] = Shelf

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._shelf = Shelf(context.models_dir)
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, Tokens]] = {}  # by release: its version
        self._made: OrderedDict[tuple[object, ...], MadeVoice] = OrderedDict()

    def voices(self) -> Sequence[Voice]:
        """Two voices for each release, which controls vary; none where there is no release."""
        return [voice for each in self._shelf.releases() for voice in each.voices.values()]

    def broken(self) -> Mapping[str, VivavoceError]:
        """Releases that are here and cannot be spoken with, by id, and why."""
        return self._shelf.broken()

    def voice(self, voice_id: str) -> Voice:
        """The voice of that id: one of the list, or one that was made and kept.

        Raises:
            UnknownVoice: there is none.
            BadCheckpoint: it is one of a release that cannot be spoken with.
        """
        installed, part = self._find(voice_id)
        if part in installed.voices:
            return installed.voices[part]
        kept = self._kept(installed, part)
        if kept is None:
            raise unknown_voice(self.capability, voice_id, self.voices())
        name, gender = f"{installed.id} · kept", kept.style.gender
        rate = installed.config.top.sample_rate
        return Voice(
            voice_id,
            name,
            FAMILY,
            LANGUAGES,
            "female" if gender == "female" else "male",
            ("made",),
            sample_rate=rate,
        )

    def controls_of(self, voice_id: str) -> Collection[str]:
        """Names of the controls that a voice has: some are for voices that are made up, others for
        those made from a clip."""
        return manner.controls_of(voice_id)

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
            UnknownVoice: the voice or the release is not here.
            BadCheckpoint: a file of the release is missing, damaged or not yet converted.
            EngineFailure: the model gave no speech, however often it was tried.
            OutOfMemory: the model does not fit the device.
        """
        assert isinstance(controls, SparkControls)
        cancel.raise_if_set()
        installed = self._release(voice, controls)
        text = utterance.spoken.strip()
        if not frontend.speakable(text):
            return
        rate = installed.config.top.sample_rate
        notes = frontend.notes(text, utterance.language) + manner.notes(voice, controls)
        if notes:
            yield AudioChunk(_SILENCE, rate, notes=notes)
        with self._lease(installed, "speaking", device, cancel, controls.precision) as bound:
            desk = self._desk(installed, bound, controls, device, cancel)
            number, name = utterance.index + 1, f"{seed} sentence {utterance.index}"
            if voice.conditioning is not None:
                asked = manner.cloned(desk, text, voice.conditioning, controls, name, number)
            else:
                who = self._somebody(installed, voice, controls, desk, seed)
                asked = manner.made_up(desk, text, who, name, number)
                kept = f"{installed.id}.{who.kept()}"
                if number == 1 and voice.id != kept:
                    told = f"This voice can be had again as {kept}."
                    yield AudioChunk(_SILENCE, rate, notes=(told,), made_voice=kept)
            for note in asked.notes:
                yield AudioChunk(_SILENCE, rate, notes=(note,))
            yield from say(desk, asked.sentence)

    def condition(
        self, references: Sequence[Reference], *, device: str, cancel: CancelToken
    ) -> Mapping[str, np.ndarray]:
        """What is kept of a clip: `listening.listen` says what.

        Raises:
            UnknownVoice: no release is here.
            BadReference: the clip is too short, too long or silent.
        """
        reference = listening.best(references)
        installed = self._named("")
        with self._lease(installed, "listening", device, cancel) as bound:
            return listening.listen(bound, installed.config, reference, cancel)

    def can_clone(self) -> bool:
        """Whether a release is here."""
        return bool(self._shelf.releases())

    def warm_up(self, device: str, cancel: CancelToken) -> None:
        """Load the first release for speaking.

        Raises:
            VivavoceError: none is installed, no memory, or `cancel` was set.
        """
        with self._lease(self._named(""), "speaking", device, cancel):
            pass

    def close(self) -> None:
        """Nothing is held outside the leases but tokenizers and made voices."""

    def _desk(
        self,
        installed: Installed,
        bound: BoundStages,
        controls: SparkControls,
        device: str,
        cancel: CancelToken,
    ) -> Desk:
        speakers = installed.config.codec.speaker_encoder.token_num
        return Desk(
            bound,
            self._context.memory,
            self._key(installed, "speaking", device, controls.precision),
            installed.config,
            Grammar(self._tokens_of(installed), speakers),
            Sampling(controls.temperature, controls.top_k, controls.top_p),
            cancel,
        )

    def _somebody(
        self, installed: Installed, voice: Voice, controls: SparkControls, desk: Desk, seed: int
    ) -> MadeVoice:
        """The made voice of a text; all its sentences have the same."""
        _, part = self._find(voice.id)
        kept = self._kept(installed, part)
        if kept is not None:
            return kept
        gender = part if controls.gender == "voice" else controls.gender
        style = Style(gender, LEVELS.index(controls.pitch), LEVELS.index(controls.speed))
        key = (installed.id, installed.version, style, desk.sampling, seed)
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        found = make_voice(desk, style, str(seed))
        with self._lock:
            self._made[key] = found
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return found

    def _kept(self, installed: Installed, part: str) -> MadeVoice | None:
        if not part.startswith(made.KEPT):
            return None
        speakers = installed.config.codec.speaker_encoder.token_num
        return made.read_kept(part, speakers, self._tokens_of(installed))

    def _tokens_of(self, installed: Installed) -> Tokens:
        with self._lock:
            version, tokens = self._tokens.get(installed.id, ("", None))
        if tokens is None or version != installed.version:
            tokens = loading.tokens_of(installed)
            with self._lock:
                self._tokens[installed.id] = installed.version, tokens
        return tokens

    def _release(self, voice: Voice, controls: SparkControls) -> Installed:
        if voice.conditioning is None:
            return self._find(voice.id)[0]
        return self._named(controls.release.strip())

    def _named(self, name: str) -> Installed:
        found = self._shelf.releases()
        for installed in found:
            if name in ("", installed.id):
                return installed
        for fault in self._shelf.broken().values():
            raise fault
        raise UnknownVoice(
            f"release was {name!r:.80}." if name else "No release of Spark-TTS is here.",
            f"Releases here: {', '.join(each.id for each in found)}."
            if found
            else f"Releases are folders with a folder BiCodec in {self._context.models_dir}.",
            "Download one in the Models tab, or put its folder there.",
            param="release" if name else "voice",
        )

    def _find(self, voice_id: str) -> tuple[Installed, str]:
        """The release of a voice, and the rest of its id; the first voice for a release's id."""
        name, dot, part = voice_id.partition(".")
        for installed in self._shelf.releases():
            # a release's own name may have dots replaced, so the first one ends it
            if installed.id == name:
                return installed, part if dot else next(iter(installed.voices))
        if fault := self._shelf.broken().get(name):
            raise fault
        voices = self.voices()
        if voices:
            raise unknown_voice(self.capability, voice_id, voices)
        self._named("")
        raise AssertionError("a release without voices")

    def _key(self, installed: Installed, task: Task, device: str, dtype: str) -> str:
        return f"{installed.id} ({installed.version}) {task} on {device} in {dtype}"

    def _lease(
        self,
        installed: Installed,
        task: Task,
        device: str,
        cancel: CancelToken,
        dtype: str = DTYPE,
    ) -> Lease[BoundStages]:
        def describe() -> Resident[BoundStages]:
            runtime = open_runtime(
                self.capability,
                device,
                buckets=loading.buckets(installed.config),
                cache=self._context.cache_dir,
                dtype=dtype,
            )
            if device.startswith("onnx"):
                nbytes = loading.onnx_bytes(installed, task)
                return resident(runtime, nbytes, lambda _: loading.from_onnx(installed, task))
            compiles = device.startswith("xla")
            return resident(
                runtime,
                loading.weight_bytes(installed, task),
                lambda _: loading.from_weights(installed, task, compiles=compiles),
                progress=lambda stage, graphs: log.info("%s: %d graphs", stage, graphs),
            )

        key = self._key(installed, task, device, dtype)
        return self._context.memory.acquire(key, describe, cancel=cancel)
