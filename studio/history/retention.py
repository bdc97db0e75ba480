"""Order among the takes: room for new ones, files without a take, takes without an end."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from engines.errors import StorageError, VivavoceError
from studio.history import sound
from studio.history.records import TakeRecord, TakeState, of_row, tags_of
from studio.history.search import SearchIndex
from studio.history.store import TakeStore, process_start

log = logging.getLogger("vivavoce.history")

REST = 0.5  # seconds before a round, so that a burst of takes is dealt with together
SWEEP_AFTER = 10.0  # seconds from the start, when the program has come up
SWEEP_REST = 0.01  # seconds between two folders
BATCH = 100  # takes that make room at a time
COMPARED = 30.0  # seconds of a take that are compared with the reference
START_MARGIN = 2.0  # seconds by which the system's figures for the start of a process differ

Likeness = Callable[[str, str, np.ndarray, int], float]
"""Owner, library voice, float32 [T], Hz → how alike the speakers are, -1 to 1."""


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is, and how much is kept at most, of everybody's."""

    takes: int
    bytes: int
    max_takes: int
    max_bytes: int


class Keeper:
    """Keeps order; in a thread of its own once it was started, at once where a person asks.

    Args:
        likeness: compares a take with the reference of its library voice; None leaves that out.
    """

    def __init__(
        self,
        store: TakeStore,
        index: SearchIndex,
        max_bytes: int,
        max_takes: int,
        likeness: Likeness | None,
    ) -> None:
        self._store = store
        self._index = index
        self._max_bytes = max_bytes
        self._max_takes = max_takes
        self._likeness = likeness
        self._late: list[tuple[int, Mapping[str, object]]] = []  # that the full disk refused
        self._compared: set[int] = set()
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        self._wanted.set()
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._wanted.set()

    def stop(self) -> None:
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        chores = (self.mark_late, self.clear_doomed, self.make_room, self._index.catch_up,
                  self.compare)  # fmt: skip
        sweep_at = time.monotonic() + SWEEP_AFTER
        while not self._stopping.is_set():
            self._wanted.wait(max(0.0, sweep_at - time.monotonic()) if sweep_at else None)
            if self._wanted.is_set():
                self._stopping.wait(REST)
                self._wanted.clear()
                for chore in chores:
                    if not self._stopping.is_set():
                        self._guarded(chore)
            if sweep_at and time.monotonic() >= sweep_at and not self._stopping.is_set():
                sweep_at = 0.0
                self._guarded(lambda: self.sweep(SWEEP_REST))

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except VivavoceError as error:
            log.warning("%s", error)
        except Exception:
            log.exception("the history could not be put in order")

    # room

    def totals(self) -> Totals:
        (row,) = self._store.select(
            "SELECT coalesce(sum(takes), 0) AS takes, coalesce(sum(bytes), 0) AS bytes FROM totals"
        )
        return Totals(row["takes"], row["bytes"], self._max_takes, self._max_bytes)

    def make_room(self) -> None:
        """Delete the oldest takes that are neither pinned nor in work, until there are few enough.

        Raises:
            StorageError: the folder cannot be written to.
        """
        while True:
            now = self.totals()
            surplus, excess = now.takes - now.max_takes, now.bytes - now.max_bytes
            going: list[tuple[int, str]] = []
            for row in self._oldest() if surplus > 0 or excess > 0 else ():
                if surplus <= 0 and excess <= 0:
                    break
                going.append((row["number"], row["id"]))
                surplus, excess = surplus - 1, excess - row["bytes"]
            if not going:
                return
            self.forget(going)

    def _oldest(self) -> Sequence[sqlite3.Row]:
        return self._store.select(
            "SELECT number, id, bytes FROM takes INDEXED BY takes_loose "
            "WHERE pinned = 0 AND state <> 'unfinished' ORDER BY number LIMIT ?",
            (BATCH,),
        )

    def forget(self, takes: Sequence[tuple[int, str]]) -> None:
        """Delete takes by number and id. Their rows go first and are noted as doomed, so that a
        sudden end in between leaves no file behind for good.

        Raises:
            StorageError: the folder cannot be written to.
        """
        rows = self._store.take_out(takes)
        self.clear_doomed()
        self._index.remove(rows)

    def clear_doomed(self) -> None:
        """Delete the files of takes that have no row any more."""
        gone = [row["id"] for row in self._store.select("SELECT id FROM doomed")]
        for take_id in gone:
            sound.remove(self._store.path(take_id))
        if gone:
            with self._store.database.write() as connection:
                connection.executemany(
                    "DELETE FROM doomed WHERE id = ?", [(take_id,) for take_id in gone]
                )

    # ends

    def mark(self, number: int, values: Mapping[str, object]) -> bool:
        """Note how a take ended; where the disk is full, once it no longer is.

        Returns:
            False where the take was deleted meanwhile.
        """
        try:
            return self._store.update(number, values)
        except StorageError as error:
            log.warning("the end of a take could not be noted yet: %s", error)
            self._late.append((number, values))
            return True
        finally:
            self.wake()

    def mark_late(self) -> None:
        while self._late:
            self._store.update(*self._late[0])
            self._late.pop(0)

    def mend(self) -> None:
        """Mark what a program that ended badly left unfinished; its sound stays."""
        for row in self._store.select(
            "SELECT * FROM takes INDEXED BY takes_open WHERE state = 'unfinished'"
        ):
            if _alive(row["process"], row["process_started"]):
                continue
            take = of_row(row)
            there = sound.mend(self._store.path(take.id), take.sample_rate, tags_of(take))
            values = {
                "state": TakeState.BROKEN_OFF.value,
                "frames": there.frames,
                "sentences": there.sentences,
                "bytes": there.bytes,
                "error": "The program ended while this take was made.",
            }
            self._store.update(take.number, values)

    def sweep(self, rest: float = 0.0) -> None:
        """Delete files that no take has, unless they are older than this database: then they
        belong to one that was here before and may come back.

        Args:
            rest: seconds between two folders.
        """
        (born,) = self._store.select("SELECT at FROM born")
        for folder in self._store.folders():
            for file in folder.iterdir():
                with contextlib.suppress(FileNotFoundError):  # deleted at this moment
                    known = self._store.select("SELECT 1 FROM takes WHERE id = ?", (file.stem,))
                    if not known and file.stat().st_mtime > born["at"]:
                        file.unlink()
            if self._stopping.wait(rest):
                return

    # likeness

    def compare(self) -> None:
        """Note how alike the speakers of takes and of their references are."""
        if self._likeness is None:
            return
        for row in self._store.select(
            "SELECT * FROM takes INDEXED BY takes_to_compare "
            "WHERE reference <> '' AND similarity IS NULL AND state = 'done'"
        ):
            take = of_row(row)
            if take.number not in self._compared and take.frames and not self._stopping.is_set():
                self._compared.add(take.number)  # whatever goes wrong with it, once is enough
                self._guarded(partial(self._compare, take, self._likeness))

    def _compare(self, take: TakeRecord, likeness: Likeness) -> None:
        count = round(COMPARED * take.sample_rate)
        heard = sound.pcm(self._store.path(take.id), take.frames, 0, count)
        like = likeness(take.owner, take.reference, sound.to_float(heard), take.sample_rate)
        self._store.update(take.number, {"similarity": float(like)})


def _alive(number: int, started: float) -> bool:
    import psutil

    try:
        running = psutil.Process(number).status() != psutil.STATUS_ZOMBIE
        return running and abs(process_start(number) - started) < START_MARGIN
    except psutil.Error:
        return False
