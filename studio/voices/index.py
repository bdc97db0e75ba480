"""Nearest embeddings. The rows are the truth; an index is what finds them quickly.

An index covers one scope: the voices of one owner, or the clips of one voice. So nobody's search
meets another's voices, and a scope that is deleted takes its index along. It holds the numbers of
rows, which are never used again, so bringing it up to date is adding and removing what differs.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engines.errors import StorageError
from studio.speaker import DIMENSIONS
from studio.voices import files
from studio.voices.files import owner_key
from studio.voices.rows import Rows
from studio.voices.store import vector

if TYPE_CHECKING:
    import sqlite3

    from usearch.index import Index

log = logging.getLogger("vivavoce.voices")

KEPT = 16  # indexes in memory, the ones used last
EXACT_UP_TO = 2_000  # vectors; comparing with each of so few is quick, and misses none
SAVED_FROM = 1_000  # vectors added since it was last saved; making fewer anew takes no time
REBUILT_AT = 0.25  # share of removed vectors, which still take room and time
CHUNK = 500  # rows asked for at once
MAGIC = b"vivavoce index 1\n"


class Scope(NamedTuple):
    """Which embeddings an index covers."""

    name: str
    rows: str  # SQL after SELECT … FROM embeddings e
    given: str

    @property
    def file(self) -> str:
        return f"{self.name}.usearch"


def voices_of(owner: str) -> Scope:
    """The mean embeddings of an owner's voices."""
    return Scope(
        f"voices-{owner_key(owner)}",
        "JOIN voices v ON v.number = e.voice WHERE v.owner = ? AND e.clip IS NULL",
        owner,
    )


def clips_of(voice_id: str) -> Scope:
    return Scope(
        f"clips-{voice_id}",
        "JOIN voices v ON v.number = e.voice WHERE v.id = ? AND e.clip IS NOT NULL",
        voice_id,
    )


@dataclass
class _Held:
    lock: threading.Lock = field(default_factory=threading.Lock)
    index: Index | None = None
    count: int = -1  # of changes that it knows
    unsaved: int = 0
    removed: int = 0


class SoundIndex:
    """Indexes of all scopes, made when first asked, kept in memory and as files.

    Args:
        folder: of the files; whatever is missing or damaged there is made again.
    """

    def __init__(self, rows: Rows, folder: Path) -> None:
        self._rows = rows
        self._folder = folder
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def nearest(self, scope: Scope, embedding: np.ndarray, limit: int) -> list[tuple[int, float]]:
        """Numbers of the most alike embeddings and their cosines, best first."""
        with self._lock:
            held = self._held.setdefault(scope.name, _Held())
            self._held.move_to_end(scope.name)
            while len(self._held) > KEPT:
                self._held.popitem(last=False)
        with held.lock:
            index = self._up_to_date(held, scope)
            size = len(index)
            if not size or limit < 1:
                return []
            found = index.search(
                embedding,
                min(limit, size),
                threads=1,
                exact=size <= EXACT_UP_TO and not held.removed,
            )
            return [
                (int(number), 1.0 - float(distance))
                for number, distance in zip(found.keys, found.distances, strict=True)
            ]

    def forget(self, scope: Scope, *, file_only: bool = False) -> None:
        """Let go of an index, or of its file alone.

        Raises:
            StorageError: the file cannot be removed.
        """
        with self._lock:
            held = self._held.get(scope.name, _Held())
            if not file_only:
                self._held.pop(scope.name, None)
        path = self._path(scope)
        with held.lock, files.translated(path):  # a search may be saving it
            path.unlink(missing_ok=True)

    def _up_to_date(self, held: _Held, scope: Scope) -> Index:
        with self._rows.reading() as db:
            row = db.execute("SELECT count FROM changes WHERE scope = ?", (scope.name,)).fetchone()
            count = row["count"] if row else 0
            if held.index is not None and held.count == count:
                return held.index
            index = held.index if held.index is not None else self._load(scope)
            found = db.execute(f"SELECT e.number FROM embeddings e {scope.rows}", (scope.given,))
            wanted = {row["number"] for row in found}
            present = {int(key) for key in np.asarray(index.keys)} if len(index) else set()
            gone = present - wanted
            if held.removed + len(gone) > REBUILT_AT * max(1, len(wanted)):
                index, present, gone = _empty(), set(), set()
                held.removed = held.unsaved = 0
            for key in gone:
                index.remove(key)
            missing = sorted(wanted - present)
            for first in range(0, len(missing), CHUNK):
                _add(index, db, missing[first : first + CHUNK])
        held.index, held.count = index, count
        held.removed += len(gone)
        held.unsaved += len(missing)
        if held.unsaved >= SAVED_FROM and not held.removed:  # no file keeps a deleted voice
            self._save(scope, index)
            held.unsaved = 0
        return index

    def _path(self, scope: Scope) -> Path:
        return self._folder / scope.file

    def _save(self, scope: Scope, index: Index) -> None:
        data = bytes(index.save() or b"")  # a path would get nothing back
        try:
            with files.translated(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
            files.write(self._path(scope), MAGIC + hashlib.sha256(data).digest() + data)
        except StorageError as error:  # it is made again next time
            log.warning("the voice index was not kept: %s", error)

    def _load(self, scope: Scope) -> Index:
        """The index of the file, or an empty one. The hash comes first: the library would read
        beyond the end of a damaged file."""
        try:
            data = self._path(scope).read_bytes()
        except OSError:
            return _empty()
        start = len(MAGIC) + hashlib.sha256().digest_size
        head, body = data[:start], data[start:]
        if head != MAGIC + hashlib.sha256(body).digest():
            log.warning("the voice index %s is damaged and is made anew", scope.name)
            return _empty()
        index = _index_class().restore(body)
        return index if index is not None and index.ndim == DIMENSIONS else _empty()


def _index_class() -> type[Index]:
    # usearch brings a C++ library of its own, whose locales mix with the system's if those were not
    # set up before: whatever then uses them first crashes the process. ONNX Runtime sets them up.
    import onnxruntime  # noqa: F401
    from usearch.index import Index

    return Index


def _empty() -> Index:
    return _index_class()(ndim=DIMENSIONS, metric="ip", dtype="f32")


def _add(index: Index, db: sqlite3.Connection, numbers: list[int]) -> None:
    marks = ",".join("?" * len(numbers))
    rows = db.execute(
        f"SELECT number, vector FROM embeddings WHERE number IN ({marks}) ORDER BY number", numbers
    ).fetchall()
    keys = np.array([row["number"] for row in rows], np.uint64)
    index.add(keys, np.stack([vector(row["vector"]) for row in rows]))
