"""What each visitor of the Voices tab has at hand: a clip that is not kept yet, work, speech.

A clip stays in memory until its owner agrees to keep it. It is gone when the page is closed, or
when others need the room.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from engines.api import CancelToken
from studio.jobs import Job
from studio.reference import Prepared

MOST_BYTES = 512 * 1024**2  # of all visitors' clips together
MOST_VISITS = 1000


@dataclass(slots=True, eq=False)
class Draft:
    """A clip that was prepared. `embedding` is filled in when it is first needed."""

    prepared: Prepared
    denoised: bool
    embedding: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        return self.prepared.samples.nbytes + self.prepared.original.samples.nbytes


@dataclass(slots=True, eq=False)
class Visit:
    """One page that is open."""

    draft: Draft | None = None
    token: CancelToken = field(default_factory=CancelToken)  # of the clip in work
    job: Job | None = None


class Visits:
    """By session. Any thread may call."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def of(self, session: str) -> Visit:
        with self._lock:
            visit = self._visits.setdefault(session, Visit())
            self._visits.move_to_end(session)
            if len(self._visits) > MOST_VISITS:
                self._end(self._visits.popitem(last=False)[1])
            return visit

    def begin(self, session: str) -> CancelToken:
        """A token for work on a new clip; the work before it ends."""
        visit = self.of(session)
        with self._lock:
            visit.token.cancel()
            visit.token = CancelToken()
            return visit.token

    def keep(self, session: str, token: CancelToken, draft: Draft | None) -> bool:
        """Take in what the work gave; False where other work has begun since."""
        visit = self.of(session)
        with self._lock:
            if visit.token is not token or token.is_set:
                return False
            visit.draft = draft
            self._make_room(visit)
            return True

    def drop(self, session: str) -> None:
        """Let go of the clip and stop the work on it."""
        visit = self.of(session)
        with self._lock:
            visit.token.cancel()
            visit.draft = None

    def leave(self, session: str) -> None:
        """The page was closed."""
        with self._lock:
            visit = self._visits.pop(session, None)
        if visit is not None:
            self._end(visit)

    def _make_room(self, kept: Visit) -> None:
        held = [visit for visit in self._visits.values() if visit.draft is not None]
        total = sum(visit.draft.nbytes for visit in held if visit.draft is not None)
        for visit in held:
            if total <= self._most_bytes:
                return
            if visit is not kept and visit.draft is not None:
                total -= visit.draft.nbytes
                visit.draft = None

    @staticmethod
    def _end(visit: Visit) -> None:
        visit.token.cancel()
        visit.draft = None
        if visit.job is not None:
            visit.job.cancel()
