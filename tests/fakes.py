"""A small engine for tests: a tone per word, as loud, as long and as slow as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from engines import registry
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
    WordTime,
)
from engines.voices import unknown_voice

RATE = 16_000
SECONDS_A_WORD = 0.2


class ToneControls(Controls):
    frequency: float = Field(440.0, ge=50, le=2000, description="Pitch of the tone in Hz.")
    speed: float = Field(1.0, ge=0.25, le=4, description="How fast it goes.")


class ToneEngine:
    """Speaks each word as a tone. `gate` holds it back before each chunk; `failure` is raised
    before the second chunk; `finished` counts utterances that were left, in whatever way."""

    capability = Capability(
        name="tone",
        title="Tone",
        summary="A tone per word.",
        sample_rate=RATE,
        licence="none",
        support=(
            Support("cpu", "native", "supported"),
            Support("cuda", "native", "refused", "a tone needs no GPU"),
        ),
        word_times=True,
        uses_seed=True,
    )
    controls = ToneControls
    gate: threading.Event | None = None
    failure: Exception | None = None
    chunks = 0
    left = 0

    def __init__(self, context: EngineContext) -> None:
        self.context = context

    def voices(self) -> tuple[Voice, ...]:
        return (
            Voice("sine", "Sine", "tone", ("en-US",)),
            Voice("square", "Square", "tone", ("de",)),
        )

    def voice(self, voice_id: str) -> Voice:
        for voice in self.voices():
            if voice.id == voice_id:
                return voice
        raise unknown_voice(self.capability, voice_id, self.voices())

    def speak(
        self,
        utterance: Utterance,
        voice: Voice,
        controls: ToneControls,
        *,
        device: str,
        seed: int,
        cancel: CancelToken,
    ) -> Iterator[AudioChunk]:
        kind = type(self)
        length = int(RATE * SECONDS_A_WORD / controls.speed)
        tone = np.sin(np.arange(length) * 2 * np.pi * controls.frequency / RATE)
        if voice.id == "square":
            tone = np.sign(tone)
        loudness = 0.1 + 0.1 * np.random.default_rng(seed).random()
        position = 0
        try:
            for number, word in enumerate(utterance.spoken.split()):
                while kind.gate is not None and not kind.gate.wait(0.02):
                    cancel.raise_if_set()
                if number and kind.failure is not None:
                    raise kind.failure
                cancel.raise_if_set()
                kind.chunks += 1
                position = utterance.spoken.index(word, position)
                start = number * length / RATE
                mark = WordTime(start, start + length / RATE, position, len(word))
                position += len(word)
                yield AudioChunk((loudness * tone).astype(np.float32), RATE, (mark,))
        finally:
            kind.left += 1

    def close(self) -> None:
        pass


class CloningEngine(ToneEngine):
    """Speaks in the pitch of the reference clip."""

    capability = replace(ToneEngine.capability, title="Cloning tone", clones=True)
    conditioning_version = "1"
    conditioned = 0

    def condition(
        self, references: Sequence[Reference], *, device: str, cancel: CancelToken
    ) -> dict[str, np.ndarray]:
        cancel.raise_if_set()
        type(self).conditioned += 1
        clip = references[0]
        spectrum = np.abs(np.fft.rfft(clip.samples))
        loudest = np.fft.rfftfreq(clip.samples.size, 1 / clip.sample_rate)[spectrum.argmax()]
        return {"frequency": np.array([loudest], np.float32)}

    def speak(self, utterance: Utterance, voice: Voice, controls: ToneControls, **how: Any):
        if voice.conditioning is not None:
            heard = float(voice.conditioning["frequency"][0])
            controls = controls.model_copy(update={"frequency": heard})
        yield from super().speak(utterance, voice, controls, **how)


class MakingEngine(ToneEngine):
    """Tells that "sine" is made up for the text, and can be had again as "sine.v-1"."""

    def voice(self, voice_id: str) -> Voice:
        if voice_id == "sine.v-1":
            return replace(self.voices()[0], id=voice_id)
        return super().voice(voice_id)

    def speak(self, utterance: Utterance, voice: Voice, controls: ToneControls, **how: Any):
        if voice.id == "sine" and utterance.index == 0:
            told = ("This voice can be had again as sine.v-1.",)
            yield AudioChunk(np.zeros(0, np.float32), RATE, notes=told, made_voice="sine.v-1")
        yield from super().speak(utterance, voice, controls, **how)


class ConvertingEngine(ToneEngine):
    """Says a clip as a tone in the pitch of the target, as long as the clip, in two chunks."""

    capability = replace(ToneEngine.capability, title="Converting tone", converts=True)

    def converters(self) -> tuple[Converter, ...]:
        return tuple(
            Converter(name.lower(), name, "tone", RATE, ("cpu",)) for name in ("Turner", "Twin")
        )

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
        clip = target[0]
        spectrum = np.abs(np.fft.rfft(clip.samples))
        pitch = np.fft.rfftfreq(clip.samples.size, 1 / clip.sample_rate)[spectrum.argmax()]
        half = int(source.samples.size / source.sample_rate * RATE) // 2
        tone = 0.2 * np.sin(np.arange(2 * half) * 2 * np.pi * pitch / RATE).astype(np.float32)
        for part in (tone[:half], tone[half:]):
            while type(self).gate is not None and not type(self).gate.wait(0.02):
                cancel.raise_if_set()
            cancel.raise_if_set()
            yield AudioChunk(part, RATE)


def install(patch: pytest.MonkeyPatch, kind: type[ToneEngine] = ToneEngine) -> type[ToneEngine]:
    """A fresh engine of that kind as the registry's engine "tone"; gone after the test."""
    fresh = {"gate": None, "failure": None, "chunks": 0, "left": 0, "conditioned": 0}
    engine = type("FreshToneEngine", (kind,), fresh)
    patch.setitem(registry.FAMILIES, "tone", "tests.fakes:unused")
    original = registry.engine_class
    patch.setattr(
        registry, "engine_class", lambda name: engine if name == "tone" else original(name)
    )
    return engine
