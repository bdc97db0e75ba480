"""What the routes share: the studio, the limits, what has been counted, how the server stands."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from anyio import CapacityLimiter
from fastapi import Request

from server.errors import ShuttingDown
from server.limits import StreamSlots, body_limit
from studio.settings import Settings
from studio.studio import Studio

PLANNERS = 8  # requests that are checked at once; the rest of a burst waits a moment


@dataclass
class Traffic:
    """What passed through the server. Written by the event loop's thread alone."""

    answers: dict[int, int] = field(default_factory=dict)  # status → answers begun
    broken: int = 0  # streams that ended before their speech did
    first_audio_count: int = 0
    first_audio_seconds: float = 0.0

    def answered(self, status: int) -> None:
        self.answers[status] = self.answers.get(status, 0) + 1

    def first_audio(self, seconds: float) -> None:
        self.first_audio_count += 1
        self.first_audio_seconds += seconds


@dataclass
class ServerContext:
    """One for each server.

    Attributes:
        state: "stopping" while requests in work may end but no new one is taken.
        started: Unix time.
    """

    studio: Studio
    slots: StreamSlots
    body_limit: int
    planners: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(PLANNERS))
    traffic: Traffic = field(default_factory=Traffic)
    state: Literal["starting", "ready", "stopping"] = "starting"
    started: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(cls, studio: Studio) -> ServerContext:
        return cls(studio, StreamSlots(studio.settings), body_limit(studio.settings))

    @property
    def settings(self) -> Settings:
        return self.studio.settings

    def raise_if_stopping(self) -> None:
        """
        Raises:
            ShuttingDown: nothing new is begun.
        """
        if self.state == "stopping":
            raise ShuttingDown


def context_of(request: Request) -> ServerContext:
    """The context of the server that a request came to."""
    return request.app.state.context
