"""Events that were read ahead of the one in work."""

from __future__ import annotations

import asyncio
from collections import deque

from wyoming.event import Event

WAITING_BYTES = 1024 * 1024
EVENT_BYTES = 1024  # that an event takes beside its own


class Inbox:
    """Events that were read ahead, so that a client that leaves is noticed, within bounds."""

    def __init__(self) -> None:
        self._events: deque[tuple[Event, int]] = deque()
        self._bytes = 0
        self._changed = asyncio.Condition()

    @property
    def waits(self) -> bool:
        return bool(self._events)

    async def put(self, event: Event, size: int) -> None:
        """Add an event; returns once there is room for another."""
        async with self._changed:
            self._events.append((event, size + EVENT_BYTES))
            self._bytes += size + EVENT_BYTES
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._bytes <= WAITING_BYTES)

    async def get(self) -> Event:
        async with self._changed:
            await self._changed.wait_for(lambda: self._events)
            event, size = self._events.popleft()
            self._bytes -= size
            self._changed.notify_all()
            return event
