"""The library's database: consistent reads, writes that last, deletions that leave no trace."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from engines.errors import StorageError
from studio.database import WAIT, Database
from studio.voices.schema import MIGRATIONS

PATIENCE = 1.0  # seconds that the end of a deletion waits for readers


class Rows:
    """
    Raises:
        StorageError: from the constructor and every method, where the file is damaged or cannot be
            used; it is left as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = Database(path, MIGRATIONS)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Everything in the block sees one state."""
        db = self._database.read()
        if db.in_transaction:
            yield db
            return
        try:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StorageError(
                f"{self._path} could not be read ({error}).",
                "Nothing in it was changed.",
                "Try again; if it stays, restore the file from a backup.",
            ) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing. Files are put in place and removed in such blocks too: rows
        must not be lost in a power cut that the files outlive, hence FULL."""
        db = self._database.read()
        if not db.in_transaction:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = ON")
        with self._database.write() as db:
            yield db

    def forget_deleted(self) -> None:
        """Take what was deleted out of the write-ahead log too, unless somebody reads for long; the
        next write does it then."""
        db = self._database.read()
        db.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
        try:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            pass  # the row says that it is busy; an error is of the disk, and the next write's
        finally:
            db.execute(f"PRAGMA busy_timeout = {int(WAIT * 1000)}")

    def close(self) -> None:
        self._database.close()
