"""Programs that are measured in turns: each waits in a process of its own until it is asked."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.processes import ROOT

# Runs once and tells what it measured beside its time.
Once = Callable[[], Mapping[str, Any]]


class Worker:
    """A process that runs something once whenever it is asked.

    Attributes:
        told: what it said when it was ready.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.told = self._answer()

    def run(self) -> dict[str, Any]:
        """{"seconds": …, "busy": seconds of all processors together} and what else it measured."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries print to it as well
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")


@contextlib.contextmanager
def worker(python: Path | str, module: str, *arguments: str) -> Iterator[Worker]:
    """
    Raises:
        RuntimeError: it ended before it was asked to; what it printed stands above.
    """
    threads = {"OMP_NUM_THREADS": str(os.cpu_count())}
    process = subprocess.Popen(
        [str(python), "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **threads, "OMP_WAIT_POLICY": "PASSIVE", "PJRT_DEVICE": "CPU"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Worker(process)
    finally:
        process.kill()
        process.wait()


def serve(once: Once, told: Mapping[str, Any]) -> None:
    """A worker's side: say that it is ready, then run once for every line that comes in."""
    print(json.dumps(dict(told)), flush=True)
    for _ in sys.stdin:
        began, busy = time.perf_counter(), time.process_time()
        measured = once()
        taken = {
            "seconds": time.perf_counter() - began,
            "busy": time.process_time() - busy,
        }
        print(json.dumps({**taken, **measured}), flush=True)


def in_turns(workers: Sequence[Worker], rounds: int) -> list[list[dict[str, Any]]]:
    """What each measured in each round, by worker; one runs at a time, so that a busy moment of the
    machine hits all of them alike."""
    results: list[list[dict[str, Any]]] = [[] for _ in workers]
    for _ in range(rounds):
        for each, found in zip(workers, results, strict=True):
            found.append(each.run())
    return results


def best(runs: Sequence[Mapping[str, Any]], what: str = "seconds") -> float:
    """Of the least disturbed run. What others on the machine take away shows in "seconds" far more
    than in "busy"."""
    return float(min(run[what] for run in runs))
