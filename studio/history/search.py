"""The search index: which takes hold some words, newest first, in a file that can be made anew.

A word is cut into overlapping threes of letters ("canoe" → can ano noe), so that a part of a word
finds it; in scripts that put no spaces between words, into twos. The index holds these as its
words, and a query is a phrase of them. SQLite goes through such a list from its end, so the newest
hits are found as quickly among 100,000 takes as among 100.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sqlite3
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from engines.errors import InvalidRequest, StorageError
from studio.database import Database
from studio.history.schema import SEARCH
from studio.history.store import SEARCHED, TakeStore

log = logging.getLogger("vivavoce.history")

LONGEST = 20_000  # characters of a text that are looked at
LONGEST_QUERY = 200
BATCH = 50  # takes entered at a time: whoever begins a take meanwhile waits for no more
UNSPACED = (  # Thai, Lao, Burmese, Khmer, kana, Han
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u2e80-\u2fdf\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
WORD = re.compile(rf"[{UNSPACED}]+|[^\W_{UNSPACED}]+")
NEW = f"""
    SELECT {SEARCHED} FROM takes JOIN texts USING (number)
    WHERE number > ? ORDER BY number LIMIT ?
"""
DELETE = "INSERT INTO found (found, rowid, owner, words) VALUES ('delete', ?, ?, ?)"


class SearchIndex:
    """Args:
    path: the file. What is wrong with it is told and mended: it is made anew.
    takes: the rows that it is made of.

    Raises:
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path, takes: TakeStore) -> None:
        self._path = path
        self._takes = takes
        try:
            self._index = Database(path, SEARCH, check=False)
        except StorageError as error:
            log.warning("%s It is made anew.", error)
            _remove(path)
            self._index = Database(path, SEARCH, check=False)

    def find(self, owner: str | None, query: str, before: int, count: int) -> list[int]:
        """Numbers of the newest takes that hold every word of a query, in falling order. Some may
        be gone by now.

        Args:
            owner: None for anybody's, which is quicker.
            before: only lower numbers.

        Raises:
            InvalidRequest: the query is too long.
            StorageError: the index was damaged.
        """
        asked = _asked(owner, query)
        if not asked:
            return []
        self.catch_up()
        try:
            rows = self._index.read().execute(
                "SELECT rowid FROM found WHERE found MATCH ? AND rowid < ? "
                "ORDER BY rowid DESC LIMIT ?",
                (asked, before, count),
            )
            return [row[0] for row in rows]
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def catch_up(self) -> None:
        """Enter what was made since.

        Raises:
            StorageError: it cannot be written.
        """
        while self._enter_batch() == BATCH:
            pass

    def _enter_batch(self) -> int:
        try:
            reached = self._index.read().execute("SELECT number FROM reached").fetchone()[0]
            rows = self._takes.select(NEW, (reached, BATCH))
            if not rows:
                return 0
            entries = [(row["number"], _owner_word(row["owner"]), _words(row)) for row in rows]
            with self._index.write() as connection:
                at = connection.execute("SELECT number FROM reached").fetchone()[0]
                connection.executemany(
                    "INSERT INTO found (rowid, owner, words) VALUES (?, ?, ?)",
                    [entry for entry in entries if entry[0] > at],  # another process may have been
                )
                connection.execute("UPDATE reached SET number = max(number, ?)", (entries[-1][0],))
            return len(rows)
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def remove(self, rows: Sequence[sqlite3.Row]) -> None:
        """Forget takes, by their rows as `NEW` gives them.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            with self._index.write() as connection:
                reached = connection.execute("SELECT number FROM reached").fetchone()[0]
                entries = [
                    (row["number"], _owner_word(row["owner"]), _words(row))
                    for row in rows
                    if row["number"] <= reached
                ]
                connection.executemany(DELETE, entries)
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def close(self) -> None:
        self._index.close()

    def _damaged(self, error: sqlite3.DatabaseError) -> StorageError:
        self._index.close()
        _remove(self._path)
        self._index = Database(self._path, SEARCH, check=False)
        return StorageError(
            f"The search index of the history was damaged ({error}).",
            "The takes themselves are not touched; the index is being made anew.",
            "Search again in a minute.",
        )


def parts(text: str) -> Iterator[list[str]]:
    """The words of a text as the index knows them: each a list of overlapping parts."""
    for word in WORD.findall(_folded(text)):
        size = 2 if _unspaced(word) else 3
        yield [word[at : at + size] for at in range(max(1, len(word) - size + 1))]


def _unspaced(word: str) -> bool:
    return re.match(f"[{UNSPACED}]", word) is not None


def _folded(text: str) -> str:
    """Without case and accents: naïve is found as NAIVE."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in plain if unicodedata.category(sign) != "Mn")


def _words(row: sqlite3.Row) -> str:
    names = (row["voice"], row["voice_name"], row["engine"], row["language"])
    entered = []
    for word in parts(" ".join((row["text"][:LONGEST], *names))):
        entered += word
        if _unspaced(word[0]) and len(word[-1]) > 1:
            entered.append(word[-1][1:])  # the last sign: each of them begins a part then
    return " ".join(entered)


def _owner_word(owner: str) -> str:
    return hashlib.blake2b(owner.encode(), digest_size=8).hexdigest()


def _asked(owner: str | None, query: str) -> str:
    """A query in the index's language; "" where it holds nothing to look for."""
    if len(query) > LONGEST_QUERY:
        raise InvalidRequest(
            f"The search has {len(query):,} characters.",
            f"It may have {LONGEST_QUERY}.",
            "Search for a few words of the text.",
            param="q",
        )
    phrases = []
    for word in parts(query):
        one_sign = _unspaced(word[0]) and len(word[0]) == 1
        phrases.append(f'"{" ".join(word)}"' + (" *" if one_sign else ""))
    if not phrases:
        return ""
    words = f"words : ({' AND '.join(phrases)})"
    return words if owner is None else f'{words} AND owner : "{_owner_word(owner)}"'


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
