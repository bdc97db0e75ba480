"""The tables of the history, and those of its search index, which can be made anew from them."""

from __future__ import annotations

# Texts stand in a table of their own, so that a page of the list reads few bytes however long they
# are. Numbers are never given twice: a position in the list stays what it was. What is summed up
# over all takes is kept by triggers, since counting 100,000 rows takes longer than showing 20.
TAKES = (
    """
    CREATE TABLE takes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        state TEXT NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0,
        made REAL NOT NULL,
        process INTEGER NOT NULL,
        process_started REAL NOT NULL,
        door TEXT NOT NULL,
        excerpt TEXT NOT NULL,
        characters INTEGER NOT NULL,
        engine TEXT NOT NULL,
        voice TEXT NOT NULL,
        voice_name TEXT NOT NULL,
        reference TEXT NOT NULL,
        language TEXT NOT NULL,
        preset TEXT NOT NULL,
        device TEXT NOT NULL,
        controls TEXT NOT NULL,
        seed INTEGER NOT NULL,
        rate INTEGER NOT NULL,
        queued REAL NOT NULL,
        first_sound REAL,
        whole REAL,
        frames INTEGER NOT NULL DEFAULT 0,
        sentences INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        similarity REAL,
        error TEXT NOT NULL DEFAULT '',
        lost TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE texts (
        number INTEGER PRIMARY KEY REFERENCES takes ON DELETE CASCADE,
        text TEXT NOT NULL
    );
    CREATE INDEX takes_of_owner ON takes (owner, number);
    CREATE INDEX takes_loose ON takes (number) WHERE pinned = 0;
    CREATE INDEX takes_open ON takes (number) WHERE state = 'unfinished';
    CREATE INDEX takes_to_compare ON takes (number)
        WHERE reference <> '' AND similarity IS NULL AND state = 'done';

    CREATE TABLE doomed (id TEXT PRIMARY KEY) WITHOUT ROWID;

    CREATE TABLE totals (
        owner TEXT PRIMARY KEY,
        takes INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TRIGGER take_begun AFTER INSERT ON takes BEGIN
        INSERT INTO totals VALUES (new.owner, 1, new.bytes)
            ON CONFLICT (owner) DO UPDATE SET takes = takes + 1, bytes = bytes + new.bytes;
    END;
    CREATE TRIGGER take_grown AFTER UPDATE OF bytes ON takes BEGIN
        UPDATE totals SET bytes = bytes + new.bytes - old.bytes WHERE owner = new.owner;
    END;
    CREATE TRIGGER take_gone AFTER DELETE ON takes BEGIN
        UPDATE totals SET takes = takes - 1, bytes = bytes - old.bytes WHERE owner = old.owner;
        DELETE FROM totals WHERE owner = old.owner AND takes = 0;
    END;

    CREATE TABLE born (at REAL NOT NULL);
    INSERT INTO born VALUES ((julianday('now') - 2440587.5) * 86400)
    """,
)

SEARCH = (
    """
    CREATE VIRTUAL TABLE found USING fts5(
        owner, words, content = '', columnsize = 0, tokenize = 'ascii'
    );
    CREATE TABLE reached (number INTEGER NOT NULL);
    INSERT INTO reached VALUES (0)
    """,
)
