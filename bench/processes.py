"""Starting a program that listens on a port, and watching the memory of all its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120.0  # seconds until a server that does not answer is given up
SAMPLE_EVERY = 0.1  # seconds between two looks at the memory


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command: Sequence[str], port: int, path: str) -> Iterator[tuple[psutil.Process, float]]:
    """Run a server in a process group of its own; gives it and the seconds to its first answer.

    Raises:
        RuntimeError: it ended or did not answer `path` with 200 in time; says what it printed.
    """
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            seconds = _first_answer(process, f"http://127.0.0.1:{port}{path}", started)
            if seconds is None:
                output.seek(0)
                said = output.read().decode("utf-8", "replace")[-2000:]
                raise RuntimeError(f"{' '.join(command)} does not answer:\n{said}")
            yield psutil.Process(process.pid), seconds
        finally:
            _end(process)


def _first_answer(process: subprocess.Popen, url: str, started: float) -> float | None:
    while process.poll() is None and time.perf_counter() - started < PATIENCE:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                answer.read()
            return time.perf_counter() - started
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.01)
    return None


def _end(process: subprocess.Popen) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(timeout=20)
            return
        except subprocess.TimeoutExpired:
            continue


@contextlib.contextmanager
def app(*flags: str, path: str = "/healthz") -> Iterator[tuple[str, psutil.Process, float]]:
    """Vivavoce on a free port with fresh data; gives its address, process and start-up seconds."""
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "app.py", "--listen", f"127.0.0.1:{port}", "--data-dir", data]
        with running([*command, *flags], port, path) as (process, seconds):
            yield f"http://127.0.0.1:{port}", process, seconds


class MemoryWatch:
    """Peak memory of a process and its children while the block runs, in bytes.

    A page that several processes share counts once where the system can tell (Linux).
    """

    def __init__(self, process: psutil.Process) -> None:
        self.peak = 0
        self._process = process
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, _memory_of_tree(self._process))
            if self._done.wait(SAMPLE_EVERY):
                return


def _memory_of_tree(process: psutil.Process) -> int:
    total = 0
    for member in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            info = member.memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total
