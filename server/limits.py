"""What a client may send, and how much of it is read before the server says no."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from engines.errors import Cancelled, InvalidRequest, QueueFull
from server.errors import BadBody, RequestTimeout, RequestTooLarge, UnsupportedMediaType
from studio.settings import Settings

BYTES_A_CHARACTER = 6  # JSON writes a sign outside ASCII as \uXXXX if the client likes it so
MARGIN = 64 * 1024  # bytes for everything in a body that is not the text
BODY_SECONDS = 60.0
DEPTH = 8  # of nested arrays and objects; no request of ours needs more than 2
LISTENING_STREAMS = 64  # answers whose speech is made but not yet fetched

Model = TypeVar("Model", bound=BaseModel)


def body_limit(settings: Settings) -> int:
    """Bytes of the longest body that can hold a text of `settings.max_chars`."""
    return settings.max_chars * BYTES_A_CHARACTER + MARGIN


async def read_json(request: Request, limit: int) -> dict[str, Any]:
    """The body of a request as a JSON object, read no further than `limit` bytes.

    Raises:
        UnsupportedMediaType: the body is not declared as JSON. This also keeps foreign web pages
            out, which may send other types here without asking.
        RequestTooLarge, RequestTimeout: there is too much of it, or it comes too slowly.
        BadBody: it is not one JSON object, or holds what JSON cannot.
        Cancelled: the client left.
    """
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType(
            f"The Content-Type was {given!r:.80}.",
            "It has to be application/json.",
            "Set the header Content-Type: application/json.",
        )
    return parse_object(await _read(request, limit))


async def read_model(request: Request, limit: int, kind: type[Model], takes: str) -> Model:
    """The body of a request as such an object.

    Args:
        takes: what its fields may be, in a sentence for the error.

    Raises:
        InvalidRequest: a field is at fault; and what `read_json` raises.
    """
    values = await read_json(request, limit)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        name = str(error.errors(include_url=False)[0]["loc"][0])
        raise InvalidRequest(
            f"{name:.80} was {values.get(name)!r:.80}.",
            takes,
            "Change it and try again.",
            param=name[:80],
        ) from None


async def _read(request: Request, limit: int) -> bytes:
    parts: list[bytes] = []
    size = int(request.headers.get("content-length", "0"))
    try:
        with anyio.fail_after(BODY_SECONDS):
            if size <= limit:
                size = 0
                async for part in request.stream():
                    size += len(part)
                    if size > limit:
                        break
                    parts.append(part)
    except ClientDisconnect:
        raise Cancelled("The client left before its request was here.") from None
    except TimeoutError:
        raise RequestTimeout(
            f"The body was not here after {BODY_SECONDS:.0f} s.",
            "",
            "Send it faster or in parts.",
        ) from None
    if size > limit:
        raise RequestTooLarge(
            "The body of the request is too large.",
            f"It may have {limit:,} bytes.",
            "Send the text in parts, a chapter at a time.",
        )
    return b"".join(parts)


def parse_object(body: bytes) -> dict[str, Any]:
    """UTF-8, no half surrogate pairs, little nesting. NaN passes, since no field takes it and the
    field's own error says more.

    Raises:
        BadBody: says where it stops being that; `param` names the field where there is one.
    """
    try:
        value = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _bad(f"is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise _bad("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _bad(
            f"is no JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError:  # Python reads a whole number of 4,300 digits and no longer one
        raise _bad("holds a number with too many digits") from None
    if not isinstance(value, dict):
        raise _bad("is JSON, but no object")
    for name, part in value.items():
        if _depth(part, DEPTH) > DEPTH:
            raise _bad("is nested too deeply", param=_printable(name))
        try:
            json.dumps([name, part], ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise _bad(
                "holds half a sign (a lone surrogate such as \\ud800)", param=_printable(name)
            ) from None
    return value


def _printable(name: str) -> str:
    return name[:80].encode("ascii", "backslashreplace").decode("ascii")


def _bad(what: str, param: str | None = None) -> BadBody:
    return BadBody(
        f"The body {what}.",
        'It has to be one JSON object, such as {"input": "Hello."}.',
        "Mend it and send it again.",
        param=param,
    )


def _depth(value: object, enough: int) -> int:
    """Nesting of arrays and objects; looked at no deeper than one beyond `enough`."""
    if enough < 0:
        return 1
    inner: Iterable[Any]
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list):
        inner = value
    else:
        return 0
    return 1 + max((_depth(item, enough - 1) for item in inner), default=0)


class StreamSlots:
    """Bounds the answers that are open at once, made or still to be made. For the event loop's
    thread alone."""

    def __init__(self, settings: Settings) -> None:
        self.limit = settings.max_queued + LISTENING_STREAMS
        self.open = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold one place.

        Raises:
            QueueFull: there is none left.
        """
        if self.open >= self.limit:
            raise QueueFull(
                f"{self.open} answers are open already.",
                "No more are opened until one has been fetched.",
                "Try again in a few seconds.",
            )
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1
