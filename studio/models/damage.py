"""Quick looks at a model's file: is it whole, as far as its beginning and its end tell?"""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

from studio.models.patterns import PICKLED

LONGEST_JSON = 64 * 1024**2
LONGEST_HEADER = 100 * 1024**2  # what safetensors itself allows
POINTER = b"version https://git-lfs"


class Checks:
    """Remembers each verdict until the file changes, so that a page can ask every second."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, int, str]] = {}

    def fault(self, path: Path) -> str:
        """What is wrong with a file, as the end of a sentence; "" where nothing is seen."""
        try:
            status = path.stat()
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        known = self._known.get(path)
        if known is None or known[:2] != (status.st_size, status.st_mtime_ns):
            known = (status.st_size, status.st_mtime_ns, _fault(path, status.st_size))
            self._known[path] = known
        return known[2]


def _fault(path: Path, size: int) -> str:
    if not size:
        return "is empty"
    try:
        with path.open("rb") as file:
            begin = file.read(64)
        if begin.startswith(POINTER):
            return "is only Git LFS's pointer to the file: fetch it with git lfs pull"
        ending = path.suffix.lower()
        if ending == ".safetensors":
            return _safetensors(path, size)
        if ending in PICKLED:
            return _torch(path, begin)
        if ending == ".json":
            return _json(path, size)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _safetensors(path: Path, size: int) -> str:
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else LONGEST_HEADER + 1
        if length > LONGEST_HEADER or length > size:
            return "is no safetensors file"
        try:
            header = json.loads(file.read(length))
            ends = [value["data_offsets"][1] for name, value in header.items() if name[:2] != "__"]
            expected = 8 + length + max(ends, default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return "is no safetensors file"
    return "" if size == expected else f"is cut off: {size:,} of {expected:,} bytes"


def _torch(path: Path, begin: bytes) -> str:
    if begin.startswith(b"PK"):
        return "" if zipfile.is_zipfile(path) else "is cut off"
    # before torch 1.6 checkpoints were bare pickles, which have no end that could be looked for
    return "" if begin.startswith(b"\x80") else "is no torch checkpoint"


def _json(path: Path, size: int) -> str:
    if size > LONGEST_JSON:
        return ""
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return "is no JSON, or cut off"
    return ""
