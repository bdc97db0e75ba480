"""Rows and files as one: what is put on the shelf is there whole, what is taken off is gone."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engines.errors import StorageError
from studio.voices import store
from studio.voices.clips import Draft
from studio.voices.errors import BadVoiceField, NoSuchVoice, no_such_clip
from studio.voices.files import VoiceFiles, clips_path, derived_path, new_id
from studio.voices.index import SoundIndex, clips_of, voices_of
from studio.voices.records import Consent
from studio.voices.rows import Rows
from studio.voices.store import Fields

MAX_CLIPS = 10_000  # of one voice


class Shelf:
    """Files that no row names yet, or no longer, stand in `pending`, so the next start removes what
    a crash left. Only those: the sound of a database that was lost stays.

    Raises:
        NoSuchVoice: from every method that takes a `voice_id`.
        StorageError: from every method; then all is as before.
    """

    def __init__(self, rows: Rows, files: VoiceFiles, index: SoundIndex) -> None:
        self._rows = rows
        self._files = files
        self._index = index
        self._clear()

    def create(
        self,
        owner: str,
        given: Fields,
        drafts: Sequence[Draft],
        consents: Sequence[Consent],
        stage: Path,
    ) -> str:
        """A new voice of the clips whose files are in `stage`; returns its id."""
        voice_id = new_id()
        path = clips_path(owner, voice_id)
        with self._pending_until_kept([path]), self._rows.writing() as db:
            now = time.time()
            voice = store.add_voice(db, voice_id, owner, given, now)
            self._add(db, voice, drafts, consents, now)
            store.changed(db, [voices_of(owner).name, clips_of(voice_id).name])
            _settle(db, [path])
            self._files.publish(stage, path)
        return voice_id

    def add_clips(
        self,
        owner: str,
        voice_id: str,
        drafts: Sequence[Draft],
        consents: Sequence[Consent],
        stage: Path,
    ) -> None:
        """
        Raises:
            BadVoiceField: the voice has one of the clips already, or would have too many.
        """
        folder = clips_path(owner, voice_id)
        paths = [f"{folder}/{draft.id}.wav" for draft in drafts]
        with self._pending_until_kept(paths), self._rows.writing() as db:
            now = time.time()
            voice = store.number_of(db, owner, voice_id)
            self._add(db, voice, drafts, consents, now)
            store.changed(db, [voices_of(owner).name, clips_of(voice_id).name])
            _settle(db, paths)
            self._files.publish_clips(stage, folder)

    def change(self, owner: str, voice_id: str, given: Fields) -> None:
        with self._rows.writing() as db:
            store.change_voice(db, store.number_of(db, owner, voice_id), given, time.time())

    def change_clip(
        self, owner: str, voice_id: str, clip_id: str, transcript: str, language: str
    ) -> None:
        with self._rows.writing() as db:
            voice = store.number_of(db, owner, voice_id)
            if not store.change_clip(db, voice, clip_id, transcript, language, time.time()):
                raise no_such_clip(clip_id)

    def remove_clip(self, owner: str, voice_id: str, clip_id: str) -> None:
        """
        Raises:
            NoSuchVoice: the voice has no such clip.
            BadVoiceField: it is the only one.
        """
        # the mean of the voice and what engines computed held something of the clip too
        paths = [f"{clips_path(owner, voice_id)}/{clip_id}.wav", derived_path(owner, voice_id)]
        with self._rows.writing() as db:
            voice = store.number_of(db, owner, voice_id)
            ids = [clip.id for clip in store.clips(db, voice)]
            if clip_id not in ids:
                raise no_such_clip(clip_id)
            if len(ids) == 1:
                raise BadVoiceField(
                    "This is the voice's only clip.",
                    "A voice has one clip or more.",
                    "Add another one first, or delete the voice.",
                    param="clip",
                )
            db.execute("DELETE FROM clips WHERE id = ?", (clip_id,))
            store.refresh(db, voice, time.time())
            self._take_off(db, owner, voice_id, paths)
        self._finish(owner, voice_id, paths)

    def delete(self, owner: str, voice_id: str) -> None:
        paths = [clips_path(owner, voice_id), derived_path(owner, voice_id)]
        with self._rows.writing() as db:
            voice = store.number_of(db, owner, voice_id)
            db.execute("DELETE FROM voices WHERE number = ?", (voice,))
            self._take_off(db, owner, voice_id, paths)
            db.execute("DELETE FROM changes WHERE scope = ?", (clips_of(voice_id).name,))
        self._finish(owner, voice_id, paths)

    @contextlib.contextmanager
    def while_there(self, owner: str, voice_id: str, clip_ids: Sequence[str]) -> Iterator[bool]:
        """Whether a voice has these clips, which holds while the block lasts."""
        with self._rows.writing() as db:
            try:
                there = store.clips(db, store.number_of(db, owner, voice_id))
            except NoSuchVoice:
                there = ()
            yield set(clip_ids) <= {clip.id for clip in there}

    def _add(
        self,
        db: sqlite3.Connection,
        voice: int,
        drafts: Sequence[Draft],
        consents: Sequence[Consent],
        now: float,
    ) -> None:
        hashes = [clip.sha256 for clip in store.clips(db, voice)]
        hashes += [draft.sha256 for draft in drafts]
        if len(set(hashes)) < len(hashes):
            raise BadVoiceField(
                "The voice has this very clip already.",
                "Each clip of a voice is another recording.",
                "Leave it out or take another one.",
                param="file",
            )
        if len(hashes) > MAX_CLIPS:
            raise BadVoiceField(
                f"The voice would have {len(hashes):,} clips.",
                f"It can have {MAX_CLIPS:,}.",
                "Remove some, or make another voice.",
                param="file",
            )
        store.add_clips(db, voice, drafts, consents, now)
        store.refresh(db, voice, now)

    @contextlib.contextmanager
    def _pending_until_kept(self, paths: Sequence[str]) -> Iterator[None]:
        with self._rows.writing() as db:
            _await(db, paths)
        try:
            yield
        except BaseException:
            with contextlib.suppress(StorageError):  # the next start tries again
                self._clear(paths)
            raise

    def _take_off(
        self, db: sqlite3.Connection, owner: str, voice_id: str, paths: list[str]
    ) -> None:
        """Note in the same transaction what has to go; indexes hold the embeddings too."""
        scopes = (voices_of(owner), clips_of(voice_id))
        paths += [f"index/{scope.file}" for scope in scopes]
        store.changed(db, [scope.name for scope in scopes])
        _await(db, paths)

    def _finish(self, owner: str, voice_id: str, paths: Sequence[str]) -> None:
        self._index.forget(clips_of(voice_id))
        self._index.forget(voices_of(owner), file_only=True)
        self._clear(paths)
        self._rows.forget_deleted()

    def _clear(self, paths: Sequence[str] | None = None) -> None:
        """Remove files that are still pending: of these paths, or all. In a write transaction, so
        that no other is putting files there."""
        with self._rows.reading() as db:
            pending = [row["path"] for row in db.execute("SELECT path FROM pending")]
        due = pending if paths is None else [path for path in pending if path in set(paths)]
        if not due:
            return
        with self._rows.writing() as db:
            for path in due:
                if db.execute("SELECT 1 FROM pending WHERE path = ?", (path,)).fetchone():
                    self._files.remove(path)
            _settle(db, due)


def _await(db: sqlite3.Connection, paths: Sequence[str]) -> None:
    db.executemany("INSERT OR IGNORE INTO pending VALUES (?)", ((path,) for path in paths))


def _settle(db: sqlite3.Connection, paths: Sequence[str]) -> None:
    db.executemany("DELETE FROM pending WHERE path = ?", ((path,) for path in paths))
