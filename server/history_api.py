"""`/v1/history`: the takes that were made, to find, hear, keep and delete.

The list and every change belong to an owner. The sound of a take is given to whoever knows its id,
which cannot be guessed: a player in a web page has nothing else to show.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field

from engines.errors import StorageError, UnknownFormat
from server.context import context_of
from server.owner import owner_of
from server.streaming import PCM_RATE
from studio.captions import to_srt, to_vtt
from studio.encode import FORMATS, Format, StreamEncoder, format_named
from studio.history import (
    History,
    NoSound,
    TakeRecord,
    TakeState,
    TakeUnfinished,
    tags_of,
)

router = APIRouter(tags=["history"])

NAME_WORDS = 6
BLOCK = 1 << 16  # bytes sent at a time
CAPTIONS = {"srt": ("application/x-subrip", to_srt), "vtt": ("text/vtt", to_vtt)}
HEADERS = {"X-Vivavoce-Synthetic": "true", "Cache-Control": "private, no-cache"}


class TakeItem(BaseModel):
    id: str
    state: TakeState
    pinned: bool
    made: float = Field(description="Unix time at which the work on it began.")
    door: str = Field(description="Where its request came in: page, http …")
    excerpt: str = Field(description="The beginning of its text.")
    characters: int = Field(description="Of the whole text.")
    engine: str
    voice: str
    voice_name: str
    language: str
    preset: str
    device: str
    controls: dict[str, Any]
    seed: int
    sample_rate: int = Field(description="Hz")
    seconds: float = Field(description="Of sound.")
    sentences: int
    bytes: int
    queued: float = Field(description="Seconds until the work on it began.")
    first_sound: float | None = Field(description="Seconds until its first sound.")
    whole: float | None = Field(description="Seconds until its end.")
    similarity: float | None = Field(
        description="Of its speaker to the clips of the voice, -1 to 1; null where it has none."
    )
    error: str
    lost: str = Field(description="Why a part of its sound was not kept.")


class Sentence(BaseModel):
    text: str
    start: float
    end: float


class WholeTake(TakeItem):
    text: str
    timings: list[Sentence]


class TakeList(BaseModel):
    takes: list[TakeItem] = Field(description="Newest first.")
    before: int | None = Field(description="Give it as `before` for the next page; null at the end")
    count: int = Field(description="All takes of yours, whatever was searched for.")


def history_of(request: Request) -> History:
    return context_of(request).studio.history


Store = Annotated[History, Depends(history_of)]
Owner = Annotated[str, Depends(owner_of)]


@router.get("/v1/history", summary="Takes, newest first, or those that hold some words")
def takes(
    history: Store,
    owner: Owner,
    q: Annotated[str, Query(max_length=200, description="words or parts of words")] = "",
    before: Annotated[int | None, Query(ge=1, le=2**62, description="of the last page")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="takes on a page")] = 20,
) -> TakeList:
    page = history.page(owner, q, before, limit)
    return TakeList(
        takes=[TakeItem(**_values(take)) for take in page.takes],
        before=page.before,
        count=history.count(owner),
    )


@router.get("/v1/history/{take_id}", summary="A take with its text and when it says what")
def take(take_id: str, history: Store, owner: Owner) -> WholeTake:
    found = history.get(owner, take_id)
    timings = [Sentence(text=t.text, start=t.start, end=t.end) for t in history.timings(found)]
    return WholeTake(**_values(found), text=history.text(found), timings=timings)


@router.delete("/v1/history/{take_id}", status_code=204, summary="Delete a take and its files")
def delete(take_id: str, history: Store, owner: Owner) -> None:
    history.delete(owner, take_id)


@router.post("/v1/history/{take_id}/pin", summary="Keep a take when room is needed, or no longer")
def pin(take_id: str, history: Store, owner: Owner, pinned: bool = True) -> TakeItem:
    return TakeItem(**_values(history.pin(owner, take_id, pinned)))


@router.get(
    "/v1/history/{take_id}/audio",
    summary="The sound of a take; parts of it (Range) as wav",
    response_class=Response,
    responses={
        200: {
            "content": {
                fmt.mime: {"schema": {"type": "string", "format": "binary"}}
                for fmt in FORMATS.values()
            }
        },
        206: {"description": "The part asked for."},
    },
)
def audio(
    take_id: str,
    history: Store,
    format: Annotated[
        str,
        Query(description="one of " + ", ".join(FORMATS), json_schema_extra={"enum": [*FORMATS]}),
    ] = "wav",
) -> Response:
    try:
        fmt = format_named(format)
    except UnknownFormat as error:
        error.param = "format"
        raise
    found = _heard(history.find(take_id))
    name = f'inline; filename="{_name(found)}.{fmt.extension}"'
    headers = {**HEADERS, "Content-Disposition": name}
    if fmt.name == "wav":
        path = history.path(found.id)
        history.pcm(found, 0, 1)  # so that a file that is gone is told before the answer begins
        return FileResponse(path, headers=headers, media_type=fmt.mime)
    rate = PCM_RATE if fmt.name == "pcm" else fmt.rate_for(found.sample_rate)
    headers["X-Vivavoce-Sample-Rate"] = str(rate)
    file = _encoded(history, found, fmt, rate)
    headers["Content-Length"] = str(file.seek(0, os.SEEK_END))
    return StreamingResponse(_read(file), headers=headers, media_type=fmt.mime)


@router.get(
    "/v1/history/{take_id}/captions",
    summary="Captions of a take",
    response_class=PlainTextResponse,
    responses={
        200: {"content": {kind: {"schema": {"type": "string"}} for kind, _ in CAPTIONS.values()}}
    },
)
def captions(
    take_id: str,
    history: Store,
    format: Annotated[
        str, Query(description="srt or vtt", json_schema_extra={"enum": [*CAPTIONS]})
    ] = "srt",
) -> Response:
    if format not in CAPTIONS:
        raise UnknownFormat(
            f"There are no captions {format!r:.40}.", "There are srt and vtt.", param="format"
        )
    kind, write = CAPTIONS[format]
    text = write(history.timings(_heard(history.find(take_id))))
    return Response(text, headers=HEADERS, media_type=f"{kind}; charset=utf-8")


def _heard(take: TakeRecord) -> TakeRecord:
    """
    Raises:
        TakeUnfinished, NoSound: there is nothing to give yet, or at all.
    """
    if take.state is TakeState.UNFINISHED:
        raise TakeUnfinished
    if not take.frames:
        raise NoSound
    return take


def _encoded(history: History, take: TakeRecord, fmt: Format, rate: int) -> IO[bytes]:
    """The whole take in a file without a name, which is gone when it is closed: unlike a stream it
    has its true length within."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (it is closed by whoever reads it)
    try:
        tags = tags_of(take)
        with StreamEncoder(
            fmt, take.sample_rate, tags, output_rate=rate, streaming=False
        ) as encoder:
            for block in history.blocks(take):
                file.write(encoder.feed(block))
            file.write(encoder.close())
            for offset, data in encoder.patches:
                file.seek(offset)
                file.write(data)
        file.flush()
    except OSError as error:
        file.close()
        raise StorageError(
            f"The take could not be written as {fmt.name} ({error.strerror}).",
            "",
            "Free some space on the disk for temporary files, or take wav, which is there.",
        ) from error
    except BaseException:
        file.close()
        raise
    return file


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while block := file.read(BLOCK):
            yield block


def _name(take: TakeRecord) -> str:
    """The first words as a file's name; in a header there is room for ASCII alone."""
    words = re.findall(r"[A-Za-z0-9]+", take.excerpt)[:NAME_WORDS]
    return "-".join(words).lower()[:60] or "vivavoce"


def _values(take: TakeRecord) -> dict[str, Any]:
    return {name: getattr(take, name) for name in TakeItem.model_fields}
