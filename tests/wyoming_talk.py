"""Talking to a Wyoming server with the protocol's own client classes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from wyoming.audio import AudioChunk, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.tts import Synthesize, SynthesizeVoice

PATIENCE = 30.0  # seconds
RATE = 24_000  # Hz

Talk = Callable[[AsyncTcpClient], Coroutine[Any, Any, Any]]


def talk(port: int, what: Talk) -> Any:
    async def run() -> Any:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            return await asyncio.wait_for(what(client), PATIENCE)

    return asyncio.run(run())


async def send(client: AsyncTcpClient, *events: Any) -> None:
    for event in events:
        await client.write_event(event.event())


async def until(client: AsyncTcpClient, last: type) -> list[Event]:
    """Events up to one of a kind; up to the end of the connection where it does not come."""
    events = []
    while event := await client.read_event():
        events.append(event)
        if last.is_type(event.type):
            break
    return events


def pcm_of(events: list[Event]) -> bytes:
    chunks = [AudioChunk.from_event(e) for e in events if AudioChunk.is_type(e.type)]
    assert all((c.rate, c.width, c.channels) == (RATE, 2, 1) for c in chunks)
    return b"".join(chunk.audio for chunk in chunks)


def spoken(text: str, voice: SynthesizeVoice | None = None) -> Talk:
    async def ask(client: AsyncTcpClient) -> list[Event]:
        await send(client, Synthesize(text, voice))
        return await until(client, AudioStop)

    return ask


def error_of(events: list[Event]) -> Error:
    assert Error.is_type(events[-1].type)
    return Error.from_event(events[-1])


def header(**values: Any) -> bytes:
    return json.dumps(values).encode() + b"\n"
