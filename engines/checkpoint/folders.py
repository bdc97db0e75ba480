"""Releases among the folders of the models directory: found, named, and read anew when they
change."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from engines.errors import VivavoceError

T = TypeVar("T")

DEEPEST = 4  # levels of the models directory at which a release is looked for
MOST_FOLDERS = 5_000
MOST_FILES = 5_000  # of one release

# When one of its files changes a release is read anew: path, time, size.
_Stamp = tuple[tuple[str, int, int], ...]


class Folders(Generic[T]):
    """
    Args:
        root: the models directory; it need not be there.
        is_release: whether a folder is one. None is looked for inside another.
        read: opens one: its folder, its name, and its version, which changes when one of its files
            does. What it raises as VivavoceError is why the release cannot be used.
    """

    def __init__(
        self,
        root: Path,
        is_release: Callable[[Path], bool],
        read: Callable[[Path, str, str], T],
    ) -> None:
        self._root = root
        self._is_release = is_release
        self._read = read
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[_Stamp, str, T | VivavoceError]] = {}

    def faults(self) -> dict[Path, VivavoceError]:
        """Why releases cannot be used, by folder."""
        self.look()
        with self._lock:
            known = {folder: entry[2] for folder, entry in self._known.items() if folder.is_dir()}
        return {folder: each for folder, each in known.items() if isinstance(each, VivavoceError)}

    def look(self) -> dict[str, T | VivavoceError]:
        """Each release by its name, or why it cannot be used."""
        found: dict[str, T | VivavoceError] = {}
        with self._lock:
            for folder in self._folders():
                name = unique(slug(title(folder)), found)
                stamp = _stamp(folder)
                known = self._known.get(folder)
                if known is None or known[:2] != (stamp, name):
                    known = self._known[folder] = stamp, name, self._open(folder, name, stamp)
                found[name] = known[2]
        return found

    def _open(self, folder: Path, name: str, stamp: _Stamp) -> T | VivavoceError:
        version = hashlib.blake2b(repr(stamp).encode(), digest_size=4).hexdigest()
        try:
            return self._read(folder, name, version)
        except VivavoceError as error:
            return error

    def _folders(self) -> Iterator[Path]:
        level, looked_at = [self._root], 0
        for _ in range(DEEPEST + 1):
            below: list[Path] = []
            for folder in level:
                looked_at += 1
                if looked_at > MOST_FOLDERS:
                    return
                if folder != self._root and self._is_release(folder):
                    yield folder
                else:
                    below += _children(folder)
            level = below


@contextmanager
def taking_place_of(target: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `target` once all of it is there; what goes
    wrong before leaves `target` as it was."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        made = Path(scratch) / target.name
        made.mkdir()
        yield made
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)


def title(folder: Path) -> str:
    """The folder's name; in a cache of the Hugging Face Hub that of the repository."""
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.removeprefix("models--").rpartition("--")[2]
    return folder.name


def slug(name: str) -> str:
    """Letters, digits, - and _ alone: a dot stands between release and speaker."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", ascii_name).strip("-") or "unnamed"


def unique(name: str, taken: Mapping[str, object]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(
            child
            for child in folder.iterdir()
            if not child.name.startswith(".") and child.suffix != ".part" and child.is_dir()
        )
    except OSError:
        return []


def _stamp(folder: Path) -> _Stamp:
    found: list[tuple[str, int, int]] = []
    for top, _, names in os.walk(folder):
        for name in names:
            path = Path(top, name)
            try:
                stat = path.stat()
            except OSError:  # a link to nowhere
                continue
            found.append((str(path), stat.st_mtime_ns, stat.st_size))
            if len(found) > MOST_FILES:
                return tuple(sorted(found))
    return tuple(sorted(found))
