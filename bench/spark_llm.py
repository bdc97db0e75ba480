"""Spark-TTS' language model beside the original's code path: `python -m bench.spark_llm`.

The published sizes with random weights. The original is transformers' `generate` in float32, as
the release's own code calls it; ours are the step stage and its heads in ONNX Runtime with weights
in 4 and 8 bits, prompts, sampling and all. Each side is a process of its own and they take turns,
so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from engines.runtime.export_step import StepPrecision

ORIGINAL_TOKENS, OUR_TOKENS = 6, 48  # of a round, about as long
ROUNDS = 5
SENTENCES = 4  # decoded side by side
SHORT, LONG = 100, 1500  # tokens of context
CODEC = 50  # tokens of a second of sound
GOALS: dict[StepPrecision, float] = {"int4": 8.0, "int8": 4.0}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="vivavoce-bench-") as scratch:
        folder = Path(scratch)
        print("writing ONNX files of random weights", file=sys.stderr, flush=True)
        alone(export_llm, folder, tuple(GOALS))
        workers = {"original": Asking(_original)}
        for precision in GOALS:
            workers[precision] = Asking(_ours, folder / precision)
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        batches: list[float] = []
        for number in range(-1, ROUNDS):  # round -1 warms everything and does not count
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
            for name, worker in workers.items():
                seconds[name].append(worker.ask("token"))
            batches.append(workers["int4"].ask("batch"))
        lengths = [workers["int4"].ask("length") for _ in range(ROUNDS)]
        bytes_of = {name: worker.ask("memory") for name, worker in workers.items()}
        for worker in workers.values():
            worker.close()
    # the best of each side: what else the machine did can only have made it longer
    token = {name: min(each[1:]) for name, each in seconds.items()}
    batch = min(batches[1:])
    return report.publish(
        "spark_llm",
        "Spark-TTS' language model",
        [
            *_speeds(token),
            _against_sound("one sentence", token["int4"]),
            _against_sound(f"{SENTENCES} sentences side by side", batch),
            _length(lengths),
            _memory(bytes_of),
        ],
    )


def _speeds(token: dict[str, float]) -> Iterator[report.Figure]:
    for precision, goal in GOALS.items():
        ratio = token["original"] / token[precision]
        detail = (
            f"{1 / token[precision]:.1f} and {1 / token['original']:.1f} tokens/s, {THREADS} "
            f"threads, the best of {ROUNDS} rounds"
        )
        what = f"tokens/s in ONNX {precision} / transformers' generate in fp32"
        yield report.Figure(what, ratio, goal, at_most=False, detail=detail)


def _against_sound(what: str, token: float) -> report.Figure:
    speed = 1 / token
    detail = f"{speed:.1f} tokens/s in ONNX int4; a second of sound has {CODEC}"
    title = f"seconds of sound written in a second, {what}"
    return report.Figure(title, speed / CODEC, 1.0, at_most=False, detail=detail)


def _length(lengths: list[tuple[float, float]]) -> report.Figure:
    short, long = (min(each) for each in zip(*lengths, strict=True))
    detail = f"{long * 1e3:.1f} and {short * 1e3:.1f} ms in ONNX int4"
    what = f"a step after {LONG} tokens / after {SHORT}"
    return report.Figure(what, long / short, 1.3, at_most=True, detail=detail)


def _memory(bytes_of: dict[str, int]) -> report.Figure:
    ratio = bytes_of["int4"] / bytes_of["original"]
    detail = f"{bytes_of['int4'] / 1e9:.2f} and {bytes_of['original'] / 1e9:.2f} GB of a process"
    what = "peak memory in ONNX int4 / transformers in fp32"
    return report.Figure(what, ratio, 1 / 3, at_most=True, detail=detail)


def _original(pipe: Connection) -> None:
    threads.configure(THREADS)
    import torch

    model = transformers_model()
    prompt = torch.from_numpy(prompts(1))

    def seconds(tokens: int) -> float:
        start = time.perf_counter()
        generated(model, prompt, tokens)
        return time.perf_counter() - start

    # what the prompt takes is in both
    answer(
        pipe,
        {
            "token": lambda: (seconds(ORIGINAL_TOKENS + 1) - seconds(1)) / ORIGINAL_TOKENS,
            "memory": memory_of_process,
        },
    )


def _ours(pipe: Connection, folder: Path) -> None:
    threads.configure(THREADS)
    from engines.memory import MemoryManager
    from engines.runtime.onnx_file import read_stage, read_step
    from engines.runtime.ort import OrtRuntime
    from engines.spark.llm_stages import HEAD_SEMANTIC, LLM

    runtime = OrtRuntime()
    stages = {
        LLM: runtime.bind(read_step(folder / f"{LLM}.onnx")),
        HEAD_SEMANTIC: runtime.bind(read_stage(folder / f"{HEAD_SEMANTIC}.onnx")),
    }
    memory = MemoryManager()
    answer(
        pipe,
        {
            "token": lambda: _written(stages, memory, 1),
            "batch": lambda: _written(stages, memory, SENTENCES),
            "length": lambda: _steps_by_length(stages[LLM], memory),
            "memory": memory_of_process,
        },
    )


def _written(stages: Any, memory: Any, rows: int) -> float:
    """Seconds a token from the first to the last, of so many sentences together."""
    from engines.api import CancelToken
    from engines.decode import Sampling
    from engines.spark.answers import Grammar
    from engines.spark.writing import Asked, write

    asked = [Asked(prompt, "clone", row, OUR_TOKENS) for row, prompt in enumerate(prompts(rows))]
    grammar, sampling = Grammar(published_tokens(), 32), Sampling(**SAMPLING)
    times = [
        time.perf_counter()
        for _ in write(stages, memory, "bench", asked, grammar, sampling, cancel=CancelToken())
    ]
    return (times[-1] - times[rows - 1]) / (len(times) - rows)


def _steps_by_length(llm: Any, memory: Any) -> tuple[float, float]:
    """Seconds of a step with little and with much behind it."""
    found = []
    with llm.start(memory, "bench") as sequences:
        sequences.prefill(ids=prompts(1))
        for length in (SHORT, LONG):
            sequences.positions[:] = length  # of a long past only the size matters here
            sequences.step(ids=[[1]])
            times = []
            for _ in range(16):
                start = time.perf_counter()
                sequences.step(ids=[[1]])
                times.append(time.perf_counter() - start)
            found.append(statistics.median(times))
    return found[0], found[1]


if __name__ == "__main__":
    sys.exit(main())
