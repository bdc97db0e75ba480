"""The history: what was spoken, kept and found again."""

from __future__ import annotations

import logging
import re
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import StorageError
from studio.encode import Format, encode_file
from studio.history import sound
from studio.history.recorder import Recorder
from studio.history.records import TakeRecord, UnknownTake, of_row, tags_of
from studio.history.retention import Keeper, Likeness, Totals
from studio.history.search import SearchIndex
from studio.history.store import TakeStore
from studio.jobs import Job, SentenceTiming
from studio.loudness import LoudnessMeter, hop_size

log = logging.getLogger("vivavoce.history")

BYTES_KEPT = 5 * 1000**3
TAKES_KEPT = 100_000
PAGE = 20
ID = re.compile(r"[\w-]{22}", re.ASCII)
NEWEST = 1 << 62  # above every number
BLOCK = 1 << 16  # frames looked at together
HEARD = 600.0  # seconds of a take that are measured


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list, newest first; `before` is where the next one begins, None at the end."""

    takes: tuple[TakeRecord, ...]
    before: int | None


@dataclass(frozen=True, slots=True)
class Sameness:
    """Whether two takes are the same sample for sample.

    Attributes:
        differs_at: seconds to the first sample that differs; None where they are the same.
    """

    differs_at: float | None

    @property
    def same(self) -> bool:
        return self.differs_at is None


class History:
    """Every method may be called from any thread. Those that take an owner never show another
    owner's takes; those that take a record, or an id alone, count on its having been given to
    whoever asks: ids cannot be guessed.

    Args:
        folder: made where it is missing.
        max_bytes, max_takes: no more is kept; the oldest takes that are not pinned go.
        likeness: compares a take with the reference of its library voice.
        tend: False for a short look: nothing is put in order meanwhile.

    Raises:
        StorageError: the folder cannot be used, or the database is damaged.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int = BYTES_KEPT,
        max_takes: int = TAKES_KEPT,
        *,
        likeness: Likeness | None = None,
        tend: bool = True,
    ) -> None:
        self._store = TakeStore(folder)
        self._index = SearchIndex(folder / "search.sqlite", self._store)
        self._keeper = Keeper(self._store, self._index, max_bytes, max_takes, likeness)
        self._keeper.mend()
        if tend:
            self._keeper.start()

    # recording

    def begin(self, job: Job) -> Recorder:
        """Enter a job as unfinished and keep what it makes. Where that cannot be, the recorder says
        so and keeps nothing."""
        take_id = _new_id()
        try:
            return Recorder(self, job, take_id, self._store.enter(job, take_id))
        except StorageError as error:
            log.warning("%s", error)
            return Recorder(self, job, "", 0, f"This take is not kept in the history. {error}")

    def ended(self, number: int, take_id: str, values: dict[str, object]) -> None:
        """Note how a take ended, and let go of what there is of it if it was deleted meanwhile."""
        if not self._keeper.mark(number, values):
            sound.remove(self.path(take_id))

    def forget(self, number: int, take_id: str) -> None:
        """Delete a take as if it had never been."""
        self._keeper.forget([(number, take_id)])

    # the list

    def page(
        self, owner: str, query: str = "", before: int | None = None, limit: int = PAGE
    ) -> Page:
        """A part of an owner's list, newest first.

        Args:
            query: words, or parts of words, that all have to be in the text or in the names of
                voice, engine and language.
            before: what the page before gave; None begins with the newest.

        Raises:
            InvalidRequest: the query is too long.
            StorageError: the database is damaged.
        """
        newest = NEWEST if before is None else before
        if query.strip():
            rows = self._search(owner, query, newest, limit + 1)
        else:
            rows = self._store.select(
                "SELECT * FROM takes WHERE owner = ? AND number < ? ORDER BY number DESC LIMIT ?",
                (owner, newest, limit + 1),
            )
        takes = tuple(of_row(row) for row in rows[:limit])
        return Page(takes, takes[-1].number if len(rows) > limit else None)

    def _search(self, owner: str, query: str, before: int, count: int) -> list[sqlite3.Row]:
        others = self._store.select("SELECT 1 FROM totals WHERE owner <> ? LIMIT 1", (owner,))
        found: list[sqlite3.Row] = []
        while len(found) < count:
            numbers = self._index.find(owner if others else None, query, before, count)
            found += self._store.select(
                f"SELECT * FROM takes WHERE number IN ({', '.join('?' * len(numbers))}) "
                "AND owner = ? ORDER BY number DESC",
                (*numbers, owner),
            )
            if len(numbers) < count:
                break
            before = numbers[-1]
        return found[:count]

    def get(self, owner: str, take_id: str) -> TakeRecord:
        """
        Raises:
            UnknownTake: the owner has none of that id.
        """
        take = self.find(take_id)
        if take.owner != owner:
            raise UnknownTake(take_id)
        return take

    def find(self, take_id: str) -> TakeRecord:
        """A take by its id alone, for whom knowing the id is enough.

        Raises:
            UnknownTake: there is none of that id.
        """
        known = isinstance(take_id, str) and ID.fullmatch(take_id)
        rows = known and self._store.select("SELECT * FROM takes WHERE id = ?", (take_id,))
        if not rows:
            raise UnknownTake(take_id)
        return of_row(rows[0])

    def text(self, take: TakeRecord) -> str:
        """The whole text of a take."""
        rows = self._store.select("SELECT text FROM texts WHERE number = ?", (take.number,))
        if not rows:
            raise UnknownTake(take.id)
        return str(rows[0]["text"])

    def totals(self) -> Totals:
        return self._keeper.totals()

    def count(self, owner: str) -> int:
        """How many takes an owner has."""
        rows = self._store.select("SELECT takes FROM totals WHERE owner = ?", (owner,))
        return int(rows[0]["takes"]) if rows else 0

    # one take

    def pin(self, owner: str, take_id: str, pinned: bool) -> TakeRecord:
        """Keep a take whatever room is needed, or no longer.

        Raises:
            UnknownTake: the owner has none of that id.
        """
        self._store.update(self.get(owner, take_id).number, {"pinned": int(pinned)})
        self._keeper.wake()
        return self.get(owner, take_id)

    def delete(self, owner: str, take_id: str) -> None:
        """Delete a take, its files at once.

        Raises:
            UnknownTake: the owner has none of that id.
        """
        take = self.get(owner, take_id)
        self.forget(take.number, take.id)

    def path(self, take_id: str) -> Path:
        """The wav file of a take; there is none where there was no sound."""
        return self._store.path(take_id)

    def pcm(self, take: TakeRecord, start: int, count: int) -> bytes:
        """Up to `count` frames from `start` as 16-bit little-endian samples; fewer at the end.

        Raises:
            StorageError: the file cannot be read.
        """
        return sound.pcm(self.path(take.id), take.frames, start, count) if take.frames else b""

    def blocks(self, take: TakeRecord) -> Iterator[np.ndarray]:
        """The sound as float32 blocks.

        Raises:
            StorageError: the file cannot be read.
        """
        return sound.blocks(self.path(take.id), take.frames) if take.frames else iter(())

    def peaks(self, take: TakeRecord, bars: int) -> list[float]:
        """Loudest sample, 0 to 1, at `bars` evenly spaced places."""
        return sound.peaks(self.path(take.id), take.frames, bars) if take.frames else []

    def timings(self, take: TakeRecord) -> list[SentenceTiming]:
        """Every sentence that was finished, for captions."""
        return sound.timings(self.path(take.id))

    def export(self, take: TakeRecord, fmt: Format, path: Path) -> None:
        """Write a take in any format; the file is whole or not there.

        Raises:
            StorageError: it cannot be written, or the take's sound not read.
        """
        encode_file(path, fmt, take.sample_rate, self.blocks(take), tags_of(take))

    def loudness(self, take: TakeRecord) -> float:
        """Integrated LUFS of the first `HEARD` seconds; -inf where there is nothing but silence."""
        meter, hop = LoudnessMeter(take.sample_rate), hop_size(take.sample_rate)
        frames = min(take.frames, round(HEARD * take.sample_rate))
        step = BLOCK - BLOCK % hop
        for start in range(0, frames, step):
            pcm = self.pcm(take, start, min(step, frames - start))
            samples = sound.to_float(pcm)
            whole = np.pad(samples, (0, -samples.size % hop))
            meter.feed(whole.reshape(-1, hop), 1)
        return meter.integrated()

    def compare(self, one: TakeRecord, other: TakeRecord) -> Sameness:
        """Look at two takes sample by sample.

        Raises:
            StorageError: a file cannot be read.
        """
        if one.sample_rate != other.sample_rate:
            return Sameness(0.0)
        for start in range(0, max(one.frames, other.frames), BLOCK):
            pair = [np.frombuffer(self.pcm(take, start, BLOCK), "<i2") for take in (one, other)]
            length = min(samples.size for samples in pair)
            differing = np.flatnonzero(pair[0][:length] != pair[1][:length])
            if differing.size or pair[0].size != pair[1].size:
                first = int(differing[0]) if differing.size else length
                return Sameness((start + first) / one.sample_rate)
        return Sameness(None)

    def close(self) -> None:
        """End the thread and the connections. Harmless a second time."""
        self._keeper.stop()
        self._index.close()
        self._store.database.close()


def _new_id() -> str:
    """One that nobody can guess, and that no command line takes for a flag."""
    while (made := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return made
