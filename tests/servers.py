"""Real servers for tests: the whole program in a process of its own, or a studio of the test's in
a thread of this one."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from server.app import create_app
from studio.studio import Studio

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90.0  # Gradio's first import on a cold, busy disk
STOP_SECONDS = 30.0


@dataclass
class ServerProcess:
    """A running `python app.py`. `log` holds what it printed."""

    process: subprocess.Popen
    port: int
    data_dir: Path
    log: Path
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def server_process(
    data_dir: Path, *flags: str, host: str = "127.0.0.1", **environment: str
) -> Iterator[ServerProcess]:
    """The whole program on a free port of this machine, answering; stopped at the end.

    Args:
        data_dir: where it keeps its data and, as server.log, its output.
        flags: further flags of `app.py`.
        host: where it listens.
        environment: variables beside those of this process.
    """
    port = free_port()
    log = data_dir / "server.log"
    listen = ["--listen", f"{host}:{port}", "--data-dir", str(data_dir)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py", *listen, *flags],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    scheme = "https" if "--https" in flags else "http"
    server = ServerProcess(process, port, data_dir, log, scheme)
    try:
        _wait_until_ready(server)
        yield server
        server.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_until_ready(server: ServerProcess) -> None:
    until = time.monotonic() + START_SECONDS
    while not is_ready(server.url):
        if server.process.poll() is not None or time.monotonic() > until:
            said = server.log.read_text("utf-8", "replace")[-3000:]
            raise AssertionError(
                f"the server did not start (exit {server.process.poll()}):\n{said}"
            )
        time.sleep(0.1)


def is_ready(url: str) -> bool:
    anybody = ssl._create_unverified_context()  # a certificate of its own has nobody to vouch
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5, context=anybody) as answer:
            return answer.status == 200
    except OSError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def served(studio: Studio) -> Iterator[str]:
    """The API of a studio at the given URL, in a thread, so that a test can hold its engine back.
    The studio is closed at the end."""
    config = uvicorn.Config(
        create_app(studio),
        host="127.0.0.1",
        port=0,
        log_level="critical",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="served")
    thread.start()
    until = time.monotonic() + START_SECONDS
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)


def wait_until(condition, what: str, seconds: float = 20.0) -> None:
    """Wait for something that another thread or process does; fails when it does not."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.01)
