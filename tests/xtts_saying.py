"""Sentences and a clip through the engine of an XTTS release, on any runtime, also in a process of
its own: `python -m tests.xtts_saying FOLDER DEVICE FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from engines.api import CancelToken, EngineContext, Reference, Span, Utterance
from engines.coqui.controls import CoquiControls
from engines.coqui.engine import CoquiEngine
from engines.memory import MemoryManager

TEXTS = ("the other man in town.", "No.", "There are nine people in here, and another one.")
SEED = 7


def engine_of(folder: Path, memory: MemoryManager) -> CoquiEngine:
    """The engine that has one release alone."""
    return CoquiEngine(EngineContext(folder.parent, folder.parent.parent / "cache", memory))


def say(engine: CoquiEngine, text: str, device: str, **controls: float) -> list[np.ndarray]:
    """Parts of the sound."""
    voice = engine.voices()[0]
    how = CoquiControls(temperature=0.7, top_k=20, repetition_penalty=3, **controls)
    given = {"device": device, "seed": SEED, "cancel": CancelToken()}
    spoken = engine.speak(Utterance((Span(text, text),), "en"), voice, how, **given)
    return [chunk.samples for chunk in spoken]


def heard(engine: CoquiEngine, device: str) -> dict[str, np.ndarray]:
    """What the model hears in a clip, by the library's names."""
    draw = np.random.default_rng(3)
    clip = Reference(0.2 * draw.standard_normal(60_000).astype(np.float32).clip(-3, 3), 24_000)
    kept = engine.condition([clip], device=device, cancel=CancelToken())
    return {key.rpartition("/")[2]: value for key, value in kept.items() if "@" in key}


def main(folder: Path, device: str, target: Path) -> None:
    memory = MemoryManager()
    engine = engine_of(folder, memory)
    found = heard(engine, device)
    for number, text in enumerate(TEXTS):
        found[f"sound{number}"] = np.concatenate(say(engine, text, device))
    loaded = np.array([name in sys.modules for name in ("torch", "TTS")])
    np.savez(target, loaded=loaded, **found)
    memory.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
