"""Bytes from the Hub into a file: resumed, checked, broken off at once."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engines.errors import Cancelled
from studio.models.errors import ChecksumMismatch, DownloadFailed
from studio.models.hub import Hub, HubFile, explained

log = logging.getLogger("vivavoce.models")

WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds before another try, while nothing arrives
BLOCK = 1024**2


class Transfer:
    """One file after the other; `cancel` comes from another thread.

    Args:
        arrived: told of each block's length. stands: told how much of the current file is there.
    """

    def __init__(
        self, hub: Hub, arrived: Callable[[int], None], stands: Callable[[int], None]
    ) -> None:
        self._hub = hub
        self._arrived = arrived
        self._stands = stands
        self._stop = threading.Event()
        self._connection: socket.socket | None = None

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def cancel(self) -> None:
        self._stop.set()
        if (connection := self._connection) is not None:
            with contextlib.suppress(OSError):  # it has just ended
                # a thread that waits for bytes wakes up; closing would not wake it
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def raise_if_stopped(self) -> None:
        if self._stop.is_set():
            raise Cancelled("The download was cancelled.")

    def sound(self, file: HubFile, path: Path) -> bool:
        """Whether a file has the content that it should have."""
        with _Incoming(file, path, self.raise_if_stopped) as incoming:
            return incoming.is_whole and incoming.is_sound

    def fetch(self, file: HubFile, path: Path) -> None:
        """Download a file, from where it was broken off, and check it. What was resumed and
        comes out wrong is fetched anew once.

        Raises:
            ChecksumMismatch: and nothing of it stays.
            DownloadFailed, Cancelled: what is there stays.
        """
        with _Incoming(file, path, self.raise_if_stopped) as incoming:
            resumed = incoming.length > 0
            self._complete(file, incoming)
            if resumed and not incoming.is_sound:
                log.info("%s was resumed and came out wrong; it is fetched anew", file.place)
                incoming.restart()
                self._complete(file, incoming)
            incoming.keep()
            sound = incoming.is_sound
        if not sound:
            path.unlink()
            raise ChecksumMismatch(
                f"{file.place} arrived, but is not what {file.repo} published.",
                "Its checksum is wrong.",
                "It was thrown away. Try again; if it stays, something on the way to the Hub "
                "changes what it carries.",
            )

    def _complete(self, file: HubFile, incoming: _Incoming) -> None:
        tries = 0
        while not incoming.is_whole:
            before = incoming.length
            try:
                self._receive(file, incoming)
            except Exception as error:
                self.raise_if_stopped()
                if (incoming.length <= before and tries == len(WAITS)) or not _may_pass(error):
                    raise _told(error, file) from error
                if _asked_beyond(error):
                    incoming.restart()
            if incoming.length > before:
                tries = 0
            elif not incoming.is_whole:
                if tries == len(WAITS):
                    raise DownloadFailed(
                        f"The Hub sends nothing of {file.place}.", "", "Try again later."
                    )
                self._stop.wait(WAITS[tries])
                tries += 1
            self.raise_if_stopped()

    def _receive(self, file: HubFile, incoming: _Incoming) -> None:
        """Append what one connection brings."""
        start = incoming.length
        self._stands(start)
        with self._hub.read(file, start) as answer, self._reachable(answer):
            if start and answer.status_code != 206:
                incoming.restart()
            elif start and not _begins_at(answer, start):
                raise DownloadFailed(f"The Hub sent another part of {file.place} than asked for.")
            for block in answer.iter_bytes():
                self.raise_if_stopped()
                if incoming.length + len(block) > file.bytes:
                    incoming.restart()
                    raise DownloadFailed(
                        f"{file.place} is longer than the Hub said ({file.bytes:,} bytes).",
                        "",
                        "Try again later.",
                    )
                incoming.add(block)
                self._arrived(len(block))
                self._stands(incoming.length)

    @contextmanager
    def _reachable(self, answer: Any) -> Iterator[None]:
        """While an answer is read `cancel` can get at its connection."""
        stream = answer.extensions.get("network_stream")
        self._connection = stream.get_extra_info("socket") if stream else None
        try:
            self.raise_if_stopped()
            yield
        finally:
            self._connection = None


class _Incoming:
    """A file as it grows, and the hash of what is in it."""

    def __init__(self, file: HubFile, path: Path, check: Callable[[], None]) -> None:
        self._file = file
        self._path = path
        self._check = check
        self.length = 0

    def __enter__(self) -> _Incoming:
        self._hasher = self._file.hasher()
        self._content = self._path.open("ab+")
        try:
            if self._content.tell() > self._file.bytes:
                self.restart()
            self._content.seek(0)
            while block := self._content.read(BLOCK):
                self._check()
                self._hasher.update(block)
                self.length += len(block)
        except BaseException:
            self._content.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._content.close()

    @property
    def is_whole(self) -> bool:
        return self.length == self._file.bytes

    @property
    def is_sound(self) -> bool:
        return self._file.matches(self._hasher)

    def add(self, block: bytes) -> None:
        self._content.write(block)
        self._hasher.update(block)
        self.length += len(block)

    def restart(self) -> None:
        self._content.truncate(0)
        self._content.seek(0)
        self._hasher = self._file.hasher()
        self.length = 0

    def keep(self) -> None:
        """On the disk, before it gets its name."""
        self._content.flush()
        os.fsync(self._content.fileno())


def _begins_at(answer: Any, start: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {start}-")


def _status(error: Exception) -> int:
    from huggingface_hub.errors import HfHubHTTPError

    return error.response.status_code if isinstance(error, HfHubHTTPError) else 0


def _asked_beyond(error: Exception) -> bool:
    return _status(error) == 416


def _may_pass(error: Exception) -> bool:
    """Whether another try may help: the network is at fault, or a server that may recover."""
    import httpx2

    status = _status(error)
    if status:
        return status in (408, 416, 429) or status >= 500
    return isinstance(error, httpx2.TransportError)


def _told(error: Exception, file: HubFile) -> Exception:
    import httpx2

    return explained(error, file.repo) if isinstance(error, httpx2.HTTPError) else error
