"""Listening for clients of the Wyoming protocol, beside the HTTP server.

It has a thread and an event loop of its own, so that neither server waits for the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import anyio

from engines.errors import QueueFull
from server.errors import AddressInUse
from server.wyoming.conversation import Conversation
from server.wyoming.wire import HEADER_BYTES
from studio.studio import Studio

CONNECTIONS = 32  # open at once; one more is told so and closed
STOP_SECONDS = 10.0
CLOSE_SECONDS = 2.0


@contextlib.contextmanager
def listening(studio: Studio, host: str, port: int) -> Iterator[int]:
    """Answer clients while the block runs; yields the port.

    Args:
        port: 0 takes a free one.

    Raises:
        AddressInUse: something else listens there, or the address is not this machine's.
    """
    listener = _listen(host, port)
    server = WyomingServer(studio)
    thread = threading.Thread(
        target=asyncio.run, args=(server.run(listener),), name="wyoming", daemon=True
    )
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()
        thread.join(STOP_SECONDS)
        listener.close()


class WyomingServer:
    """Takes connections until it is stopped, then ends them."""

    def __init__(self, studio: Studio, connections: int = CONNECTIONS) -> None:
        self._studio = studio
        self._most = connections
        self._open: set[asyncio.Task[None]] = set()
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None

    async def run(self, listener: socket.socket) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._welcome, sock=listener, limit=HEADER_BYTES)
        self._started.set()
        await self._stopped.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def stop(self) -> None:
        """From another thread."""
        if self._started.wait(STOP_SECONDS) and self._loop and self._stopped:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopped.set)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        full = len(self._open) >= self._most
        self._open.add(task)
        try:
            conversation = Conversation(self._studio, reader, writer)
            if full:
                await conversation.refuse(
                    QueueFull(
                        f"{self._most} clients are connected already.",
                        "No more are taken until one has left.",
                        "Try again in a few seconds.",
                    )
                )
            else:
                await conversation.run()
        except asyncio.CancelledError:  # by `run`, at the end; asyncio would complain of it
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError), anyio.move_on_after(CLOSE_SECONDS):
                await writer.wait_closed()
            writer.transport.abort()  # where nobody fetches what is left
            self._open.discard(task)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=CONNECTIONS)
    except (OSError, OverflowError) as error:
        raise AddressInUse(
            f"Cannot listen on {host}:{port} for Wyoming ({error}).",
            "The address has to be this machine's, and the port free.",
            "Stop what uses it, or give another with --wyoming HOST:PORT.",
        ) from None
