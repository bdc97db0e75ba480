"""What a release holds beside its weights: names of speakers and languages, and x-vectors."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from engines.checkpoint import bad_file, stays

LARGEST_TABLE = 16 << 20  # bytes of spk2sid, lang2lid or an index
LARGEST_VECTOR = 1 << 16
XVECTORS = "spk_xvector"
_BINARY: dict[bytes, np.dtype[Any]] = {
    b"FV ": np.dtype("<f4"),
    b"DV ": np.dtype("<f8"),
}  # Kaldi's float and double vectors


def speaker_ids(folder: Path) -> dict[str, int]:
    """Speakers by name, from `dump/**/spk2sid`; empty where there is none. 0 stands for unknown
    ones and is left out.

    Raises:
        BadCheckpoint: a file is damaged, or two of them disagree.
    """
    return _ids(folder, "spk2sid")


def language_ids(folder: Path) -> dict[str, int]:
    """Languages by name, from `dump/**/lang2lid`; as `speaker_ids`."""
    return _ids(folder, "lang2lid")


def xvectors(folder: Path) -> dict[str, np.ndarray]:
    """Speakers' x-vectors by name, float32 [D], from all `dump/**/spk_xvector.ark`.

    Raises:
        BadCheckpoint: an archive is damaged.
    """
    found: dict[str, np.ndarray] = {}
    for path in sorted(_files(folder, f"{XVECTORS}.ark")):
        found.update(read_ark(path))
    if not found:
        for path in sorted(_files(folder, f"{XVECTORS}.scp")):
            raise bad_file(
                path,
                "is an index, and its archive spk_xvector.ark is missing",
                "Download the release again, with all of its files.",
            )
    return found


def read_ark(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Vectors of a Kaldi archive in turn: text or binary, float or double; float32 [D].

    Raises:
        BadCheckpoint: it is damaged or holds something else than vectors.
    """
    with path.open("rb") as file:
        while key := _token(file, path):
            start = file.read(2)
            if start == b"\0B":
                yield key, _binary_vector(file, path, key)
            else:
                yield key, _text_vector(start + file.readline(LARGEST_TABLE), path, key)


def read_scp(path: Path, folder: Path) -> dict[str, tuple[Path, int]]:
    """Where an index says that each vector begins: an archive of the release, and the byte.

    Paths are those of where it was made: relative to the release, or to the index beside which
    the archive lies.

    Raises:
        BadCheckpoint: a line is not `<key> <path>:<byte>`, or its archive is not here.
    """
    found = {}
    for number, line in enumerate(_lines(path), 1):
        key, _, place = line.partition(" ")
        archive, _, offset = place.strip().rpartition(":")
        if not key or not archive or not offset.isdecimal():
            raise bad_file(path, f"has no key, path and byte in line {number}: {line!r:.80}")
        beside = path.with_name(archive.rsplit("/", 1)[-1])
        if not beside.is_file() or not stays(beside, folder):
            raise bad_file(path, f"names {archive!r:.200} in line {number}, which is not beside it")
        found[key] = beside, int(offset)
    return found


def read_vector(path: Path, offset: int, key: str) -> np.ndarray:
    """One vector of a binary archive, at the byte that an index gives for it; float32 [D].

    Raises:
        BadCheckpoint: none begins there.
    """
    with path.open("rb") as file:
        file.seek(offset)
        if file.read(2) != b"\0B":
            raise bad_file(path, f"has no vector of {key!r:.80} at byte {offset}")
        return _binary_vector(file, path, key)


def _binary_vector(file: BinaryIO, path: Path, key: str) -> np.ndarray:
    kind = file.read(3)
    header = file.read(5)
    if kind not in _BINARY or len(header) != 5 or header[0] != 4:
        raise bad_file(path, f"holds something else than a vector for {key!r:.80}")
    (size,) = struct.unpack("<i", header[1:])
    dtype = _BINARY[kind]
    if not 0 < size <= LARGEST_VECTOR:
        raise bad_file(path, f"gives the vector of {key!r:.80} {size} numbers")
    data = file.read(size * dtype.itemsize)
    if len(data) != size * dtype.itemsize:
        raise bad_file(path, f"ends within the vector of {key!r:.80}")
    return _finite(np.frombuffer(data, dtype).astype(np.float32), path, key)


def _text_vector(line: bytes, path: Path, key: str) -> np.ndarray:
    words = line.decode("utf-8", "replace").split()
    if words[:1] != ["["] or words[-1:] != ["]"] or len(words) < 3:
        raise bad_file(path, f"holds something else than a vector for {key!r:.80}")
    try:
        return _finite(np.array(words[1:-1], np.float32), path, key)
    except ValueError as error:
        raise bad_file(path, f"has no numbers for {key!r:.80}") from error


def _finite(vector: np.ndarray, path: Path, key: str) -> np.ndarray:
    if not np.isfinite(vector).all():
        raise bad_file(path, f"has values that are no numbers for {key!r:.80}")
    return vector


def _token(file: BinaryIO, path: Path) -> str:
    """The key up to the next space; "" at the end of the file."""
    read = bytearray()
    while (byte := file.read(1)) not in (b"", b" "):
        read += byte
        if len(read) > 4096:
            raise bad_file(path, "is no Kaldi archive")
    if not byte and read.strip():
        raise bad_file(path, f"ends within the name {bytes(read)!r:.80}")
    return read.decode("utf-8", "replace").strip()


def _ids(folder: Path, name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in sorted(_files(folder, name)):
        for number, line in enumerate(_lines(path), 1):
            key, _, value = line.rpartition(" ")
            key = key.strip()
            if not key or not value.isdecimal():
                raise bad_file(path, f"has no name and number in line {number}: {line!r:.80}")
            if found.setdefault(key, int(value)) != int(value):
                raise bad_file(path, f"gives {key!r:.80} another number than the file before it")
    return {key: value for key, value in found.items() if value > 0}


def _lines(path: Path) -> list[str]:
    if path.stat().st_size > LARGEST_TABLE:
        raise bad_file(path, f"is larger than {LARGEST_TABLE >> 20} MiB")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise bad_file(path, "is no UTF-8 text") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _files(folder: Path, name: str) -> Iterator[Path]:
    return (each for each in (folder / "dump").rglob(name) if stays(each, folder))
