"""How fast something goes, and how long it will take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW = 8.0  # seconds that count
LEAST = 0.5  # seconds before anything is said


class Pace:
    """
    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> None:
        """So many have been done in all, by now."""
        now = self._clock()
        self._seen.append((now, count))
        while now - self._seen[0][0] > WINDOW:
            self._seen.popleft()

    def speed(self) -> float | None:
        """A second, lately; None where it cannot be said yet."""
        if len(self._seen) < 2:
            return None
        (first, before), (_, count) = self._seen[0], self._seen[-1]
        # up to now and not up to the last arrival: what has stalled gets slower
        seconds = self._clock() - first
        return (count - before) / seconds if seconds >= LEAST else None

    def left(self, count: int) -> float | None:
        """Seconds for so many more; None where it cannot be said."""
        speed = self.speed()
        return count / speed if speed else None
