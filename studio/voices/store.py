"""The library's rows. Every function works in the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from studio.speaker import DIMENSIONS, unit
from studio.voices.clips import Draft
from studio.voices.errors import no_such_voice
from studio.voices.fields import fold, one_line
from studio.voices.files import ID
from studio.voices.records import Consent, LibraryVoice, VoiceClip, VoicePage, VoiceSummary

COLUMNS = (
    "number, id, owner, name, language, tags, notes, created, changed, clip_count, clip_seconds"
)
CLIP_COLUMNS = "id, transcript, language, seconds, sha256, created"
CLIPS = f"SELECT {CLIP_COLUMNS} FROM clips"
QUERY_WORDS = 12  # of a search; more narrow nothing down


@dataclass(frozen=True, slots=True)
class Fields:
    """What a person says about a voice, in its clean form."""

    name: str
    language: str
    tags: tuple[str, ...]
    notes: str

    def row(self) -> tuple[str, ...]:
        words = fold(" ".join((self.name, self.language, *self.tags, self.notes)))
        tags = json.dumps(self.tags, ensure_ascii=False)
        return (self.name, self.language, tags, self.notes, fold(self.name), words)


def number_of(db: sqlite3.Connection, owner: str, voice_id: str) -> int:
    """
    Raises:
        NoSuchVoice: this owner has none of that id.
    """
    found = None
    if ID.fullmatch(voice_id):  # SQLite takes no half surrogate pairs, say
        found = db.execute(
            "SELECT number FROM voices WHERE id = ? AND owner = ?", (voice_id, owner)
        ).fetchone()
    if found is None:
        raise no_such_voice(voice_id)
    number: int = found["number"]
    return number


def voice(db: sqlite3.Connection, owner: str, voice_id: str) -> LibraryVoice:
    """
    Raises:
        NoSuchVoice: this owner has none of that id.
    """
    number = number_of(db, owner, voice_id)
    row = db.execute(f"SELECT {COLUMNS} FROM voices WHERE number = ?", (number,)).fetchone()
    consents = db.execute("SELECT * FROM consents WHERE voice = ? ORDER BY number", (number,))
    return LibraryVoice(
        **_summary_fields(row),
        clips=clips(db, number),
        consents=tuple(
            Consent(c["who"], c["purpose"], _time(c["given"]), c["clip_hash"]) for c in consents
        ),
    )


def clips(db: sqlite3.Connection, voice: int) -> tuple[VoiceClip, ...]:
    rows = db.execute(f"{CLIPS} WHERE voice = ? ORDER BY number", (voice,))
    return tuple(map(_clip, rows))


def of_embeddings(
    db: sqlite3.Connection, owner: str, numbers: Sequence[int]
) -> dict[int, VoiceSummary]:
    """The owner's voices by the numbers of their mean embeddings; others are left out."""
    marks = ",".join("?" * len(numbers))
    rows = db.execute(
        f"SELECT e.number AS embedding, v.* FROM embeddings e JOIN voices v ON v.number = e.voice"
        f" WHERE e.number IN ({marks}) AND v.owner = ?",
        [*numbers, owner],
    )
    return {row["embedding"]: summary(row) for row in rows}


def clip_of_embedding(db: sqlite3.Connection, number: int) -> VoiceClip | None:
    row = db.execute(
        f"{CLIPS} WHERE number = (SELECT clip FROM embeddings WHERE number = ?)", (number,)
    ).fetchone()
    return _clip(row) if row else None


def mean(db: sqlite3.Connection, voice: int) -> np.ndarray:
    """float32 [256], of length 1."""
    row = db.execute(
        "SELECT vector FROM embeddings WHERE voice = ? AND clip IS NULL", (voice,)
    ).fetchone()
    return vector(row["vector"])


def page(
    db: sqlite3.Connection, owner: str, query: str, limit: int | None, offset: int
) -> VoicePage:
    """Voices by name; those whose name holds the query come first.

    Every word of the query has to be a part of a word of the name, tags, language, notes or of a
    transcript. A scan of the folded text finds parts of words in every script, which a full-text
    index does not; for 10,000 utterances it takes milliseconds.
    """
    words = fold(one_line(query)).split()[:QUERY_WORDS]
    where = " AND ".join(["owner = ?", *(_HOLDS for _ in words)])
    given: list[object] = [owner, *(word for word in words for _ in range(2))]
    total: int = db.execute(f"SELECT count(*) FROM voices v WHERE {where}", given).fetchone()[0]
    rows = db.execute(
        f"SELECT {COLUMNS} FROM voices v WHERE {where}"
        f" ORDER BY {'instr(sort_name, ?) = 0, ' if words else ''}sort_name, number"
        " LIMIT ? OFFSET ?",
        [*given, *([" ".join(words)] if words else []), -1 if limit is None else limit, offset],
    )
    return VoicePage(tuple(summary(row) for row in rows), total)


_HOLDS = (
    "(instr(v.words, ?) > 0 OR EXISTS"
    " (SELECT 1 FROM clips c WHERE c.voice = v.number AND instr(c.words, ?) > 0))"
)


def add_voice(db: sqlite3.Connection, voice_id: str, owner: str, given: Fields, now: float) -> int:
    added = db.execute(
        "INSERT INTO voices (id, owner, created, changed, name, language, tags, notes, sort_name,"
        " words) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (voice_id, owner, now, now, *given.row()),
    )
    assert added.lastrowid is not None
    return added.lastrowid


def change_voice(db: sqlite3.Connection, voice: int, given: Fields, now: float) -> None:
    db.execute(
        "UPDATE voices SET changed = ?, name = ?, language = ?, tags = ?, notes = ?,"
        " sort_name = ?, words = ? WHERE number = ?",
        (now, *given.row(), voice),
    )


def change_clip(
    db: sqlite3.Connection, voice: int, clip_id: str, transcript: str, language: str, now: float
) -> bool:
    """False where the voice has no such clip."""
    if not ID.fullmatch(clip_id):
        return False
    changed = db.execute(
        "UPDATE clips SET transcript = ?, words = ?, language = ? WHERE id = ? AND voice = ?",
        (transcript, fold(transcript), language, clip_id, voice),
    )
    db.execute("UPDATE voices SET changed = ? WHERE number = ?", (now, voice))
    return changed.rowcount > 0


def add_clips(
    db: sqlite3.Connection,
    voice: int,
    drafts: Iterable[Draft],
    consents: Iterable[Consent],
    now: float,
) -> None:
    for clip in drafts:
        added = db.execute(
            "INSERT INTO clips (id, voice, transcript, language, seconds, sha256, created, words)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(clip.id, voice, clip.transcript, clip.language, clip.seconds, clip.sha256),
                *(now, fold(clip.transcript)),
            ),
        )
        _add_embedding(db, voice, added.lastrowid, clip.embedding)
    db.executemany(
        "INSERT INTO consents (voice, who, purpose, given, clip_hash) VALUES (?, ?, ?, ?, ?)",
        (
            (voice, c.who, c.purpose, c.when.timestamp() if c.when else now, c.clip_hash)
            for c in consents
        ),
    )


def refresh(db: sqlite3.Connection, voice: int, now: float) -> None:
    """Bring a voice's mean embedding, count and length up to date with its clips."""
    db.execute("DELETE FROM embeddings WHERE voice = ? AND clip IS NULL", (voice,))
    rows = db.execute("SELECT vector FROM embeddings WHERE voice = ?", (voice,))
    _add_embedding(db, voice, None, unit(np.mean([vector(row["vector"]) for row in rows], axis=0)))
    db.execute(
        "UPDATE voices SET changed = ?1, (clip_count, clip_seconds) ="
        " (SELECT count(*), total(seconds) FROM clips WHERE voice = ?2) WHERE number = ?2",
        (now, voice),
    )


def summary(row: sqlite3.Row) -> VoiceSummary:
    return VoiceSummary(**_summary_fields(row))


def vector(blob: bytes) -> np.ndarray:
    """float32 [256]"""
    return np.frombuffer(blob, "<f4", DIMENSIONS)


def changed(db: sqlite3.Connection, scopes: Sequence[str]) -> None:
    """Count a change of each scope's embeddings."""
    db.executemany(
        "INSERT INTO changes VALUES (?, 1) ON CONFLICT (scope) DO UPDATE SET count = count + 1",
        ((scope,) for scope in scopes),
    )


def _add_embedding(
    db: sqlite3.Connection, voice: int, clip: int | None, embedding: np.ndarray
) -> None:
    db.execute(
        "INSERT INTO embeddings (voice, clip, vector) VALUES (?, ?, ?)",
        (voice, clip, embedding.astype("<f4").tobytes()),
    )


def _summary_fields(row: sqlite3.Row) -> dict[str, Any]:
    values: dict[str, Any] = {name: row[name] for name in COLUMNS.split(", ") if name != "number"}
    values["tags"] = tuple(json.loads(values["tags"]))
    values["created"] = _time(values["created"])
    values["changed"] = _time(values["changed"])
    return values


def _clip(row: sqlite3.Row) -> VoiceClip:
    values = {name: row[name] for name in CLIP_COLUMNS.split(", ")}
    values["created"] = _time(values["created"])
    return VoiceClip(**values)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
