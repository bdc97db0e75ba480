"""The SQLite file: whole transactions, migrations, threads, and damage that is told."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engines.errors import StorageError
from studio.database import Database

SCHEMA = ["CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT UNIQUE)"]
GROWN = [*SCHEMA, "ALTER TABLE thing ADD COLUMN size INTEGER; UPDATE thing SET size = 1"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "things.sqlite"


@pytest.fixture
def things(path: Path) -> Iterator[Database]:
    database = Database(path, SCHEMA)
    yield database
    database.close()


def names(database: Database) -> list[str]:
    return [row["name"] for row in database.read().execute("SELECT name FROM thing ORDER BY id")]


def add(database: Database, name: str) -> None:
    with database.write() as connection:
        connection.execute("INSERT INTO thing (name) VALUES (?)", (name,))


def test_it_is_in_wal_mode_and_comes_back(things: Database, path: Path) -> None:
    assert things.read().execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    add(things, "a")
    things.close()
    again = Database(path, SCHEMA)
    assert names(again) == ["a"]
    again.close()


def test_a_transaction_is_whole_or_nothing(things: Database) -> None:
    with pytest.raises(RuntimeError), things.write():
        add(things, "inner")  # a part of the outer one
        raise RuntimeError
    assert names(things) == []
    add(things, "a")
    with pytest.raises(sqlite3.IntegrityError):
        add(things, "a")
    assert names(things) == ["a"]


def test_threads_read_and_write_at_once(things: Database) -> None:
    def work(number: int) -> None:
        for step in range(20):
            add(things, f"{number}-{step}")
            assert f"{number}-{step}" in names(things)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(names(things)) == 160


def test_migrations_run_once_and_in_order(things: Database, path: Path) -> None:
    add(things, "a")
    things.close()
    for _ in range(2):
        grown = Database(path, GROWN)
        assert grown.read().execute("SELECT size FROM thing").fetchone()[0] == 1
        grown.close()
    with pytest.raises(StorageError, match=r"newer Vivavoce.*up to 1"):
        Database(path, SCHEMA)


def test_a_migration_that_fails_leaves_the_file_as_it_was(things: Database, path: Path) -> None:
    add(things, "a")
    things.close()
    with pytest.raises(StorageError):
        Database(
            path, [*SCHEMA, "ALTER TABLE thing ADD COLUMN size; INSERT INTO nowhere VALUES (1)"]
        )
    grown = Database(path, GROWN)
    assert names(grown) == ["a"]
    grown.close()


def test_two_that_start_at_once_make_one_file(path: Path) -> None:
    start = threading.Barrier(4)

    def opened(_: int) -> int:
        start.wait()
        database = Database(path, GROWN)
        add(database, str(threading.get_ident()))
        count = len(names(database))
        database.close()
        return count

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(opened, range(4))) == 4


@pytest.mark.parametrize(
    "data", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_damaged_file_is_told_and_left(path: Path, data: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(StorageError, match=r"things\.sqlite is damaged.*backup"):
        Database(path, SCHEMA)
    assert path.read_bytes() == data


def test_damage_in_the_middle_is_found_at_the_start(things: Database, path: Path) -> None:
    with things.write() as connection:
        rows = [(str(number) * 50,) for number in range(2000)]
        connection.executemany("INSERT INTO thing (name) VALUES (?)", rows)
    things.read().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    things.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    with pytest.raises(StorageError, match="damaged"):
        Database(path, SCHEMA)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--data-dir"):
        Database(tmp_path / "file" / "things.sqlite", SCHEMA)


def test_a_full_disk_is_told_and_nothing_is_lost(things: Database) -> None:
    add(things, "a")
    pages = things.read().execute("PRAGMA page_count").fetchone()[0]
    things.read().execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match=r"full.*Free some space"):
        for number in range(1000):
            add(things, f"{number}" * 100)
    assert names(things)[0] == "a"


def test_a_closed_one_says_so(things: Database) -> None:
    things.close()
    things.close()
    with pytest.raises(StorageError, match="closed"):
        things.read()
