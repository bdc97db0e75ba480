"""What the memory manager tells about itself: the Devices page and /metrics read it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

log = logging.getLogger("vivavoce.memory")

EVENTS_KEPT = 500
SAMPLES_KEPT = 1000  # per device

EventKind = Literal["load", "offload", "drop", "grow", "fail", "refuse"]


class ResidentState(str, Enum):
    OFF = "off"
    LOADING = "loading"
    READY = "ready"
    LEASED = "leased"
    OFFLOADING = "offloading"


@dataclass(frozen=True, slots=True)
class ResidentInfo:
    """One resident as it is now.

    `bytes` lie on `device` (weights, graph pools), `host_bytes` are the copy kept in host memory.
    `idle_seconds` counts from the last use and is 0 while it is leased.
    """

    name: str
    kind: str  # "weights", "kv_cache", "voice_prompt"
    state: ResidentState
    device: str
    bytes: int
    host_bytes: int
    leases: int
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class MemoryEvent:
    """Something that happened to a resident: `seconds` since the start, `wall_time` since 1970."""

    seconds: float
    wall_time: float
    what: EventKind
    name: str
    bytes: int
    reason: str
    device: str


@dataclass(frozen=True, slots=True)
class MemorySample:
    """Bytes counted on a device from `time` on, in seconds since the start."""

    time: float
    device: str
    used: int


@dataclass(frozen=True, slots=True)
class DeviceUsage:
    """A device's account: `used` bytes are counted, `room` may be at most; None where unknown."""

    device: str
    used: int
    room: int | None


class Journal:
    """Bounded record of events and samples. The manager calls it with its lock held.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = clock()
        self._events: deque[MemoryEvent] = deque(maxlen=EVENTS_KEPT)
        self._samples: dict[str, deque[MemorySample]] = {}

    def note(self, what: EventKind, name: str, nbytes: int, reason: str, device: str) -> None:
        self._events.append(
            MemoryEvent(
                self._clock() - self._start, time.time(), what, name, nbytes, reason, device
            )
        )
        log.info("%s %s (%d bytes on %s): %s", what, name, nbytes, device, reason)

    def sample(self, device: str, used: int) -> None:
        samples = self._samples.setdefault(device, deque(maxlen=SAMPLES_KEPT))
        if not samples or samples[-1].used != used:
            samples.append(MemorySample(self._clock() - self._start, device, used))

    def events(self) -> tuple[MemoryEvent, ...]:
        return tuple(self._events)

    def samples(self) -> tuple[MemorySample, ...]:
        """All devices' samples, oldest first."""
        every = (sample for samples in self._samples.values() for sample in samples)
        return tuple(sorted(every, key=lambda sample: sample.time))
