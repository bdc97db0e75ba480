"""The sound of an answer as events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Eventable

from server.streaming import PCM_RATE

CHUNK_BYTES = 16 * 1024  # of one audio-chunk: a third of a second
WIDTH = 2  # bytes of a sample


class Audio:
    """The sound of one answer: begun with its first bytes, int16 mono at PCM_RATE."""

    def __init__(self, send: Callable[[Eventable], Awaitable[None]]) -> None:
        self._send = send
        self._begun = False

    async def send(self, pcm: bytes) -> None:
        if not self._begun:
            self._begun = True
            await self._send(AudioStart(PCM_RATE, WIDTH, 1))
        for start in range(0, len(pcm), CHUNK_BYTES):
            block = pcm[start : start + CHUNK_BYTES]
            await self._send(AudioChunk(PCM_RATE, WIDTH, 1, audio=block))

    async def pause(self, seconds: float) -> None:
        await self.send(bytes(WIDTH * round(seconds * PCM_RATE)))

    async def stop(self) -> None:
        if self._begun:
            self._begun = False
            await self._send(AudioStop())
