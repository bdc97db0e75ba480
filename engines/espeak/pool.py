"""Worker processes: started when needed, lent to one request at a time, replaced when they die."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import espeakng_loader

from engines.api import CancelToken
from engines.errors import Cancelled, EngineFailure
from engines.espeak import protocol
from engines.espeak.protocol import HEADER
from engines.espeak.request import Request

log = logging.getLogger("vivavoce.espeak")

START_SECONDS = 30.0
STALL_SECONDS = 60.0  # without a sign of life; a chunk takes about a millisecond
ABORT_SECONDS = 5.0
LOOK_SECONDS = 0.1  # how often a waiting thread looks at its cancel token
PIPE_BYTES = 256 * 1024  # about 6 s of audio: the worker need not wait for a listener
READ_BYTES = 64 * 1024

_ROOT = str(Path(__file__).resolve().parents[2])
# Isolated and without site-packages: quick to start, and nothing of the user's can get in the way.
_COMMAND = "import sys; sys.path.insert(0, sys.argv[1]); from engines.espeak import worker; "
_COMMAND += "worker.main(*sys.argv[2:])"


class WorkerLost(Exception):
    """A worker crashed, hung or was killed; the message says which."""


class Worker:
    """One worker process. One thread at a time may use it; `kill` may be called from any.

    Raises:
        EngineFailure: the library cannot be loaded.
        WorkerLost: the process did not start.
    """

    def __init__(self) -> None:
        self.voice = ""  # the voice that it holds ready
        self._number = 0
        self._busy = False
        self._received = bytearray()
        data = Path(espeakng_loader.get_data_path())
        files = (espeakng_loader.get_library_path(), str(data.parent), data.name)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _COMMAND, _ROOT, *files],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is ours to handle; and one signal ends its children
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        # only Linux can, and only while its limit for all pipes is not reached
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        try:
            kind, body = self._frame(CancelToken(), START_SECONDS)
            if kind == protocol.FAILED:
                raise EngineFailure(
                    f"eSpeak NG's library did not load: {body.decode(errors='replace')}.",
                    "It comes with the package espeakng-loader.",
                    "Run `make app` again to repair the installation.",
                )
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Request, cancel: CancelToken) -> Iterator[tuple[bytes, bytes]]:
        """Send a request and yield what comes back, kind and body, until it is done.

        Raises:
            WorkerLost: the worker died or hung; it must be closed.
            EngineFailure: the library refused the request.
            VivavoceError: the reason of the cancel token; `abort` must follow.
        """
        self._number += 1
        packed = request.pack(self._number)
        self._busy = True
        self.voice = request.voice
        self._send(packed)
        while True:
            kind, body = self._frame(cancel, STALL_SECONDS)
            if kind in (protocol.END, protocol.FAILED):
                self._busy = False
            if kind == protocol.END:
                return
            if kind == protocol.FAILED:
                raise EngineFailure(
                    f"eSpeak NG could not speak this text: {body.decode(errors='replace')}.",
                    "",
                    "Try again, or change the text.",
                )
            yield kind, body
            cancel.raise_if_set()

    def abort(self) -> None:
        """End the request in work, if there is one; then the worker can take another.

        Raises:
            WorkerLost: the worker died or does not react; it must be closed.
        """
        if not self._busy:
            return
        self._send(HEADER.pack(protocol.ABORT, self._number, 0))
        nobody = CancelToken()
        while self._busy:
            kind, _ = self._frame(nobody, ABORT_SECONDS)
            self._busy = kind not in (protocol.END, protocol.FAILED)

    def kill(self) -> None:
        """End the process and its children at once; whoever reads from it sees it die."""
        # macOS refuses where only the dead are left in the group
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        self._process.wait()
        self._input.close()
        self._output.close()

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._input.write(view) :]
        except OSError as error:
            raise WorkerLost("eSpeak NG's process stopped before it could speak") from error

    def _frame(self, cancel: CancelToken, patience: float) -> tuple[bytes, bytes]:
        self._receive(HEADER.size, cancel, patience)
        kind, _, size = HEADER.unpack_from(self._received)
        end = HEADER.size + size
        self._receive(end, cancel, patience)
        body = bytes(memoryview(self._received)[HEADER.size : end])
        del self._received[:end]
        return kind, body

    def _receive(self, size: int, cancel: CancelToken, patience: float) -> None:
        """Read until `size` bytes are there."""
        deadline = 0.0
        while len(self._received) < size:
            if not self._poll.poll(LOOK_SECONDS * 1000):
                cancel.raise_if_set()
                now = time.monotonic()
                deadline = deadline or now + patience
                if now > deadline:
                    raise WorkerLost(f"eSpeak NG's process gave no sign of life for {patience:g} s")
                continue
            data = os.read(self._output.fileno(), READ_BYTES)
            if not data:
                raise WorkerLost("eSpeak NG's process stopped while it spoke")
            self._received += data


class Pool:
    """Lends workers out, at most `size` at a time.

    Args:
        size: most processes at once.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._idle: list[Worker] = []  # the longest idle first
        self._lent: set[Worker] = set()
        self._starting = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def workers(self) -> tuple[Worker, ...]:
        with self._changed:
            return (*self._idle, *self._lent)

    @contextlib.contextmanager
    def lend(self, voice: str, cancel: CancelToken) -> Iterator[Worker]:
        """A worker, one that holds the voice ready if there is a choice. It is given back when the
        block is left, however that happens; a request that is still in work is stopped first.

        Raises:
            WorkerLost, EngineFailure: none could be started.
            VivavoceError: the reason of the cancel token, or Cancelled where the pool is closed.
        """
        worker = self._take(voice, cancel)
        healthy = True
        try:
            yield worker
        except WorkerLost as error:
            log.warning("%s (process %d)", error, worker.pid)
            healthy = False
            raise
        finally:
            self._give_back(worker, healthy)

    def close(self) -> None:
        """End all processes. A request that still runs gets an error."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in self._lent:
                worker.kill()
            self._changed.notify_all()
        for worker in idle:
            worker.close()

    def _take(self, voice: str, cancel: CancelToken) -> Worker:
        with self._changed:
            while True:
                cancel.raise_if_set()
                if self._closed:
                    raise Cancelled("The speech engine was closed.")
                if (worker := self._take_idle(voice)) is not None:
                    self._lent.add(worker)
                    return worker
                if len(self._lent) + self._starting < self._size:
                    self._starting += 1
                    break
                self._changed.wait(LOOK_SECONDS)
        return self._start()

    def _take_idle(self, voice: str) -> Worker | None:
        for worker in [worker for worker in self._idle if not worker.alive]:
            self._idle.remove(worker)
            worker.close()
        if not self._idle:
            return None
        index = next((i for i, worker in enumerate(self._idle) if worker.voice == voice), 0)
        return self._idle.pop(index)

    def _start(self) -> Worker:
        worker = None
        try:
            worker = Worker()
            log.info("started eSpeak NG's process %d", worker.pid)
        finally:
            with self._changed:
                self._starting -= 1
                if worker is not None:
                    self._lent.add(worker)
                    if self._closed:
                        worker.kill()
                self._changed.notify()
        return worker

    def _give_back(self, worker: Worker, healthy: bool) -> None:
        ready = False
        try:
            if healthy:
                worker.abort()
                ready = True
        except WorkerLost as error:
            log.warning("%s (process %d)", error, worker.pid)
        finally:
            with self._changed:
                self._lent.discard(worker)
                ready = ready and not self._closed
                if ready:
                    self._idle.append(worker)
                self._changed.notify()
            if not ready:
                worker.close()
