"""Spark-TTS from a prompt to sound beside the original's code path: `python -m bench.spark`.

The published sizes with random weights. The original is transformers' `generate` in float32, all of
whose tokens BiCodec then makes into sound in the form that the original's code has
(`bench.spark_codec_side`). Ours is what the engine speaks a sentence with, in ONNX Runtime with the
language model in 4 bits, watched and streamed. Neither has wav2vec2 in memory, which only listening
to a clip needs; the original loads it all the same.

Random weights end no sentence: both sides write as many tokens as twenty seconds of speech have. On
our side the end of a sentence is ruled out until then and is all that may come after; the original
has a least and a most number of tokens.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from bench import report
from bench.asking import Asking, alone, answer, memory_of_process
from bench.spark_models import (
    SAMPLING,
    THREADS,
    export_llm,
    generated,
    prompts,
    published_tokens,
    transformers_model,
)
from engines.runtime import threads

SECONDS, CODEC = 20, 50  # of the sentence, and tokens of each of them
ROUNDS = 2  # of ours; the original, ten times as long, has one
# Letters by which a sentence of this length is not taken for one that does not end.
TEXT = "What a sentence says that is spoken for twenty seconds is told by nobody. " * 4


@dataclass(frozen=True)
class Run:
    """Seconds from the request to the first sound and to the last, and of the sound."""

    first: float
    whole: float
    sound: float


def main(seconds: int = SECONDS, rounds: int = ROUNDS) -> int:
    tokens = seconds * CODEC
    with tempfile.TemporaryDirectory(prefix="vivavoce-bench-") as scratch:
        folder = Path(scratch)
        _say("writing ONNX files of random weights")
        alone(_export, folder)
        ours = Asking(_ours, folder, tokens)
        runs = []
        for number in range(rounds):
            _say(f"ours, round {number + 1} of {rounds}")
            runs.append(ours.ask("speak"))
        original = Asking(_original, tokens)
        _say("the original")
        theirs = original.ask("speak")
        bytes_of = [each.ask("memory") for each in (ours, original)]
        ours.close()
        original.close()
    # the best: what else the machine did can only have made it longer
    best = min(runs, key=lambda run: run.whole)
    assert best.sound == theirs.sound == seconds
    figures = [*_figures(best, theirs), _memory(*bytes_of)]
    return report.publish("spark", "Spark-TTS, the whole way to sound", figures)


def _figures(best: Run, theirs: Run) -> Iterator[report.Figure]:
    length = f"a sentence of {best.sound:.0f} s, {THREADS} threads"
    yield report.Figure(
        "time / length of the sound, ONNX int4",
        best.whole / best.sound,
        1.0,
        at_most=True,
        detail=f"{best.whole:.1f} s for {length}; the original takes {theirs.whole:.1f} s",
    )
    yield report.Figure(
        "first sound / whole time, ONNX int4",
        best.first / best.whole,
        0.15,
        at_most=True,
        detail=f"{best.first:.2f} and {best.whole:.1f} s, {length}",
    )


def _memory(ours: int, theirs: int) -> report.Figure:
    detail = f"{ours / 1e9:.2f} and {theirs / 1e9:.2f} GB of a process"
    what = "peak memory of ONNX int4 / transformers' generate and BiCodec in fp32"
    return report.Figure(what, ours / theirs, 1 / 3, at_most=True, detail=detail)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _export(folder: Path) -> None:
    threads.configure(THREADS)
    from bench.spark_codec_side import random_codec
    from engines.runtime.export import export
    from engines.spark import published
    from engines.spark.stages import speaking

    export_llm(folder, ["int4"])
    for stage in speaking(random_codec(), published.config(), masks=False):
        export(stage, folder / "int4")


def _ours(pipe: Connection, folder: Path, tokens: int) -> None:
    threads.configure(THREADS)
    from engines.api import CancelToken
    from engines.decode import Sampling
    from engines.memory import MemoryManager
    from engines.runtime.onnx_file import read_stage, read_step
    from engines.runtime.ort import OrtRuntime
    from engines.spark import published
    from engines.spark.llm_stages import HEAD_SEMANTIC, LLM
    from engines.spark.saying import Desk, Sentence, say
    from engines.spark.stages import SPEAKING

    runtime, files = OrtRuntime(), folder / "int4"
    bound: dict[str, Any] = {LLM: runtime.bind(read_step(files / f"{LLM}.onnx"))}
    for name in (HEAD_SEMANTIC, *SPEAKING):
        bound[name] = runtime.bind(read_stage(files / f"{name}.onnx"))
    config = published.config()
    grammar = _grammar(tokens)
    sampling, cancel = Sampling(**SAMPLING), CancelToken()
    desk = Desk(bound, MemoryManager(), "bench", config, grammar, sampling, cancel)
    sentence = Sentence(prompts(1)[0].tolist(), "clone", _speaker(), TEXT, "bench", 1)

    def speak() -> Run:
        start, first, samples = time.perf_counter(), 0.0, 0
        for chunk in say(desk, sentence):
            assert not chunk.notes, chunk.notes
            first = first or time.perf_counter() - start
            samples += chunk.samples.size
        return Run(first, time.perf_counter() - start, samples / config.top.sample_rate)

    answer(pipe, {"speak": speak, "memory": memory_of_process})


def _grammar(tokens: int) -> Any:
    """That of an answer with so many semantic tokens."""
    from engines.spark.answers import Choice, Grammar, Kind

    class Fixed(Grammar):
        def next(self, kind: Kind, count: int) -> Choice:
            before = len(self.openings[kind])
            choice = super().next(kind, count)
            if count < before:
                return choice
            kept = (choice.ids == self.end) == (count >= before + tokens)
            return Choice(choice.head, choice.rows[kept], choice.ids[kept])

    return Fixed(published_tokens(), len(_speaker()))


def _original(pipe: Connection, tokens: int) -> None:
    threads.configure(THREADS)
    import torch

    from bench.spark_codec_side import original, random_codec
    from engines.spark import published

    model, vocode = transformers_model(), original(random_codec())
    prompt, config = torch.from_numpy(prompts(1)), published.config()

    def speak() -> Run:
        start = time.perf_counter()
        made = generated(model, prompt, tokens)[0].numpy()
        # of random weights any token comes: what stands for it is one that BiCodec has
        samples = vocode(made % config.codec.quantizer.codebook_size, _speaker())
        whole = time.perf_counter() - start
        return Run(whole, whole, samples.size / config.top.sample_rate)

    answer(pipe, {"speak": speak, "memory": memory_of_process})


def _speaker() -> np.ndarray:
    return np.arange(32, dtype=np.int64)


if __name__ == "__main__":
    sys.exit(main())
