"""Programs that answer by name with what they measured, each in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any


class Asking:
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


def alone(work: Any, *arguments: Any) -> None:
    """Run something in a process whose memory goes with it."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{work.__name__} ended with {process.exitcode}")


def answer(pipe: Connection, answers: Mapping[str, Callable[[], Any]]) -> None:
    while (what := pipe.recv()) is not None:
        pipe.send(answers[what]())


def memory_of_process() -> int:
    """Bytes that the process had at its peak."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
