"""What the tests of eSpeak NG share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.api import (
    AudioChunk,
    CancelToken,
    EngineContext,
    Span,
    Utterance,
    WordTime,
)
from engines.controls import validate
from engines.espeak.config import EspeakControls
from engines.espeak.engine import SAMPLE_RATE, EspeakEngine

BIRCH = "The birch canoe slid on the smooth planks."
# about two minutes of speech: more than all pipes and buffers hold
LONG = " ".join(["It goes on and on, one word after another, without an end in sight."] * 30)


@dataclass(frozen=True)
class Take:
    """What one call of `speak` gave, put together."""

    samples: np.ndarray
    words: tuple[WordTime, ...]
    spoken: str

    @property
    def seconds(self) -> float:
        return self.samples.size / SAMPLE_RATE

    @property
    def loudness(self) -> float:
        """Root mean square."""
        return float(np.sqrt(np.mean(self.samples**2))) if self.samples.size else 0.0

    @property
    def said(self) -> list[str]:
        return [self.spoken[word.position : word.position + word.length] for word in self.words]


def make_engine() -> EspeakEngine:
    nowhere = Path("unused")
    return EspeakEngine(EngineContext(nowhere, nowhere, None))  # type: ignore[arg-type]


def chunks(
    engine: EspeakEngine,
    text: str | Sequence[Span],
    voice: str = "en-us",
    *,
    seed: int = 1,
    index: int = 0,
    cancel: CancelToken | None = None,
    **controls: object,
) -> Iterator[AudioChunk]:
    spans = (Span(text, text),) if isinstance(text, str) else tuple(text)
    return engine.speak(
        Utterance(spans, "en", index=index),
        engine.voice(voice),
        validate(EspeakControls, controls),
        device="cpu",
        seed=seed,
        cancel=cancel or CancelToken(),
    )


def speak(engine: EspeakEngine, text: str | Sequence[Span], *args: str, **options: object) -> Take:
    pieces = list(chunks(engine, text, *args, **options))  # type: ignore[arg-type]
    spoken = text if isinstance(text, str) else "".join(span.spoken for span in text)
    return Take(
        np.concatenate([np.zeros(0, np.float32), *(piece.samples for piece in pieces)]),
        tuple(word for piece in pieces for word in piece.words),
        spoken,
    )
