"""Releases of ESPnet's VITS as an engine: text to ids, ids to sound, part by part."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from engines.api import (
    AudioChunk,
    CancelToken,
    Capability,
    Controls,
    EngineContext,
    Support,
    Utterance,
    Voice,
)
from engines.errors import EngineFailure, UnknownVoice, VivavoceError
from engines.espnet_vits import choosing, frontend, loading, streaming, synthesis
from engines.espnet_vits.controls import MOST_FRAMES, EspnetVitsControls, given_durations
from engines.espnet_vits.shelf import FAMILY, Installed, Shelf, Speaker
from engines.memory import Lease
from engines.memory.resident import Resident
from engines.runtime.noise import normal
from engines.runtime.residents import BoundStages, resident
from engines.runtime.stage import Bound
from engines.runtime.support import open_runtime
from engines.voices import unknown_voice

log = logging.getLogger("vivavoce.espnet_vits")

SAMPLE_RATE = 22_050  # Hz, of most releases
DTYPE = "float32"  # shorter ones would change how long phonemes last

_SILENCE = np.zeros(0, np.float32)


@dataclass(frozen=True)
class _Saying:
    """What is said, and how.

    Attributes:
        conditions: what the model takes of "sid", "spembs" and "lid".
        durations: frames of each token, int64 [T_text], where they are given.
        name: of the noise: another for each sentence.
    """

    installed: Installed
    encoded: frontend.Encoded
    conditions: Mapping[str, np.ndarray]
    durations: np.ndarray | None
    controls: EspnetVitsControls
    seed: int
    name: str


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
            Support("mps", DTYPE, "untested"),
            Support("cpu", DTYPE, "supported"),
            Support("xla", DTYPE, "untested"),
            Support("onnx", DTYPE, "supported", "The release has to be converted once."),
            Support("onnx:cuda", DTYPE, "untested"),
        ),
        word_times=True,
        uses_seed=True,
    )
    controls: ClassVar[type[Controls]] = EspnetVitsControls

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._shelf = Shelf(context.models_dir)

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
        installed, speaker = self._find(voice.id)
        speaker = choosing.speaker_of(installed, speaker, controls.speaker)
        config = installed.release.config
        encoded = frontend.encode(utterance.spoken, config)
        if encoded.unknown:
            note = frontend.unknown_note(encoded.unknown, installed.id)
            yield AudioChunk(_SILENCE, config.sampling_rate, notes=(note,))
        if not encoded.speakable:
            return
        saying = _Saying(
            installed,
            encoded,
            choosing.conditions(installed, speaker, utterance.language, controls.language_id),
            given_durations(controls.durations, utterance.index, encoded.tokens),
            controls,
            seed,
            str(utterance.index),
        )
        with self._lease(installed, device, cancel) as bound:
            yield from _say(bound, saying, cancel)

    def close(self) -> None:
        """Nothing is held outside the leases."""

    def _find(self, voice_id: str) -> tuple[Installed, Speaker]:
        name, dot, slug = voice_id.partition(".")
        for installed in self._shelf.releases():
            if installed.id == name and not dot:
                return installed, next(iter(installed.speakers.values()))
            if installed.id == name and slug in installed.speakers:
                return installed, installed.speakers[slug]
        if name in self._shelf.broken():
            raise self._shelf.broken()[name]
        voices = self.voices()
        if voices:
            raise unknown_voice(self.capability, voice_id, voices)
        raise UnknownVoice(
            f"{self.capability.title} has no voice {voice_id!r:.80}: no release is here.",
            f"Releases are folders with a meta.yaml in {self._context.models_dir}.",
            "Download one in the Models tab, or unpack one there.",
            param="voice",
        )

    def _lease(self, installed: Installed, device: str, cancel: CancelToken) -> Lease[BoundStages]:
        def describe() -> Resident[BoundStages]:
            runtime = open_runtime(
                self.capability,
                device,
                buckets=streaming.BUCKETS,
                cache=self._context.cache_dir,
                dtype=DTYPE,
            )
            if device.startswith("onnx"):
                nbytes = loading.onnx_bytes(installed)
                return resident(runtime, nbytes, lambda _: loading.from_onnx(installed))
            compiles = device.startswith("xla")
            return resident(
                runtime,
                loading.weight_bytes(installed),
                lambda _: loading.from_weights(installed, compiles=compiles),
                progress=lambda stage, graphs: log.info("%s: %d graphs", stage, graphs),
            )

        key = f"{installed.id} ({installed.version}) on {device}"
        return self._context.memory.acquire(key, describe, cancel=cancel)


def _say(bound: BoundStages, saying: _Saying, cancel: CancelToken) -> Iterator[AudioChunk]:
    config = saying.installed.release.config
    hop, rate = config.generator.hop, config.sampling_rate
    given = 0  # samples
    for number, part in enumerate(streaming.cut_text(saying.encoded.tokens)):
        cancel.raise_if_set()
        name = f"{saying.name}.{number}" if number else saying.name
        prior = _prior(bound, saying, part, name)
        shape = (1, config.generator.hidden_channels, len(prior.token))
        noise = normal(saying.seed, f"sound {name}", shape)
        borders = (given + hop * np.concatenate([[0], np.cumsum(prior.durations)])) / rate
        words = streaming.words(saying.encoded.tokens[part], borders)
        scale = saying.controls.noise_scale
        for samples in streaming.sound(bound, prior, noise, scale, config.generator):
            cancel.raise_if_set()
            given += len(samples)
            heard = [word for word in words if word.end <= given / rate]
            words = words[len(heard) :]
            yield AudioChunk(samples, rate, tuple(heard))


def _prior(bound: BoundStages, saying: _Saying, part: slice, name: str) -> synthesis.Prior:
    ids = saying.encoded.ids[part]
    text = synthesis.Text(
        ids=ids,
        noise=normal(saying.seed, f"durations {name}", (1, 2, len(ids))),
        conditions=saying.conditions,
        noise_scale=saying.controls.noise_scale_dur,
        alpha=1 / saying.controls.speed,
    )
    durations = None if saying.durations is None else saying.durations[part]

    def encode(**inputs: np.ndarray) -> dict[str, np.ndarray]:
        out = bound["encode"](**inputs)
        _check_length(out["durations"] if durations is None else durations, saying)
        return out

    return synthesis.encode({"encode": cast("Bound", encode)}, text, durations)


def _check_length(durations: np.ndarray, saying: _Saying) -> None:
    """Before anything is spread over that many frames."""
    total = float(durations.sum(dtype=np.float64))
    if durations.min() < 0 or total > MOST_FRAMES:  # beyond int64 they come out below 0
        config = saying.installed.release.config
        limit = MOST_FRAMES * config.generator.hop / config.sampling_rate
        raise EngineFailure(
            f"{saying.installed.id} would speak longer than {limit:.0f} s for one sentence.",
            f"A sentence takes at most {MOST_FRAMES:,} frames.",
            "Raise speed, lower noise_scale_dur, or give a shorter sentence.",
        )
