"""Events off a connection, read no further than is sound.

The library's own reader takes events of any size into memory, and falls over what is no JSON
object; writing is the library's.
"""

from __future__ import annotations

import asyncio
from typing import Any

from wyoming.event import Event

from engines.errors import InvalidRequest
from server.errors import BadBody, RequestTooLarge
from server.limits import parse_object

HEADER_BYTES = 64 * 1024
PAYLOAD_BYTES = 1024 * 1024  # nothing that we take has a payload; more than a few are a mistake
BLOCK = 64 * 1024


class BadEvent(InvalidRequest):
    """What came is no event of the protocol, or one that has no place here."""

    code = "bad_event"


async def read_event(reader: asyncio.StreamReader, most_data: int) -> tuple[Event, int] | None:
    """The next event, without its payload, and the bytes that it has; None where the client left.

    Args:
        reader: made with the limit HEADER_BYTES.
        most_data: bytes of an event's data.

    Raises:
        BadEvent, RequestTooLarge: nothing that follows can be understood.
    """
    try:
        line = await reader.readline()
    except ValueError:
        raise _too_large("header", HEADER_BYTES) from None
    if not line.endswith(b"\n"):
        return None
    header = _object(line)
    kind = header.get("type")
    if not isinstance(kind, str):
        raise _bad(f"An event's type was {kind!r:.80}.")
    data = header.get("data") or {}
    if not isinstance(data, dict):
        raise _bad(f"The data of {kind:.80} was {data!r:.80}.")
    data_length, payload_length = (_length(header, name) for name in ("data", "payload"))
    if data_length > most_data:
        raise _too_large("data", most_data)
    if payload_length > PAYLOAD_BYTES:
        raise _too_large("payload", PAYLOAD_BYTES)
    try:
        if data_length:
            data = {**data, **_object(await reader.readexactly(data_length))}
        while payload_length:
            block = await reader.readexactly(min(BLOCK, payload_length))
            payload_length -= len(block)
    except asyncio.IncompleteReadError:
        return None
    return Event(kind, data), len(line) + data_length


def text_of(event: Event, name: str = "text") -> str:
    """A field of an event that has to be text.

    Raises:
        BadEvent: it is none.
    """
    value = event.data.get(name)
    if not isinstance(value, str):
        raise _bad(f"The {name} of {event.type:.80} was {value!r:.80}; it takes text.")
    return value


def _object(data: bytes) -> dict[str, Any]:
    try:
        return parse_object(data)
    except BadBody as error:
        raise _bad(error.given.replace("The body", "An event", 1)) from None


def _length(header: dict[str, Any], name: str) -> int:
    value = header.get(f"{name}_length") or 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _bad(f"An event's {name}_length was {value!r:.80}.")
    return value


def _bad(what: str) -> BadEvent:
    return BadEvent(
        what,
        'An event is a line such as {"type": "describe"}.',
        "This port speaks the Wyoming protocol alone; HTTP is on another.",
    )


def _too_large(part: str, limit: int) -> RequestTooLarge:
    return RequestTooLarge(
        f"The {part} of an event is too large.",
        f"It may have {limit:,} bytes.",
        "Send the text in parts.",
    )
