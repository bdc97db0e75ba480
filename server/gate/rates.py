"""How much one client may ask for: requests a second, bytes a request, connections."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import anyio
import h11
from starlette.types import Message, Receive
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.errors import RequestTimeout, RequestTooLarge, TooMany
from server.gate import addresses
from server.gate.sessions import network
from server.limits import BODY_SECONDS
from studio.settings import Settings, on_space

A_SECOND = 20.0  # requests that do something, by one client for long
BURST = 60.0  # and at once
MOST_CLIENTS = 4096
SLOWEST = 16 * 1024  # bytes a second of a long upload
FORM_MARGIN = 1024**2  # bytes of a form beside its file
MOST_CONNECTIONS = 128  # of one address
HEADER_SECONDS = 20.0
UPLOADS = ("multipart/form-data", "audio/", "video/", "application/zip", "application/octet-stream")


class Rates:
    """A token bucket for each client. For the event loop's thread alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count one request.

        Raises:
            TooMany: there were too many.
        """
        now = self._clock()
        left, since = self._buckets.get(client, (BURST, now))
        left = min(BURST, left + (now - since) * A_SECOND)
        allowed = left >= 1
        self._buckets[client] = (left - 1 if allowed else left), now
        self._buckets.move_to_end(client)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        if not allowed:
            raise TooMany(
                "There were too many requests from here.",
                f"It may be {A_SECOND:.0f} a second for long, {BURST:.0f} at once.",
                (1 - left) / A_SECOND,
            )


def most_bytes(settings: Settings, json_limit: int, content_type: str) -> int:
    """Bytes of the longest body of this type."""
    kind = content_type.strip().lower()
    return settings.max_upload + FORM_MARGIN if kind.startswith(UPLOADS) else json_limit


class Body:
    """The body of one request, of which no more than `limit` bytes are let through, and which may
    not stop coming.

    Args:
        declared: its Content-Length; None where there is none.

    Raises:
        RequestTooLarge: it is declared to be longer.
    """

    def __init__(self, receive: Receive, limit: int, declared: str | None) -> None:
        if declared is not None and int(declared) > limit:
            raise _too_large(limit)
        self._receive = receive
        self._limit = limit
        self._size = 0
        self._begun: float | None = None
        self._whole = False

    async def receive(self) -> Message:
        """
        Raises:
            RequestTooLarge, RequestTimeout: see the class.
        """
        if self._whole:
            return await self._receive()
        if self._begun is None:
            self._begun = anyio.current_time()
        until = self._begun + BODY_SECONDS + self._size / SLOWEST
        try:
            with anyio.fail_after(until - anyio.current_time()):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(
                "The body of the request comes too slowly.",
                f"It may take {BODY_SECONDS:.0f} s, and a long one 1 s for {SLOWEST // 1024} KiB.",
                "Send it faster.",
            ) from None
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            raise _too_large(self._limit)
        self._whole = not message.get("more_body", False)
        return message


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(
        "The body of the request is too large.", f"It may have {limit:,} bytes.", "Send less."
    )


def may_have_many_connections(address: str) -> bool:
    """This machine's own clients; and on a Space, where all come through a few proxies."""
    return on_space() or addresses.is_loopback_address(address)


def bounded_protocol(is_free: Callable[[str], bool]) -> type[H11Protocol]:
    """Uvicorn's protocol, with few connections for each address, which have to say what they want.

    Args:
        is_free: whether an address may have as many connections as it likes.
    """
    connections: Counter[str] = Counter()

    class Bounded(H11Protocol):
        address = ""
        patience: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            address = self.client[0] if self.client else ""
            self._wait()
            if is_free(address):
                return
            self.address = network(address)
            connections[self.address] += 1
            if connections[self.address] > MOST_CONNECTIONS:
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop_waiting()
            if self.address:
                connections[self.address] -= 1
                if not connections[self.address]:
                    del connections[self.address]
                self.address = ""

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_waiting()
            elif self.patience is None:
                self._wait()

        def _wait(self) -> None:
            self.patience = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

        def _stop_waiting(self) -> None:
            if self.patience is not None:
                self.patience.cancel()
                self.patience = None

    return Bounded
