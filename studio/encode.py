"""From delivered samples to bytes: streamed, in memory, or as a file that is whole or not there.

Shapes: T samples of one call.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from engines.errors import StorageError
from studio.encoders import open_encoder
from studio.formats import FORMATS, Format, Tags, format_named

__all__ = [
    "FORMATS",
    "Format",
    "StreamEncoder",
    "Tags",
    "encode_bytes",
    "encode_file",
    "format_named",
]


class StreamEncoder:
    """Encodes as it goes. Leave it through `close` or `abort`, or use it in a `with` block.

    Args:
        sample_rate: Hz, of the samples that are fed.
        output_rate: Hz, of what is encoded; None takes `sample_rate`, or the next higher one that
            the format takes.
        streaming: False where the output can be rewound when it is complete: what has to be
            written over is then in `patches` once it is closed.

    Raises:
        MissingDependency: the format needs a program that is not there.
    """

    def __init__(
        self,
        fmt: Format,
        sample_rate: int,
        tags: Tags,
        *,
        output_rate: int | None = None,
        streaming: bool = True,
    ) -> None:
        self.sample_rate = fmt.rate_for(output_rate or sample_rate)
        self._encoder = open_encoder(fmt, self.sample_rate, tags, streaming=streaming)
        self._empty = True
        self._resampler = None
        if self.sample_rate != sample_rate:
            from soxr import ResampleStream

            self._resampler = ResampleStream(sample_rate, self.sample_rate, 1, dtype="float32")

    @property
    def patches(self) -> list[tuple[int, bytes]]:
        """Offsets in the output, and the bytes to write there."""
        return self._encoder.patches

    def feed(self, samples: np.ndarray) -> bytes:
        """float32 [T] in [-1, 1] → what is encoded so far.

        Raises:
            EngineFailure: the encoder broke.
        """
        self._empty = self._empty and not samples.size
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        return self._encoder.feed(samples)

    def close(self) -> bytes:
        """The end of the output."""
        # without a sample some formats have not even a header, and players refuse the file
        rest = self.feed(np.zeros(1, np.float32)) if self._empty else b""
        if self._resampler is not None:
            last = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            rest += self._encoder.feed(last)
        return rest + self._encoder.close()

    def abort(self) -> None:
        """Stop at once and let go of everything; harmless after `close`."""
        self._encoder.abort()

    def __enter__(self) -> StreamEncoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()


def encode_bytes(
    fmt: Format,
    sample_rate: int,
    samples: np.ndarray,
    tags: Tags,
    *,
    output_rate: int | None = None,
) -> bytes:
    """Encode float32 [T] as a whole, with true lengths and tags."""
    with StreamEncoder(fmt, sample_rate, tags, output_rate=output_rate, streaming=False) as encoder:
        whole = bytearray(encoder.feed(samples) + encoder.close())
        for offset, data in encoder.patches:
            whole[offset : offset + len(data)] = data
    return bytes(whole)


def encode_file(
    path: Path,
    fmt: Format,
    sample_rate: int,
    blocks: Iterable[np.ndarray],
    tags: Tags,
    *,
    output_rate: int | None = None,
) -> None:
    """Encode blocks of float32 [T] to a file, block by block.

    The file appears when it is complete and replaces one of the same name; if anything goes wrong
    nothing is left behind and what was there stays.

    Raises:
        StorageError: it could not be written: full disk, missing rights, no such folder.
    """
    with (
        _replacing(path) as file,
        StreamEncoder(fmt, sample_rate, tags, output_rate=output_rate, streaming=False) as encoder,
    ):
        for block in blocks:
            _write(file, path, encoder.feed(block))
        _write(file, path, encoder.close())
        for offset, data in encoder.patches:
            _write(file, path, data, offset)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when the block ends well, else vanishes."""
    part = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        file = part.open("xb")
    except OSError as error:
        raise _storage_error(path, error) from error
    try:
        yield file
        try:
            file.flush()
            os.fsync(file.fileno())
            file.close()
            part.replace(path)
        except OSError as error:
            raise _storage_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # a buffer that the full disk refuses again
            file.close()
        part.unlink(missing_ok=True)


def _write(file: IO[bytes], path: Path, data: bytes, offset: int | None = None) -> None:
    try:
        if offset is not None:
            file.seek(offset)
        file.write(data)
    except OSError as error:
        raise _storage_error(path, error) from error


def _storage_error(path: Path, error: OSError) -> StorageError:
    if not path.parent.is_dir():
        return StorageError(
            f"There is no folder {str(path.parent)!r}.",
            "Audio is written into a folder that exists.",
            "Make the folder or give another path.",
        )
    return StorageError(
        f"{str(path)!r} could not be written: {error.strerror or error}.",
        "Nothing was left behind.",
        "Free some space, check the rights, or give another path.",
    )
