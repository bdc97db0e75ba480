"""What a take is made of: a file that only grows, and the pieces of it that are heard in order.

Shapes: T samples, mono. Positions are in frames (samples).
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import StorageError

BYTES = 2  # a frame: 16 bit, mono
FULL_SCALE = 32767


@dataclass(frozen=True, slots=True)
class Piece:
    at: int  # position in the take
    offset: int  # position in the file
    length: int


class Journal:
    """A file that only grows. A failed write leaves its length as it was."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb+", buffering=0)
        self._end = 0

    def append(self, data: bytes) -> int:
        """Write at the end; gives the offset of the first byte.

        Raises:
            StorageError: it could not be written: a full disk, say.
        """
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._file.fileno(), data[written:], self._end + written)
        except OSError as error:
            raise not_written(error) from error
        self._end += written
        return self._end - written

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)


def read_pcm(sound: Journal, pieces: Sequence[Piece], start: int, end: int) -> bytes:
    """16-bit little-endian samples of [start, end) of the take, as far as there are any."""
    first = max(0, bisect.bisect_right(pieces, start, key=lambda piece: piece.at) - 1)
    parts = []
    for piece in pieces[first:]:
        if piece.at >= end:
            break
        begin, stop = max(start, piece.at), min(end, piece.at + piece.length)
        if begin < stop:
            at = (piece.offset + begin - piece.at) * BYTES
            parts.append(sound.read(at, (stop - begin) * BYTES))
    return b"".join(parts)


def joined(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """The same with the last two made one where the file has them side by side."""
    if len(pieces) < 2:
        return pieces
    *rest, left, right = pieces
    if left.offset + left.length != right.offset:
        return pieces
    return (*rest, Piece(left.at, left.offset, left.length + right.length))


def spliced(
    pieces: Sequence[Piece], start: int, end: int, offset: int, length: int
) -> tuple[Piece, ...]:
    """Pieces with [start, end) of the take replaced by `length` frames at `offset` of the file."""
    moved = length - (end - start)
    result, placed = [], False
    for piece in pieces:
        stop = piece.at + piece.length
        if piece.at < start:
            result.append(Piece(piece.at, piece.offset, min(stop, start) - piece.at))
        if not placed and stop >= start:
            result.append(Piece(start, offset, length))
            placed = True
        if stop > end:
            begin = max(piece.at, end)
            tail = Piece(begin + moved, piece.offset + begin - piece.at, stop - begin)
            result.append(tail)
    return tuple(piece for piece in result if piece.length)


def faded(samples: np.ndarray, into: int = 0, out: int = 0) -> np.ndarray:
    """A copy that rises from silence over `into` samples and falls to it over `out`."""
    result = np.array(samples, np.float32)
    room = result.size // 2 if into and out else result.size
    rise, fall = min(into, room), min(out, room)
    result[:rise] *= np.linspace(0, 1, rise, endpoint=False, dtype=np.float32)
    result[result.size - fall :] *= np.linspace(1, 0, fall, dtype=np.float32)
    return result


def to_float(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / FULL_SCALE


def not_written(error: OSError) -> StorageError:
    return StorageError(
        f"The speech could not be written to disk ({error.strerror}).",
        "It is kept there while you work with it.",
        "Free some space, or start with another --data-dir.",
    )
