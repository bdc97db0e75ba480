"""Bytes on their way from the thread that encodes to the event loop that sends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

from engines.errors import Cancelled

CAPACITY = 1024 * 1024  # bytes held for a client that is slower than the engine
GATHER_BYTES = 256 * 1024
GATHER_SECONDS = 0.05
PATIENCE = 60.0  # seconds without one byte taken after which a client counts as gone


class BytePipe:
    """One thread puts, one coroutine gets. What gathers between two gets comes as one block, so
    that a fast engine costs few sends. Made inside the event loop that gets.

    Args:
        capacity: bytes held before `put` waits.
        patience: seconds that `put` waits before it takes the client for gone.
    """

    def __init__(self, capacity: int = CAPACITY, patience: float = PATIENCE) -> None:
        self._capacity = capacity
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._room = threading.Condition()
        self._parts: list[bytes] = []
        self._size = 0
        self._awaited: int | None = None  # bytes for which the coroutine wants to be woken
        self._ended = False
        self._error: Exception | None = None

    # the thread's side

    def put(self, data: bytes) -> None:
        """Add bytes; waits while the pipe is full.

        Raises:
            Cancelled: nobody listens any more.
        """
        if not data:
            return
        with self._room:
            until = time.monotonic() + self._patience
            while self._size >= self._capacity and not self._ended:
                if not self._room.wait(until - time.monotonic()):
                    raise Cancelled(f"Nobody took the audio for {self._patience:.0f} s.")
            if self._ended:
                raise Cancelled("The client left.")
            self._parts.append(data)
            self._size += len(data)
            if self._awaited is not None and self._size >= self._awaited:
                self._wake()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes; `error` is raised in the coroutine once it has taken the rest."""
        with self._room:
            if not self._ended:
                self._ended, self._error = True, error
                self._wake()

    def _wake(self) -> None:
        self._awaited = None
        with contextlib.suppress(RuntimeError):  # the loop is closed when the program ends in haste
            self._loop.call_soon_threadsafe(self._woken.set)

    # the coroutine's side

    async def get(self, *, gather: bool = False) -> bytes:
        """Everything that waits, at least one byte; b"" at the end.

        Args:
            gather: give small parts a moment to become one block.

        Raises:
            Exception: what `end` was given.
        """
        if gather:
            await self._wait_for(GATHER_BYTES, GATHER_SECONDS)
        await self._wait_for(1, None)
        with self._room:
            block = b"".join(self._parts)
            self._empty()
        if not block and self._error is not None:
            raise self._error
        return block

    def leave(self) -> None:
        """Stop listening: `put` raises from now on, and so does `get`, with Cancelled."""
        with self._room:
            self._empty()
            self.end(Cancelled("The client left."))

    def _empty(self) -> None:
        self._parts.clear()
        self._size = 0
        self._room.notify_all()

    async def _wait_for(self, size: int, seconds: float | None) -> None:
        while self._lacks(size):
            try:
                await asyncio.wait_for(self._woken.wait(), seconds)
            except asyncio.TimeoutError:
                return

    def _lacks(self, size: int) -> bool:
        with self._room:
            if self._size >= size or self._ended:
                return False
            self._awaited = size
            self._woken.clear()  # a wake that came late for the wait before must not count
            return True
