"""The manager's one lock and condition."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Guard:
    """A condition that a finaliser may meet inside its own thread's critical section.

    The garbage collector may run anywhere, also while the lock is held, and finalise a generator
    that still holds a lease. With a plain lock that release would wait for its own thread; here
    `whole` puts it off until the critical section is done.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.RLock())
        self._depth = 0
        self._later: deque[Callable[[], None]] = deque()

    def __enter__(self) -> None:
        self._condition.acquire()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        if self._depth == 1:
            self._catch_up()
        self._depth -= 1
        self._condition.release()

    def whole(self, change: Callable[[], None]) -> None:
        """Make a change now, or at the end of the critical section that this thread is in."""
        with self:
            if self._depth == 1:
                change()
            else:
                self._later.append(change)

    def wait(self, timeout: float | None = None) -> None:
        """Inside the guard: let others in until one of them notifies."""
        self._catch_up()
        self._depth = 0
        try:
            self._condition.wait(timeout)
        finally:
            self._depth = 1

    def notify_all(self) -> None:
        """Inside the guard: wake those who wait."""
        self._condition.notify_all()

    def _catch_up(self) -> None:
        while self._later:
            self._later.popleft()()
