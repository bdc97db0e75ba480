"""ESPnet VITS through its engine on XLA: the sound of the CPU, from graphs compiled once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.api import CancelToken, EngineContext, Span, Utterance
from engines.espnet_vits.checkpoint import convert_release
from engines.espnet_vits.engine import EspnetVitsEngine
from engines.memory import MemoryManager
from engines.runtime.xla import compile_count
from tests.espnet_release import write_release

PHONEMES = ("AH0", "N", "T", "HH", "L", "OW1", ",")
LONGEST = 700  # tokens: more than any graph takes


@pytest.mark.timeout(600)  # 16 graphs are compiled
def test_200_sentences_of_every_length_compile_nothing(tmp_path: Path) -> None:
    """Nor does the model when it comes back to the device."""
    release = tmp_path / "models" / "tiny"
    fewer = {"stochastic_duration_predictor_flows": 2}  # half of the usual, to compile less
    write_release(release, generator=fewer, config={"g2p": None, "cleaner": None})
    convert_release(release, trust=True)  # made by the line above; this torch opens no other
    memory = MemoryManager()
    engine = EspnetVitsEngine(EngineContext(tmp_path / "models", tmp_path / "cache", memory))
    [voice] = engine.voices()

    def speak(tokens: int, device: str = "xla:0") -> np.ndarray:
        text = " ".join(PHONEMES[number % len(PHONEMES)] for number in range(tokens))
        said = Utterance((Span(text, text),), "zxx")
        how = {"device": device, "seed": tokens, "cancel": CancelToken()}
        made = engine.speak(said, voice, engine.controls(), **how)
        return np.concatenate([chunk.samples for chunk in made])

    speak(1)
    warm = compile_count()
    lengths = [*range(1, 190), *(round(190 * 1.13**step) for step in range(10)), LONGEST]
    assert len(lengths) == 200
    for tokens in lengths:
        heard = speak(tokens)
        assert heard.size >= tokens * 8, "a frame for each token at least"
        if tokens in (1, 64, LONGEST):
            expected = speak(tokens, "cpu")
            assert heard.shape == expected.shape
            assert np.abs(heard - expected).max() < 1e-3
    assert compile_count() == warm
    [resident] = [each for each in memory.residents() if "xla" in each.name]
    assert memory.unload(resident.name)
    assert np.abs(speak(LONGEST) - expected).max() < 1e-3
    assert compile_count() == warm
    engine.close()
    memory.close()
