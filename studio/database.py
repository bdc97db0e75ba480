"""One SQLite file: opened, checked, migrated; read by any thread, written by one at a time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from engines.errors import StorageError

WAIT = 30.0  # seconds for another process that writes
PAUSE = 0.01  # seconds before it is tried again
PRAGMAS = (
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    f"PRAGMA busy_timeout = {int(WAIT * 1000)}",
)


def _into_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait with this where another connection is about the same: it says "locked"
    at once, whatever the timeout."""
    until = time.monotonic() + WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(PAUSE)
        else:
            return


class Database:
    """A file in WAL mode. Each thread has a connection of its own.

    Args:
        path: made where it is missing, as is its folder.
        migrations: scripts; the one at i brings a file of `user_version` i to i + 1.
        check: look the whole file through for damage, which takes the longer the larger it is;
            without, damage shows where it is met.

    Raises:
        StorageError: the file is damaged, is of a newer version, or cannot be opened. It is left as
            it is.
    """

    def __init__(self, path: Path, migrations: Sequence[str], *, check: bool = True) -> None:
        self.path = path
        self._local = threading.local()
        self._lock = threading.RLock()  # one writer of this process at a time
        self._open: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._closed = False
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = self.read()
            if check:
                damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if damage != "ok":
                    raise sqlite3.DatabaseError(damage)
            self._migrate(connection, migrations)

    def read(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode; rows are `sqlite3.Row`.

        Raises:
            StorageError: the database was closed, or cannot be opened any more.
        """
        if self._closed:
            raise StorageError(f"{self.path.name} was closed.", "", "Start the program again.")
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with self._translated():
                connection = sqlite3.connect(
                    self.path,
                    timeout=WAIT,
                    isolation_level=None,
                    check_same_thread=False,  # for `close`; else each stays with its thread
                    factory=_Connection,
                )
                connection.row_factory = sqlite3.Row
                _into_wal(connection)
                for pragma in PRAGMAS:
                    connection.execute(pragma)
            self._local.connection = connection
            self._open.add(connection)
        return connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is written when the block ends well, else nothing. In a block of
        the same thread it is a part of the outer one.

        Raises:
            StorageError: it could not be written: a full disk, say.
        """
        with self._lock, self._translated():
            connection = self.read()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # some errors have rolled back already
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close every thread's connection. Harmless a second time."""
        with self._lock:
            self._closed = True
            for connection in list(self._open):
                connection.close()
            self._local = threading.local()

    def _migrate(self, connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
        newest = len(migrations)
        if (found := _version(connection)) > newest:
            raise StorageError(
                f"{self.path} was written by a newer Vivavoce (its version is {found}).",
                f"This one reads versions up to {newest}.",
                "Update the program, or start with another --data-dir.",
            )
        # two processes may start at once: the second then finds nothing left to do
        while (at := _version(connection)) < newest:
            step = f"{migrations[at]};\nPRAGMA user_version = {at + 1};"
            try:
                connection.executescript(f"BEGIN IMMEDIATE;\n{step}\nCOMMIT;")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if _version(connection) == at:
                    raise

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors in words that say what to do."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # of the rows and not of the file: who writes them knows what it means
        except sqlite3.DatabaseError as error:
            raise _explained(self.path, error) from error
        except OSError as error:
            raise _unusable(self.path, error.strerror or str(error)) from error


class _Connection(sqlite3.Connection):
    """One that a weak set can hold."""


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _explained(path: Path, error: sqlite3.DatabaseError) -> StorageError:
    said = str(error)
    if "full" in said or "I/O" in said or "readonly" in said or "unable to open" in said:
        return _unusable(path, said)
    if "locked" in said:
        return StorageError(
            f"{path} is being written by another program.",
            f"It was waited for, for {WAIT:.0f} s.",
            "Close the other program, or start with another --data-dir.",
        )
    if isinstance(error, (sqlite3.OperationalError, sqlite3.ProgrammingError)):
        return StorageError(f"{path} could not be used: {said}.", "", "Start the program again.")
    return StorageError(
        f"{path} is damaged ({said}).",
        "Nothing in it was changed.",
        "Restore it from a backup, or move it away to start with an empty one.",
    )


def _unusable(path: Path, why: str) -> StorageError:
    return StorageError(
        f"{path} cannot be read or written ({why}).",
        "Vivavoce keeps its records there.",
        "Free some space or put its rights in order, or give another folder with --data-dir.",
    )
