"""BiCodec and wav2vec2 of Spark-TTS beside the way the original computes them, at the published
size: `python -m bench.spark_codec`.

The original is not installed. What stands for it is this project's own modules in the form that its
code has: weight norm multiplied out anew at every call, Snake in the original's five steps, sums in
fresh memory; and transformers' wav2vec2 with all of its 24 layers. Weights are random, the same on
both sides, and the sounds are compared.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bench import report
from bench.workers import best, in_turns, worker

CODEC_GOAL, LAYERS_GOAL = 0.7, 0.75
ROUNDS = 5
SIDES = (
    ("float32", "detokenise, torch in float32"),
    ("bfloat16", "detokenise, torch with the wave generator in bfloat16"),
    ("onnx", "detokenise, ONNX Runtime in float32"),
)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = [*_codec(Path(folder)), _features(Path(folder))]
    return report.publish("spark_codec", "Spark-TTS' codec, at the published size", figures)


def _codec(folder: Path) -> list[report.Figure]:
    kinds = ["original", *(kind for kind, _ in SIDES)]
    original, *ours = _measured(kinds, folder)
    truth = np.load(folder / "original.npy")
    figures = []
    for (kind, what), runs in zip(SIDES, ours, strict=True):
        off = np.abs(np.load(folder / f"{kind}.npy") - truth).max() / np.abs(truth).max()
        detail = f"{_times(runs, original)}; largest difference {off:.0e} of the peak"
        figures.append(_figure(f"{what} / original's form", runs, original, CODEC_GOAL, detail))
    return figures


def _features(folder: Path) -> report.Figure:
    whole, ours = _measured(["24 layers", "16 layers"], folder)
    what = "wav2vec2 with 16 layers / with all 24"
    return _figure(what, ours, whole, LAYERS_GOAL, _times(ours, whole))


def _measured(kinds: Sequence[str], folder: Path) -> list[list[dict[str, Any]]]:
    with ExitStack() as stack:
        sides = [
            stack.enter_context(worker(sys.executable, "bench.spark_codec_side", kind, str(folder)))
            for kind in kinds
        ]
        return in_turns(sides, ROUNDS)


def _figure(
    what: str,
    ours: Sequence[dict[str, Any]],
    theirs: Sequence[dict[str, Any]],
    goal: float,
    detail: str,
) -> report.Figure:
    # processor time: what others on the machine take away shows in the clock far more
    ratio = best(ours, "busy") / best(theirs, "busy")
    return report.Figure(f"processor time: {what}", ratio, goal, at_most=True, detail=detail)


def _times(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> str:
    busy, clock = (
        f"{best(ours, kind):.2f} and {best(theirs, kind):.2f} s" for kind in ("busy", "seconds")
    )
    return f"{busy} of the processors, {clock} by the clock; least of {ROUNDS}"


if __name__ == "__main__":
    sys.exit(main())
