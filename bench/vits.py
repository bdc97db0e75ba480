"""ESPnet VITS beside ESPnet's own code, at the size of ljspeech_vits: `python -m bench.vits`.

Weights are random and durations given. Both sides have the same weights, and their sound is
compared. It needs ESPnet in .venv-bench, which `make bench` sets up; XLA is measured where
.venv-xla is there.
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
from bench import vits_sentence as sentence
from bench.processes import ROOT
from bench.workers import best, in_turns, worker

EAGER_GOAL, ONNX_GOAL, XLA_GOAL, FIRST_GOAL = 0.8, 0.6, 1.2, 0.25
SAME = 1e-4  # largest difference of two sounds that count as the same
ROUNDS = 5
XLA_PYTHON = ROOT / ".venv-xla" / "bin" / "python"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        figures = beside_espnet(models)
        if XLA_PYTHON.is_file():
            figures.append(on_xla(models))
    return report.publish("vits", "ESPnet VITS, at the size of ljspeech_vits", figures)


def beside_espnet(models: Path) -> list[report.Figure]:
    from engines.espnet_vits.checkpoint import convert_release
    from engines.espnet_vits.converting import to_onnx

    release = models / "release"
    with ExitStack() as stack:
        peer = stack.enter_context(worker(sys.executable, "bench.vits_peer", str(release)))
        convert_release(release)
        for _ in to_onnx(release):
            pass
        kinds = "cpu", "cpu:bfloat16", "onnx", "whole"
        ours = [stack.enter_context(_ours(kind, models)) for kind in kinds]
        espnet, *runs = in_turns([peer, *ours], ROUNDS)
    truth = np.load(models / "peer.npy")
    heard = [np.load(models / f"{kind.replace(':', '-')}.npy") for kind in kinds]
    told = (
        ("speech in parts on the CPU", EAGER_GOAL),
        ("speech in parts on the CPU, decoder in bfloat16", EAGER_GOAL),
        ("speech in parts in ONNX Runtime", ONNX_GOAL),
    )
    return [
        *(
            _beside(what, each, espnet, goal, _difference(sound, truth))
            for (what, goal), each, sound in zip(told, runs, heard, strict=False)
        ),
        _first("cpu", runs[0]),
        _first("onnx", runs[2]),
        _joined(heard[0], heard[3]),
    ]


def _difference(heard: np.ndarray, truth: np.ndarray) -> str:
    largest, peak = np.abs(heard - truth).max(), np.abs(truth).max()
    return f"largest difference {largest:.0e} at a peak of {peak:.2f}"


def on_xla(models: Path) -> report.Figure:
    with ExitStack() as stack:
        padded, xla = (
            stack.enter_context(_ours(kind, models, XLA_PYTHON)) for kind in ("padded", "xla")
        )
        eager, compiled = in_turns([padded, xla], ROUNDS)
        told = xla.told
    difference = np.abs(np.load(models / "xla.npy") - np.load(models / "padded.npy")).max()
    return report.Figure(
        "XLA's CPU, compiled / eager torch on the same padded input",
        best(compiled) / best(eager),
        XLA_GOAL,
        at_most=True,
        detail=f"{best(compiled):.2f} and {best(eager):.2f} s, least of {ROUNDS}; "
        f"{_busy(compiled, eager)}; {told['graphs']} "
        f"graphs compiled in {told['compiling']:.0f} s; largest difference {difference:.0e}",
    )


def _ours(kind: str, models: Path, python: Path | str = sys.executable) -> Any:
    return worker(python, "bench.vits_ours", kind, str(models))


def _beside(
    what: str,
    ours: Sequence[dict[str, Any]],
    espnet: Sequence[dict[str, Any]],
    goal: float,
    difference: str,
) -> report.Figure:
    real = sentence.seconds()
    return report.Figure(
        f"{what} / ESPnet",
        best(ours) / best(espnet),
        goal,
        at_most=True,
        detail=f"{best(ours) / real:.3f} and {best(espnet) / real:.3f} of real time, least of "
        f"{ROUNDS}; {_busy(ours, espnet)}; {real:.1f} s of sound; {difference}",
    )


def _busy(ours: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> str:
    mine, theirs = best(ours, "busy"), best(others, "busy")
    return f"{mine / theirs:.2f} of its processor time ({mine:.2f} and {theirs:.2f} s)"


def _first(kind: str, runs: Sequence[dict[str, Any]]) -> report.Figure:
    run = min(runs, key=lambda run: run["seconds"])
    return report.Figure(
        f"first sound / whole sentence, {kind}",
        run["first"] / run["seconds"],
        FIRST_GOAL,
        at_most=True,
        detail=f"{run['first'] * 1000:.0f} ms and {run['seconds'] * 1000:.0f} ms; "
        f"{run['parts']} parts",
    )


def _joined(parts: np.ndarray, whole: np.ndarray) -> report.Figure:
    difference = float(np.abs(parts - whole).max())
    return report.Figure(
        f"difference of parts joined and of one pass / {SAME:.0e}",
        difference / SAME,
        1.0,
        at_most=True,
        detail=f"{difference:.1e}, {len(whole):,} samples",
    )


if __name__ == "__main__":
    sys.exit(main())
