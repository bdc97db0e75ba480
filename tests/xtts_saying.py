"""A sentence and a clip through an XTTS release on any runtime: `python -m tests.xtts_saying`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from engines.api import CancelToken, Capability, EngineContext, Reference, Support
from engines.coqui.xtts.speaking import How, XttsRelease
from engines.decode import Sampling
from engines.memory import MemoryManager

TEXTS = ("the other man in town.", "No.", "There are nine people in here, and another one.")
DEVICES = ("cpu", "onnx", "xla")
CAPABILITY = Capability(
    name="coqui",
    title="Coqui",
    summary="",
    sample_rate=24_000,
    licence="",
    support=tuple(Support(device, "float32", "supported") for device in DEVICES),
)


def release_of(folder: Path, memory: MemoryManager) -> XttsRelease:
    context = EngineContext(folder.parent, folder.parent / "cache", memory)
    return XttsRelease(folder, folder.name, CAPABILITY, context)


def say(release: XttsRelease, text: str, device: str, *, speed: float = 1.0, seed: int = 7):
    """Parts of the sound."""
    how = How(Sampling(temperature=0.7, top_k=20, repetition_penalty=3.0), speed)
    encoded = release.encode(text, "en")
    speaker = release.speakers["Ada Tester"]
    given = {"device": device, "seed": seed, "name": text, "cancel": CancelToken()}
    return list(release.say(encoded, speaker, how, **given))


def clip() -> Reference:
    draw = np.random.default_rng(3)
    return Reference(0.2 * draw.standard_normal(60_000).astype(np.float32).clip(-3, 3), 24_000)


def main(folder: Path, device: str, target: Path) -> None:
    memory = MemoryManager()
    release = release_of(folder, memory)
    heard = release.listen([clip()], device=device, cancel=CancelToken())
    sounds = [np.concatenate(say(release, text, device)) for text in TEXTS]
    loaded = np.array([name in sys.modules for name in ("torch", "TTS")])
    parts = {f"sound{number}": each for number, each in enumerate(sounds)}
    np.savez(target, loaded=loaded, latents=heard.latents, embedding=heard.embedding, **parts)
    memory.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
