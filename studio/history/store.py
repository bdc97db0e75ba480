"""The rows of the takes, and where their files lie."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engines.errors import StorageError
from studio.database import Database
from studio.history.records import EXCERPT, TakeState
from studio.history.schema import TAKES
from studio.jobs import Job

# what the search index is made of
SEARCHED = "number, owner, text, voice, voice_name, engine, language"


class TakeStore:
    """Args:
    folder: made where it is missing.

    Raises:
        StorageError: the folder cannot be used, or the database is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._sounds = folder / "audio"
        self._process = (0, 0.0)  # this one and its start, once a take was entered
        # looking it all through takes the longer the more takes there are: damage is told where it
        # is met
        self.database = Database(folder / "history.sqlite", TAKES, check=False)

    def path(self, take_id: str) -> Path:
        """The wav file of a take; there is none where there was no sound."""
        return self._sounds / take_id[:2] / f"{take_id}.wav"

    def folders(self) -> Sequence[Path]:
        return sorted(self._sounds.iterdir()) if self._sounds.is_dir() else ()

    def select(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """
        Raises:
            StorageError: the database is damaged or cannot be read.
        """
        try:
            return self.database.read().execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"The history cannot be read ({error}).",
                f"It is in {self.database.path}.",
                "Restore that file from a backup, or move it away to start with an empty one.",
            ) from error

    def update(self, number: int, values: Mapping[str, object]) -> bool:
        """Change a row; False where there is none of that number any more.

        Raises:
            StorageError: the disk is full, say.
        """
        changes = ", ".join(f"{name} = ?" for name in values)
        with self.database.write() as connection:
            changed = connection.execute(
                f"UPDATE takes SET {changes} WHERE number = ?", (*values.values(), number)
            )
            return changed.rowcount > 0

    def enter(self, job: Job, take_id: str) -> int:
        """Enter a job as an unfinished take; returns its number.

        Raises:
            StorageError: the disk is full, say.
        """
        if self._process[0] != os.getpid():
            self._process = (os.getpid(), process_start(os.getpid()))
        values = _values(job, take_id, *self._process)
        places = ", ".join("?" * len(values))
        with self.database.write() as connection:
            number = connection.execute(
                f"INSERT INTO takes ({', '.join(values)}) VALUES ({places})",
                tuple(values.values()),
            ).lastrowid
            connection.execute("INSERT INTO texts VALUES (?, ?)", (number, job.plan.text))
        assert number is not None
        return number

    def take_out(self, takes: Sequence[tuple[int, str]]) -> list[sqlite3.Row]:
        """Delete rows by number and id, and note their files as doomed in the same moment.

        Returns:
            What the search index knows them by.
        """
        numbers = [number for number, _ in takes]
        places = ", ".join("?" * len(numbers))
        with self.database.write() as connection:
            rows = connection.execute(
                f"SELECT {SEARCHED} FROM takes JOIN texts USING (number) "
                f"WHERE number IN ({places})",
                numbers,
            ).fetchall()
            connection.executemany(
                "INSERT OR IGNORE INTO doomed VALUES (?)", [(take_id,) for _, take_id in takes]
            )
            connection.execute(f"DELETE FROM takes WHERE number IN ({places})", numbers)
        return rows


def _values(job: Job, take_id: str, process: int, process_started: float) -> dict[str, Any]:
    plan = job.plan
    return {
        "id": take_id,
        "owner": plan.request.owner,
        "state": TakeState.UNFINISHED.value,
        "made": time.time(),
        "process": process,
        "process_started": process_started,
        "door": plan.request.door,
        "excerpt": plan.text[:EXCERPT],
        "characters": len(plan.text),
        "engine": plan.engine,
        "voice": plan.voice.id,
        "voice_name": plan.voice.name,
        "reference": plan.voice.reference,
        "language": plan.language,
        "preset": plan.request.preset or "",
        "device": plan.device,
        "controls": json.dumps(plan.controls.model_dump(mode="json"), ensure_ascii=False),
        "seed": plan.seed,
        "rate": plan.sample_rate,
        "queued": time.monotonic() - job.submitted,
    }


def process_start(number: int) -> float:
    """Unix time; with the number it names one process for good."""
    import psutil

    return psutil.Process(number).create_time()
