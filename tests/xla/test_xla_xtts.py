"""XTTS on XLA: the sound of the CPU, from graphs compiled once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.coqui.xtts import speaking
from engines.coqui.xtts.checkpoint import convert_release
from engines.memory import MemoryManager
from engines.runtime.buckets import Buckets
from engines.runtime.xla import compile_count
from tests import xtts_saying
from tests.xtts_release import write_release


def test_speech_is_that_of_the_cpu_and_nothing_is_compiled_later(
    tmp_path: Path, monkeypatch
) -> None:
    folder = write_release(tmp_path / "models" / "tiny")
    convert_release(folder, trust=True)  # made by the line above; this torch opens no other
    usual = speaking.buckets
    # two of the decoder's sizes: its convolutions are as large as a published model's
    few = {"T_mel": Buckets([48, 96])}
    monkeypatch.setattr(speaking, "buckets", lambda config: {**usual(config), **few})
    memory = MemoryManager()
    engine = xtts_saying.engine_of(folder, memory)
    xtts_saying.say(engine, "No.", "xla:0")
    warm = compile_count()
    for text, speed in zip(xtts_saying.TEXTS, (1.0, 1.3, 0.8), strict=True):
        expected = np.concatenate(xtts_saying.say(engine, text, "cpu", speed=speed))
        heard = np.concatenate(xtts_saying.say(engine, text, "xla:0", speed=speed))
        assert heard.size == expected.size > 0
        np.testing.assert_allclose(heard, expected, atol=1e-3)
    assert xtts_saying.heard(engine, "xla:0")["speaker_embedding"].shape == (1, 512, 1)
    assert compile_count() == warm
    memory.close()
