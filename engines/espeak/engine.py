"""eSpeak NG as an engine: plan a sentence, borrow a worker, turn what it sends into audio."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

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
    WordTime,
)
from engines.errors import EngineFailure
from engines.espeak import protocol
from engines.espeak.config import VOICE_DEFAULT, EspeakControls, derive
from engines.espeak.marking import Marked, mark
from engines.espeak.phonemes import Inventory, read_tables, take_stock
from engines.espeak.pool import Pool, WorkerLost
from engines.espeak.request import Request, Settings
from engines.espeak.stretch import Stretcher
from engines.espeak.voices import LanguageVoice, Variant, as_voice, installed
from engines.espeak.words import WordClock
from engines.voices import unknown_voice

SAMPLE_RATE = 22050  # Hz, of all its voices
WORKERS = 8  # more than cores: those that wait for slow listeners must not stop the others

_CPU_ONLY = "eSpeak NG computes on the CPU only, hundreds of times faster than speech."
_HURRIED = Settings(rate=449, noise=1)


@dataclass(frozen=True)
class _Plan:
    request: Request
    marked: Marked
    stretch: float  # length of the audio by that of the library's


class EspeakEngine:
    """Speaks through worker processes that own the library. No model is loaded."""

    capability: ClassVar[Capability] = Capability(
        name="espeak",
        title="eSpeak NG",
        summary="Formant synthesis in over a hundred languages; nothing to download.",
        sample_rate=SAMPLE_RATE,
        licence="GPL-3.0-or-later (eSpeak NG, run as a process of its own)",
        support=(
            Support("cpu", "native", "supported"),
            *(
                Support(runtime, "native", "refused", _CPU_ONLY)
                for runtime in ("cuda", "mps", "xla", "onnx", "onnx:cuda")
            ),
        ),
        word_times=True,
        uses_seed=True,
        phonemes="ipa",
        reads_numbers=True,
    )
    controls: ClassVar[type[Controls]] = EspeakControls

    def __init__(self, context: EngineContext) -> None:  # noqa: ARG002 - of the protocol
        self._pool = Pool(WORKERS)
        self._inventories: dict[str, Inventory] = {}
        self._stock_taking = threading.Lock()

    def voices(self) -> Sequence[Voice]:
        """The language voices. Each also takes any variant, as in `en-us+f3`; `variants` lists
        them."""
        return self._voices

    @staticmethod
    def variants() -> Sequence[Variant]:
        """Timbres for any voice, also the choices of the control `variant`."""
        return installed().variants

    def voice(self, voice_id: str) -> Voice:
        return as_voice(*self._find(voice_id))

    def speak(
        self,
        utterance: Utterance,
        voice: Voice,
        controls: Controls,
        *,
        device: str,  # noqa: ARG002 - there is only one
        seed: int,
        cancel: CancelToken,
    ) -> Iterator[AudioChunk]:
        """Speak one utterance. A worker that dies before any sound has left is replaced once,
        unnoticed.

        Raises:
            UnknownVoice, BadText: the voice or the text cannot be spoken.
            BadLexicon: the voice has no such sound as a span's IPA asks for.
            EngineFailure: the library crashed or hung.
        """
        assert isinstance(controls, EspeakControls)
        cancel.raise_if_set()
        plan = self._plan(utterance, voice, controls, seed, cancel)
        heard = False
        for last_try in (False, True):
            try:
                for chunk in self._chunks(plan, utterance.spoken, cancel):
                    heard = True
                    yield chunk
                return
            except WorkerLost as error:
                if heard or last_try:
                    raise EngineFailure(
                        f"{error}, at the sentence {utterance.source!r:.80}.",
                        "Other requests are not affected.",
                        "Try again; if the same sentence fails again, change it.",
                    ) from error

    def close(self) -> None:
        self._pool.close()

    @cached_property
    def _voices(self) -> tuple[Voice, ...]:
        return tuple(as_voice(voice) for voice in installed().voices)

    @cached_property
    def _phoneme_tables(self) -> dict[str, dict[str, int]]:
        return read_tables(installed().data / "phontab")

    def _find(self, voice_id: str) -> tuple[LanguageVoice, Variant | None]:
        found = installed().find(voice_id)
        if found is None:
            raise unknown_voice(self.capability, voice_id, self.voices())
        return found

    def _plan(
        self,
        utterance: Utterance,
        voice: Voice,
        controls: EspeakControls,
        seed: int,
        cancel: CancelToken,
    ) -> _Plan:
        language, variant = self._find(voice.id)
        if controls.variant != VOICE_DEFAULT:
            variant = installed().variant(controls.variant)
        marked = mark(
            utterance.spans,
            lambda ipa: self._inventory(language, cancel).mnemonics(ipa),
        )
        settings, stretch = derive(controls, seed, utterance.index)
        path = f"{language.path}+{variant.file}" if variant else language.path
        request = Request(protocol.SPEAK, path, marked.text, settings, marked.has_phonemes)
        return _Plan(request, marked, stretch)

    def _inventory(self, language: LanguageVoice, cancel: CancelToken) -> Inventory:
        """What a voice can pronounce, asked of it once."""

        def named(text: str) -> Sequence[str]:
            request = Request(protocol.PHONEMES, language.path, text, _HURRIED, True)
            with self._pool.lend(language.path, cancel) as worker:
                [(_, body)] = worker.ask(request, cancel)
            return body.decode().split("\n")

        with self._stock_taking:
            if language.path not in self._inventories:
                try:
                    inventory = take_stock(self._phoneme_tables, language.phoneme_tables, named)
                except WorkerLost as error:
                    raise EngineFailure(
                        f"{error}, while it named the sounds of {language.name}.",
                        "",
                        "Respell the word in the lexicon instead of giving its IPA.",
                    ) from error
                self._inventories[language.path] = inventory
            return self._inventories[language.path]

    def _chunks(self, plan: _Plan, spoken: str, cancel: CancelToken) -> Iterator[AudioChunk]:
        """Audio as it comes, one chunk behind, so that the last one can hold the last word."""
        clock = WordClock(spoken, plan.marked, plan.stretch / SAMPLE_RATE)
        stretcher = None if plan.stretch == 1.0 else Stretcher(plan.stretch)
        samples: np.ndarray = np.zeros(0, np.float32)
        words: list[WordTime] = []
        given = 0
        with self._pool.lend(plan.request.voice, cancel) as worker:
            for _, body in worker.ask(plan.request, cancel):
                events, pcm = protocol.unpack_chunk(body)
                if samples.size:
                    yield AudioChunk(samples, SAMPLE_RATE, tuple(words))
                    given += samples.size
                    words = []
                samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
                if stretcher is not None:
                    samples = stretcher.push(samples)
                words += clock.words(events)
        if stretcher is not None:
            samples = np.concatenate([samples, stretcher.finish()])
        words += clock.finish((given + samples.size) / SAMPLE_RATE)
        if samples.size:
            yield AudioChunk(samples, SAMPLE_RATE, tuple(words))
