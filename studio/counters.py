"""What the studio counts; /metrics and the Devices page read it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Counters:
    """Totals since start."""

    requests: dict[str, int] = field(default_factory=dict)  # end state or error code → jobs
    characters: int = 0
    audio_seconds: float = 0.0
    work_seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, outcome: str, characters: int, audio: float, work: float) -> None:
        with self._lock:
            self.requests[outcome] = self.requests.get(outcome, 0) + 1
            self.characters += characters
            self.audio_seconds += audio
            self.work_seconds += work
