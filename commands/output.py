"""Where `say` puts the sound: a file that appears whole or not at all, or a stream."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engines.errors import InvalidRequest, StorageError, UnknownFormat
from studio.captions import to_srt, to_vtt
from studio.encode import FORMATS, Format, StreamEncoder, Tags, encode_file, format_named
from studio.jobs import Job, SentenceTiming

STREAM_FORMAT = "wav"
CAPTIONS = {".srt": to_srt, ".vtt": to_vtt}


@dataclass(frozen=True, slots=True)
class Target:
    """`path` is None for standard output; `streamed` where no file can be put in its place."""

    path: Path | None
    fmt: Format
    streamed: bool

    @property
    def title(self) -> str:
        return "Standard output" if self.path is None else str(self.path)


def target(given: str | None, fmt: str | None) -> Target:
    """Where the sound goes and in which format.

    Raises:
        InvalidRequest: no place was given, or it cannot take sound.
        UnknownFormat: neither `fmt` nor the file's ending names one.
    """
    if not given:
        raise InvalidRequest(
            "Where the sound goes was not given.",
            "It goes into a file or to another program.",
            "Add `-o speech.wav`, or `-o -` to stream it.",
        )
    if given == "-":
        if sys.stdout.isatty():
            raise InvalidRequest(
                "Sound cannot be shown in a terminal.",
                "`-o -` streams to a file or another program.",
                "Write it to a file with `-o speech.wav`, or add `| aplay`.",
            )
        return Target(None, format_named(fmt or STREAM_FORMAT), streamed=True)
    path = _place(given)
    chosen = format_named(fmt) if fmt else _format_of(path)
    return Target(path, chosen, streamed=path.exists() and not path.is_file())


def _place(given: str) -> Path:
    path = Path(given).resolve()  # a link stays a link: the file that it points to is replaced
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidRequest(
            f"The sound cannot go into {given!r:.200}.",
            "That is a folder." if path.is_dir() else f"There is no folder {path.parent}.",
            "Give a file in a folder that is there.",
        )
    return path


def _format_of(path: Path) -> Format:
    ending = path.suffix.lower().removeprefix(".")
    for fmt in FORMATS.values():
        if ending == fmt.extension:
            return fmt
    raise UnknownFormat(
        f"The ending of {path.name!r:.80} names no format.",
        f"Formats here: {', '.join(FORMATS)}.",
        "Use one of them as the ending, or add --format.",
    )


def write(place: Target, job: Job, sounds: Iterator[np.ndarray]) -> None:
    """Encode a job's sound to where it goes.

    Raises:
        StorageError: it cannot be written; no half file is left.
        VivavoceError: what ended the job.
    """
    tags = Tags(text=job.plan.text, engine=job.plan.engine, voice=job.plan.voice.id)
    if place.path is not None and not place.streamed:
        encode_file(place.path, place.fmt, job.sample_rate, sounds, tags)
        return
    with _open(place) as stream, StreamEncoder(place.fmt, job.sample_rate, tags) as encoder:
        for samples in sounds:
            _send(stream, encoder.feed(samples), place)
        _send(stream, encoder.close(), place)


def _open(place: Target) -> BinaryIO:
    """Unbuffered, so that sound leaves as soon as it is made."""
    try:
        if place.path is None:
            return open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)
        return place.path.open("wb", buffering=0)
    except OSError as error:
        raise _unwritable(place.title, error) from None


def _send(stream: BinaryIO, data: bytes, place: Target) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[stream.write(view) :]
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(place.title, error) from None


def _unwritable(title: str, error: OSError) -> StorageError:
    return StorageError(
        f"{title} cannot be written ({error.strerror}).",
        "",
        "Free some space or write elsewhere.",
    )


@dataclass(frozen=True, slots=True)
class CaptionsTarget:
    path: Path

    def write(self, timings: Sequence[SentenceTiming]) -> None:
        """
        Raises:
            StorageError: the file cannot be written; no half file is left.
        """
        text = CAPTIONS[self.path.suffix.lower()](timings)
        half = None
        try:
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self.path.parent, prefix=".captions-", delete=False
            ) as file:
                half = Path(file.name)
                file.write(text)
            half.replace(self.path)
        except OSError as error:
            if half is not None:
                with contextlib.suppress(OSError):
                    half.unlink()
            raise _unwritable(str(self.path), error) from None


def captions_target(given: Path | None) -> CaptionsTarget | None:
    """
    Raises:
        UnknownFormat: the ending is neither .srt nor .vtt.
        InvalidRequest: there is no such folder.
    """
    if given is None:
        return None
    if given.suffix.lower() not in CAPTIONS:
        raise UnknownFormat(
            f"The captions' ending was {given.suffix!r:.80}.",
            f"Captions can be {' or '.join(CAPTIONS)}.",
            "Change the name of the file.",
        )
    return CaptionsTarget(_place(str(given)))
