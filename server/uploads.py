"""Forms with a file: read no further than allowed, kept beside memory, gone afterwards."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO

import anyio
from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from engines.errors import Cancelled, InvalidRequest
from server.errors import (
    BadBody,
    RequestTimeout,
    RequestTooLarge,
    UnknownField,
    UnsupportedMediaType,
)
from studio.settings import Settings

FIELD = 100_000  # bytes of one that is no file
MARGIN = 1024 * 1024  # bytes of a form beside its file
SECONDS = 600.0  # until a form has to be here
FILE = "file"


@dataclass(frozen=True, slots=True)
class Form:
    """A form that was sent.

    Attributes:
        file: open until the form is left; at its beginning.
        fields: what else was in it, by name.
    """

    file: IO[bytes]
    size: int
    fields: Mapping[str, str]

    def flag(self, name: str) -> bool:
        """
        Raises:
            InvalidRequest: it is neither true nor false.
        """
        value = self.fields.get(name, "false").strip().lower()
        if value not in ("true", "false"):
            raise InvalidRequest(
                f"{name} was {value!r:.80}.", "It takes true or false.", "Change it.", param=name
            )
        return value == "true"


@asynccontextmanager
async def form(
    request: Request, settings: Settings, fields: Collection[str]
) -> AsyncIterator[Form]:
    """The form of a request: one file, named `file`, and fields, each once.

    Raises:
        UnsupportedMediaType: it is no multipart/form-data.
        RequestTooLarge: the file is larger than `settings.max_upload`. The rest is not read.
        RequestTimeout: it comes too slowly.
        BadBody, UnknownField, InvalidRequest: it is damaged, or holds too much or too little.
        Cancelled: the client left.
    """
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != "multipart/form-data":
        raise UnsupportedMediaType(
            f"The Content-Type was {given!r:.80}.",
            "It has to be multipart/form-data.",
            "Send a form with the file in it.",
        )
    stream = _limited(request, settings.max_upload)
    parser = MultiPartParser(
        request.headers, stream, max_files=1, max_fields=len(fields) + 8, max_part_size=FIELD
    )
    try:
        with anyio.fail_after(SECONDS):
            sent = await parser.parse()
    except MultiPartException as error:
        raise _bad(f"cannot be read: {error.message:.200}") from None
    except ClientDisconnect:
        raise Cancelled("The client left before its request was here.") from None
    except TimeoutError:
        raise RequestTimeout(
            f"The form was not here after {SECONDS:.0f} s.", "", "Send it faster, or a smaller one."
        ) from None
    try:
        yield _checked(sent.multi_items(), fields, settings)
    finally:
        await sent.close()


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    size = int(request.headers.get("content-length", "0"))
    if size > limit + MARGIN:
        raise _too_large(limit)
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit + MARGIN:
            raise _too_large(limit)
        yield part


def _checked(
    items: list[tuple[str, UploadFile | str]], fields: Collection[str], settings: Settings
) -> Form:
    found: dict[str, UploadFile | str] = {}
    for name, value in items:
        if name in found:
            raise _bad(f"has {name[:80]!r} twice")
        if name != FILE and name not in fields:
            raise UnknownField(
                f"There is no field {name!r:.80}.",
                f"The form takes {', '.join((FILE, *fields))}.",
                "Leave it out or pick one of these.",
                param=name[:80].encode("ascii", "backslashreplace").decode("ascii"),
            )
        if isinstance(value, str) == (name == FILE):
            raise _bad(f"has {name!r} {'as a text' if name == FILE else 'as a file'}", name)
        found[name] = value
    file = found.pop(FILE, None)
    if not isinstance(file, UploadFile):
        raise InvalidRequest(
            "file is missing.", "The form takes one file.", "Add it to the form.", param=FILE
        )
    if (file.size or 0) > settings.max_upload:
        raise _too_large(settings.max_upload)
    texts = {name: value for name, value in found.items() if isinstance(value, str)}
    return Form(file.file, file.size or 0, texts)


def _bad(what: str, param: str | None = None) -> BadBody:
    return BadBody(
        f"The form {what}.",
        "It has to be multipart/form-data, with one file and each field once.",
        "Mend it and send it again.",
        param=param,
    )


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(
        "The file is too large.",
        f"It may have {limit:,} bytes.",
        "Send a shorter recording, or a voice with fewer clips.",
        param=FILE,
    )
