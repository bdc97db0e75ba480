"""Our VITS, measured as a worker of `bench.vits`: python -m bench.vits_ours KIND MODELS.

KIND is a device with a precision, such as `cpu`, `cpu:bfloat16` or `onnx`: the engine speaks, part
by part; `whole`, which decodes at once on the CPU; or `padded` and `xla`, which run the stages that
XLA compiles, at the same padded sizes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import vits_sentence as sentence
from bench.workers import Once, serve
from engines.api import CancelToken, EngineContext, Span, Utterance
from engines.espnet_vits import streaming, synthesis
from engines.espnet_vits.engine import EspnetVitsEngine
from engines.memory import MemoryManager
from engines.runtime import threads
from engines.runtime.stage import Bound, Runtime


def main(kind: str, models: Path) -> None:
    threads.configure()
    if kind in ("whole", "padded", "xla"):
        once, told = of_stages(kind, models)
    else:
        once, told = of_engine(kind, models), {}
    once()
    serve(once, told)


def of_engine(kind: str, models: Path) -> Once:
    device, _, precision = kind.partition(":")
    memory = MemoryManager()
    engine = EspnetVitsEngine(EngineContext(models, models / "cache", memory))
    [voice] = engine.voices()
    said = Utterance((Span(sentence.text(), sentence.text()),), "en")
    frames = " ".join(map(str, sentence.durations()))
    chosen = {"noise_scale": 0.0, "durations": frames, "precision": precision or "float32"}
    controls = engine.controls(**chosen)

    def once() -> Mapping[str, Any]:
        began, first, parts = time.perf_counter(), 0.0, []
        how = {"device": device, "seed": 0, "cancel": CancelToken()}
        for chunk in engine.speak(said, voice, controls, **how):
            first = first or time.perf_counter() - began
            parts.append(chunk.samples)
        np.save(models / f"{kind.replace(':', '-')}.npy", np.concatenate(parts))
        return {"first": first, "parts": len(parts)}

    return once


def of_stages(kind: str, models: Path) -> tuple[Once, dict[str, Any]]:
    from engines.espnet_vits.checkpoint import load_generator, open_release
    from engines.espnet_vits.loading import COMPILED
    from engines.espnet_vits.stages import stages
    from engines.runtime.eager import EagerRuntime

    generator = load_generator(open_release(models / "release"))
    made = stages(generator, masks=kind != "whole")
    runtime: Runtime
    told: dict[str, Any] = {}
    began = time.perf_counter()
    if kind == "xla":
        from engines.runtime.xla import XlaRuntime

        runtime = XlaRuntime("xla:0", buckets=streaming.BUCKETS, cache=models / "xla")
    else:
        runtime = EagerRuntime("cpu", buckets=streaming.BUCKETS if kind == "padded" else None)
    names = ("encode", "flow", "decoder") if kind == "whole" else COMPILED
    bound = {name: runtime.bind(made[name]) for name in names}
    if kind == "xla":
        told["graphs"] = sum(1 for each in bound.values() for _ in each.warm_up())
        told["compiling"] = time.perf_counter() - began
    hidden = generator.config.hidden_channels
    noise = np.zeros((1, hidden, int(sentence.durations().sum())), np.float32)

    def once() -> Mapping[str, Any]:
        prior = synthesis.encode(bound, _text(), sentence.durations())
        wav = _sound(bound, prior, noise)
        np.save(models / f"{kind}.npy", wav)
        return {}

    return once, told


def _text() -> synthesis.Text:
    noise = np.zeros((1, 2, sentence.PHONEMES), np.float32)
    return synthesis.Text(ids=sentence.ids(), noise=noise)


def _sound(bound: Mapping[str, Bound], prior: synthesis.Prior, noise: np.ndarray) -> np.ndarray:
    if "render" in bound:
        return synthesis.speak(bound, prior, noise, 0.0)
    return synthesis.decode(bound, synthesis.latent(bound, prior, noise, 0.0), prior.g)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
