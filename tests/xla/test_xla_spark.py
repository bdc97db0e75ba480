"""Spark-TTS through its engine on XLA: what the CPU says, from graphs compiled once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.api import CancelToken, EngineContext, Reference, Span, Utterance, Voice
from engines.checkpoint import convert
from engines.memory import MemoryManager
from engines.runtime.buckets import Buckets
from engines.runtime.xla import compile_count
from engines.spark import loading
from engines.spark.checkpoint import FEATURES_FILE
from engines.spark.engine import SparkEngine
from engines.spark.stages import LONGEST_CODES
from tests.spark_release import copied_release

pytestmark = pytest.mark.timeout(600)

TEXTS = ("Hello there, how are you?", "No, not today.")
# few sizes, so that the test compiles little; how many there are changes nothing else
BUCKETS = {
    "T_ref": Buckets([32_000]),
    "T_clip": Buckets([100]),
    "T_codes": Buckets([LONGEST_CODES]),
    "B": Buckets([1]),
    "T_new": Buckets([256]),
}


def test_the_engine_speaks_as_on_the_cpu_and_compiles_nothing_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "buckets", lambda _: BUCKETS)
    release = copied_release(tmp_path / "models" / "Tiny")
    weights = release / FEATURES_FILE
    convert(weights, weights.with_suffix(".safetensors"), trust=True)  # a file that is known
    memory = MemoryManager()
    engine = SparkEngine(EngineContext(tmp_path / "models", tmp_path / "cache", memory))

    def speak(text: str, voice: Voice, device: str) -> np.ndarray:
        said = Utterance((Span(text, text),), "en")
        how = {"device": device, "seed": 7, "cancel": CancelToken()}
        made = engine.speak(said, voice, engine.controls(), **how)
        return np.concatenate([chunk.samples for chunk in made])

    def listen(device: str) -> dict[str, np.ndarray]:
        draw = np.random.default_rng(0).standard_normal(24_000) * 0.1
        clip = Reference(draw.astype(np.float32), 16_000, "Hello.")
        return dict(engine.condition([clip], device=device, cancel=CancelToken()))

    heard = listen("xla:0")
    for name, expected in listen("cpu").items():
        np.testing.assert_array_equal(heard[name], expected)
    somebody = Voice("0" * 16, "Ann", "spark", ("en",), reference="0" * 16, conditioning=heard)
    speak(TEXTS[0], somebody, "xla:0")
    warm = compile_count()
    for text in TEXTS:
        for voice in (somebody, engine.voice("Tiny.female")):
            expected, found = speak(text, voice, "cpu"), speak(text, voice, "xla:0")
            assert found.size == expected.size > 0
            assert np.abs(found - expected).max() < 1e-3
    assert compile_count() == warm
    engine.close()
    memory.close()
