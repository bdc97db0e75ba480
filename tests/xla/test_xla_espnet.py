"""ESPnet VITS through its engine on XLA: the sound of the CPU, from graphs compiled once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.api import CancelToken, EngineContext, Span, Utterance
from engines.controls import validate
from engines.espnet_vits.checkpoint import convert_release
from engines.espnet_vits.engine import EspnetVitsEngine
from engines.memory import MemoryManager
from engines.runtime.xla import compile_count
from tests.espnet_release import write_release

TEXTS = (
    "Hello there, nine people.",
    "No.",
    "A tent at noon, and another at ten. Then none at all.",
)


def test_the_engine_speaks_as_on_the_cpu_and_compiles_nothing_later(tmp_path: Path) -> None:
    release = tmp_path / "models" / "tiny"
    write_release(release)
    convert_release(release, trust=True)  # made by the line above; this torch opens no other
    memory = MemoryManager()
    engine = EspnetVitsEngine(EngineContext(tmp_path / "models", tmp_path / "cache", memory))

    def speak(text: str, device: str) -> np.ndarray:
        [voice] = engine.voices()
        utterance = Utterance((Span(text, text),), "en")
        controls = validate(engine.controls, {})
        how = {"device": device, "seed": 7, "cancel": CancelToken()}
        return np.concatenate(
            [chunk.samples for chunk in engine.speak(utterance, voice, controls, **how)]
        )

    speak(TEXTS[0], "xla:0")
    warm = compile_count()
    for text in TEXTS:
        expected, heard = speak(text, "cpu"), speak(text, "xla:0")
        assert heard.size == expected.size > 0
        assert np.abs(heard - expected).max() < 1e-3
    assert compile_count() == warm
    engine.close()
    memory.close()
