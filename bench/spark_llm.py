"""Spark-TTS' language model beside the original's code path: `python -m bench.spark_llm`.

The published sizes with random weights. The original is transformers' `generate` in float32, as
the release's own code calls it; ours are the step stage and its heads in ONNX Runtime with weights
in 4 and 8 bits, prompts, sampling and all. Each side is a process of its own and they take turns,
so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import report
from engines.runtime import threads, torchaudio_standin

if TYPE_CHECKING:
    from torch import Tensor

    from engines.spark.tokens import Tokens

THREADS = 2
PROMPT = 100  # tokens
ORIGINAL_TOKENS, OUR_TOKENS = 6, 48  # of a round, about as long
ROUNDS = 5
SENTENCES = 4  # decoded side by side
SHORT, LONG = 100, 1500  # tokens of context
CODEC = 50  # tokens of a second of sound
SAMPLING = {"temperature": 0.8, "top_k": 50, "top_p": 0.95}  # the original's
GOALS = {"int4": 8.0, "int8": 4.0}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="vivavoce-bench-") as scratch:
        folder = Path(scratch)
        print("writing ONNX files of random weights", file=sys.stderr, flush=True)
        _alone(_export, folder)
        workers = {"original": _Worker(_original)}
        for precision in GOALS:
            workers[precision] = _Worker(_ours, folder / precision)
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


class _Worker:
    """A process that answers by name with what it measures."""

    def __init__(self, work: Any, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, *arguments), daemon=True)
        self._process.start()

    def ask(self, what: str) -> Any:
        self._ours.send(what)
        return self._ours.recv()

    def close(self) -> None:
        self._ours.send(None)
        self._process.join()


def _alone(work: Any, *arguments: Any) -> None:
    """Run something in a process whose memory goes with it."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{work.__name__} ended with {process.exitcode}")


def _answer(pipe: Connection, answers: dict[str, Any]) -> None:
    while (what := pipe.recv()) is not None:
        pipe.send(answers[what]())


def _original(pipe: Connection) -> None:
    threads.configure(THREADS)
    torchaudio_standin.prepare()
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from engines.checkpoint import on_meta
    from engines.spark.llm_config import published_llm

    config = published_llm()
    with on_meta():
        model = Qwen2ForCausalLM(Qwen2Config(**config.model_dump())).eval()
    # rotary frequencies are computed when a model is built, and here it was built of nothing
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    model.load_state_dict(_random_weights(), strict=False, assign=True)
    model.tie_weights()
    prompt = torch.from_numpy(_prompts(1))

    def seconds(tokens: int) -> float:
        start = time.perf_counter()
        made = model.generate(
            prompt, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=True, **SAMPLING
        )
        assert made.shape[1] == PROMPT + tokens
        return time.perf_counter() - start

    # what the prompt takes is in both
    _answer(
        pipe,
        {
            "token": lambda: (seconds(ORIGINAL_TOKENS + 1) - seconds(1)) / ORIGINAL_TOKENS,
            "memory": _memory_of_process,
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
    _answer(
        pipe,
        {
            "token": lambda: _written(stages, memory, 1),
            "batch": lambda: _written(stages, memory, SENTENCES),
            "length": lambda: _steps_by_length(stages[LLM], memory),
            "memory": _memory_of_process,
        },
    )


def _written(stages: Any, memory: Any, rows: int) -> float:
    """Seconds a token from the first to the last, of so many sentences together."""
    from engines.api import CancelToken
    from engines.decode import Sampling
    from engines.spark.answers import Grammar
    from engines.spark.writing import Asked, write

    asked = [Asked(prompt, "clone", row, OUR_TOKENS) for row, prompt in enumerate(_prompts(rows))]
    grammar, sampling = Grammar(_published_tokens(), 32), Sampling(**SAMPLING)
    times = [
        time.perf_counter()
        for _ in write(stages, memory, "bench", asked, grammar, sampling, cancel=CancelToken())
    ]
    return (times[-1] - times[rows - 1]) / (len(times) - rows)


def _steps_by_length(llm: Any, memory: Any) -> tuple[float, float]:
    """Seconds of a step with little and with much behind it."""
    found = []
    with llm.start(memory, "bench") as sequences:
        sequences.prefill(ids=_prompts(1))
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


def _export(folder: Path) -> None:
    threads.configure(THREADS)
    from engines.runtime.export import export
    from engines.runtime.export_step import export_step
    from engines.runtime.quantise import quantise_file
    from engines.runtime.step import StepStage
    from engines.spark.converting import HEAD_BITS
    from engines.spark.llm_checkpoint import llm_of
    from engines.spark.llm_config import published_llm
    from engines.spark.llm_stages import HEAD_SEMANTIC, llm_positions, llm_stages

    config = published_llm()
    model = llm_of(_random_weights(), config, llm_positions(config), "random weights")
    for stage in llm_stages(model, config, _published_tokens()):
        if isinstance(stage, StepStage):
            for precision in GOALS:
                export_step(stage, folder / precision, precision=precision)  # type: ignore[arg-type]
        elif stage.name == HEAD_SEMANTIC:
            for precision in GOALS:
                quantise_file(export(stage, folder / precision), HEAD_BITS)


def _random_weights() -> dict[str, Tensor]:
    """Under the published names. Half a thousand million draws would take longer than the bench, so
    each tensor is another stretch of fewer; runtimes hold equal tensors once, and caches too."""
    import torch

    from engines.spark.llm_checkpoint import published_shapes
    from engines.spark.llm_config import published_llm

    drawn = torch.empty(1 << 25).normal_(0, 0.02, generator=torch.Generator().manual_seed(0))
    made = {}
    for number, (key, shape) in enumerate(published_shapes(published_llm()).items()):
        count = int(np.prod(shape))
        if key.endswith("norm.weight"):
            made[key] = torch.ones(shape)
        else:
            pieces = [drawn[100_003 * number :], *[drawn] * (count // len(drawn) + 1)]
            made[key] = torch.cat(pieces)[:count].clone().reshape(shape)
    return made


def _prompts(rows: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 150_000, (rows, PROMPT))


def _published_tokens() -> Tokens:
    """Ids of the published tokenizer, which the bench has no file of."""
    from engines.spark.tokens import MARKS, Tokens

    marks = {mark: 165_136 + number for number, mark in enumerate(MARKS)}
    numbered = {
        "bicodec_global": np.arange(151_665, 155_761),
        "bicodec_semantic": np.arange(155_761, 163_953),
        "pitch_value": np.arange(163_953, 164_954),
        "speed_value": np.arange(164_975, 164_986),
    }
    return Tokens(None, 165_158, {**marks, "im_end": 151_645}, numbered)  # type: ignore[arg-type]


def _memory_of_process() -> int:
    """Bytes that the process had at its peak."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
