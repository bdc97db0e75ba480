"""The tables of the library.

The rows are the truth; files hold the sound alone. `pending` names files that must not stay: those
of a voice that is being added, until its rows are there, and those of one that was deleted, until
they are gone. So a crash leaves nothing behind for longer than to the next start, and a database
that was lost takes no sound with it.
"""

from __future__ import annotations

MIGRATIONS = (
    """
CREATE TABLE voices (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    tags TEXT NOT NULL,               -- JSON
    notes TEXT NOT NULL,
    created REAL NOT NULL,            -- Unix time
    changed REAL NOT NULL,
    clip_count INTEGER NOT NULL DEFAULT 0,
    clip_seconds REAL NOT NULL DEFAULT 0,
    sort_name TEXT NOT NULL,          -- folded
    words TEXT NOT NULL               -- folded name, tags, language, notes
);
CREATE INDEX voices_in_order ON voices (owner, sort_name, number);

CREATE TABLE clips (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    voice INTEGER NOT NULL REFERENCES voices ON DELETE CASCADE,
    transcript TEXT NOT NULL,
    language TEXT NOT NULL,
    seconds REAL NOT NULL,
    sha256 TEXT NOT NULL,
    created REAL NOT NULL,
    words TEXT NOT NULL,              -- folded transcript
    UNIQUE (voice, sha256)
);

CREATE TABLE consents (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    voice INTEGER NOT NULL REFERENCES voices ON DELETE CASCADE,
    who TEXT NOT NULL,
    purpose TEXT NOT NULL,
    given REAL NOT NULL,
    clip_hash TEXT NOT NULL
);
CREATE INDEX consents_of ON consents (voice);
CREATE TRIGGER consents_stay_as_they_are BEFORE UPDATE ON consents
BEGIN
    SELECT RAISE(ABORT, 'a consent is never changed');
END;
CREATE TRIGGER consents_stay_with_the_voice BEFORE DELETE ON consents
WHEN EXISTS (SELECT 1 FROM voices WHERE number = OLD.voice)
BEGIN
    SELECT RAISE(ABORT, 'a consent is kept as long as its voice');
END;

-- a number is never used twice, and never for another vector: indexes elsewhere rely on it
CREATE TABLE embeddings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    voice INTEGER NOT NULL REFERENCES voices ON DELETE CASCADE,
    clip INTEGER REFERENCES clips ON DELETE CASCADE,   -- NULL: the mean of the voice
    vector BLOB NOT NULL                               -- 256 float32, little-endian
);
CREATE INDEX embeddings_of_voice ON embeddings (voice, clip);
CREATE INDEX embeddings_of_clip ON embeddings (clip);

CREATE TABLE changes (scope TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE pending (path TEXT PRIMARY KEY);
""",
)
