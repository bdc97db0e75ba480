"""A take's files: a wav of its sound and a list of its sentences, both written as they are made.

Whatever moment the program ends at, what was appended until then can be heard: the samples stand
behind a header of fixed size, and `mend` sets right what the header says of their number.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import StorageError
from studio.encoders import UNKNOWN_LENGTH, to_pcm
from studio.formats import Tags, riff_info
from studio.jobs import CaptionWord, SentenceTiming

HEADER = 44  # bytes
BYTES = 2  # a frame: 16 bit, mono
FULL_SCALE = 32767
BLOCK = 1 << 16  # frames read at a time
PEAK_WINDOW = 1024  # frames looked at for one bar of a waveform, however long the take


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies on disk of a take."""

    frames: int = 0
    sentences: int = 0
    bytes: int = 0


class SoundWriter:
    """The files of one take, for one thread. They appear with the first sound.

    Args:
        tags: what the finished file says of itself.
    """

    def __init__(self, path: Path, sample_rate: int, tags: Tags) -> None:
        self.frames = 0
        self.sentences = 0
        self._path = path
        self._rate = sample_rate
        self._tags = tags
        self._sound = -1
        self._notes = -1
        self._notes_bytes = 0

    def append(self, samples: np.ndarray) -> None:
        """Add float32 [T] in [-1, 1].

        Raises:
            StorageError: the disk is full, say; what was there before stays whole.
        """
        data = to_pcm(samples)
        try:
            if self._sound < 0:
                self._sound = _create(self._path)
                _write(self._sound, _header(self._rate, UNKNOWN_LENGTH, UNKNOWN_LENGTH), 0)
            _write(self._sound, data, HEADER + self.frames * BYTES)
        except OSError as error:
            raise _not_kept(error) from error
        self.frames += len(data) // BYTES

    def sentence(self, timing: SentenceTiming) -> None:
        """Note a sentence whose sound was appended.

        Raises:
            StorageError: the disk is full, say.
        """
        words = [(word.text, word.start, word.end) for word in timing.words]
        entry = (timing.index, timing.text, timing.start, timing.end, words)
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            if self._notes < 0:
                self._notes = _create(notes_of(self._path))
            _write(self._notes, line, self._notes_bytes)
        except OSError as error:
            raise _not_kept(error) from error
        self._notes_bytes += len(line)
        self.sentences += 1

    def close(self) -> Kept:
        """End the file: its header, which tells samples from what follows, before its tags."""
        sound_bytes = 0
        if self._sound >= 0:
            with contextlib.suppress(OSError):  # the sound is there; `mend` does the rest
                sound_bytes = _finish(self._sound, self._rate, self.frames, self._tags)
        for handle in (self._sound, self._notes):
            if handle >= 0:
                with contextlib.suppress(OSError):
                    os.close(handle)
        self._sound = self._notes = -1
        return Kept(self.frames, self.sentences, sound_bytes + self._notes_bytes)


def notes_of(path: Path) -> Path:
    return path.with_suffix(".jsonl")


def mend(path: Path, sample_rate: int, tags: Tags) -> Kept:
    """Make whole what a program that ended badly left of a take."""
    frames = sentences = size = 0
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(path, os.O_RDWR)
        try:
            frames = _frames_there(handle)
            os.ftruncate(handle, HEADER + frames * BYTES)
            size = _finish(handle, sample_rate, frames, tags)
        finally:
            os.close(handle)
    with contextlib.suppress(FileNotFoundError):
        whole = notes_of(path).read_bytes().rpartition(b"\n")
        sentences = whole[0].count(b"\n") + bool(whole[1])
        os.truncate(notes_of(path), len(whole[0]) + len(whole[1]))
        size += len(whole[0]) + len(whole[1])
    return Kept(frames, sentences, size)


def remove(path: Path) -> None:
    """
    Raises:
        StorageError: the folder cannot be written to.
    """
    for file in (path, notes_of(path)):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"{file.name} could not be deleted ({error.strerror}).",
                "",
                "Put the rights of its folder in order and try again.",
            ) from error


# reading: nothing here needs the header, since the records hold how many frames there are


def pcm(path: Path, frames: int, start: int, count: int) -> bytes:
    """Up to `count` of the `frames` samples from `start`, 16-bit little-endian.

    Raises:
        StorageError: the file cannot be read.
    """
    with _opened(path) as handle:
        return _read(handle, start, min(count, frames - start))


def blocks(path: Path, frames: int) -> Iterator[np.ndarray]:
    """All of it as float32 blocks.

    Raises:
        StorageError: the file cannot be read.
    """
    with _opened(path) as handle:
        for start in range(0, frames, BLOCK):
            yield to_float(_read(handle, start, min(BLOCK, frames - start)))


def peaks(path: Path, frames: int, bars: int) -> list[float]:
    """Loudest sample, 0 to 1, at `bars` evenly spaced places."""
    heights = []
    with _opened(path) as handle:
        for bar in range(bars):
            start, end = bar * frames // bars, (bar + 1) * frames // bars
            samples = to_float(_read(handle, start, min(end - start, PEAK_WINDOW)))
            heights.append(round(float(np.abs(samples).max(initial=0.0)), 3))
    return heights


def timings(path: Path) -> list[SentenceTiming]:
    """Every sentence, for captions; none where there is no list."""
    try:
        lines = notes_of(path).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _not_read(path, error) from error
    found = []
    for line in lines:
        index, text, start, end, words = json.loads(line)
        found.append(
            SentenceTiming(index, text, start, end, tuple(CaptionWord(*word) for word in words))
        )
    return found


def to_float(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<i2").astype(np.float32) / FULL_SCALE


# the file


def _create(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def _write(handle: int, data: bytes, at: int) -> None:
    """All of it or none: after an error the file is as long as it was."""
    written = 0
    try:
        while written < len(data):
            written += os.pwrite(handle, data[written:] if written else data, at + written)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, at)
        raise


def _finish(handle: int, rate: int, frames: int, tags: Tags) -> int:
    """Returns the size of the file."""
    data, info = frames * BYTES, riff_info(tags)
    if HEADER + data + len(info) >= UNKNOWN_LENGTH:
        return HEADER + data  # more than the header can count: it stays that of a stream
    os.pwrite(handle, _header(rate, HEADER - 8 + data + len(info), data), 0)
    try:
        _write(handle, info, HEADER + data)
    except OSError:
        os.pwrite(handle, _header(rate, HEADER - 8 + data, data), 0)
        return HEADER + data
    return HEADER + data + len(info)


def _frames_there(handle: int) -> int:
    size = os.fstat(handle).st_size - HEADER
    head = os.pread(handle, HEADER, 0)
    said = struct.unpack("<I", head[-4:])[0] if len(head) == HEADER else 0
    return max(0, size if said == UNKNOWN_LENGTH else min(size, said)) // BYTES


def _header(rate: int, riff_size: int, data_size: int) -> bytes:
    layout = struct.pack("<IHHIIHH", 16, 1, 1, rate, BYTES * rate, BYTES, 8 * BYTES)
    riff = b"RIFF" + struct.pack("<I", riff_size)
    return riff + b"WAVEfmt " + layout + b"data" + struct.pack("<I", data_size)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise _not_read(path, error) from error
    try:
        yield handle
    except OSError as error:
        raise _not_read(path, error) from error
    finally:
        os.close(handle)


def _read(handle: int, start: int, count: int) -> bytes:
    data = os.pread(handle, max(0, count) * BYTES, HEADER + max(0, start) * BYTES)
    return data[: len(data) - len(data) % BYTES]


def _not_kept(error: OSError) -> StorageError:
    return StorageError(
        f"The rest of this take is not kept in the history ({error.strerror}).",
        "The speech itself goes on.",
        "Free some space on the disk of the data folder.",
    )


def _not_read(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"The sound of this take cannot be read ({error.strerror}).",
        f"It should be in {path.name}.",
        "Make the take again, or restore the data folder from a backup.",
    )
