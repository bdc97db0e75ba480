"""Voices and their clips: added, listed, searched, changed, deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.api import CancelToken
from engines.errors import StorageError
from studio import speaker
from studio.voices import clips, fields, store
from studio.voices.errors import BadVoiceField, no_such_clip
from studio.voices.files import VoiceFiles, clips_path, translated
from studio.voices.index import SoundIndex
from studio.voices.records import Consent, LibraryVoice, NewClip, VoiceClip, VoicePage
from studio.voices.rows import Rows
from studio.voices.shelf import Shelf
from studio.voices.store import Fields

if TYPE_CHECKING:
    from engines.memory import MemoryManager

DATABASE = "voices.sqlite"


class VoiceCollection:
    """The part of `VoiceLibrary` that keeps voices and clips."""

    def __init__(
        self,
        folder: Path,
        cache: Path,
        memory: MemoryManager | None = None,
        embed: clips.Embed | None = None,
    ) -> None:
        self._rows = Rows(folder / DATABASE)
        self._files = VoiceFiles(folder, cache)
        self._index = SoundIndex(self._rows, cache / "index")
        self._shelf = Shelf(self._rows, self._files, self._index)
        self._memory = memory
        self._embed = embed or self._embed_speaker

    def close(self) -> None:
        self._rows.close()

    # voices

    def add(
        self,
        owner: str,
        name: str,
        language: str,
        tags: Sequence[str],
        clips: Sequence[NewClip],
        consent: Consent,
        *,
        notes: str = "",
        cancel: CancelToken | None = None,
    ) -> LibraryVoice:
        """Keep a new voice. Names may be the same; ids never are.

        Args:
            name: 1 to 100 characters, any; control characters are left out.
            language: BCP 47, or "".
            clips: one or more, as `studio.reference` prepared them.
            consent: who agreed, and to what; recorded for each clip with the time and its hash.

        Raises:
            BadVoiceField: a name, tag or the like is at fault; `param` says which.
            BadReference: a clip is no sound that can be used.
            MissingConsent: it names nobody, or nothing.
            Cancelled: `cancel` was set.
        """
        given = checked_fields(name, language, tags, notes)
        consent = fields.consent(consent)
        if not clips:
            raise BadVoiceField(
                "The voice has no clip.", "It takes one or more.", "Add a clip.", param="file"
            )
        with self._files.staging() as stage:
            drafts = self._drafts(clips, stage, given.language, cancel)
            voice_id = self._shelf.create(owner, given, drafts, _recorded(consent, drafts), stage)
        return self.get(owner, voice_id)

    def get(self, owner: str, voice_id: str) -> LibraryVoice:
        with self._rows.reading() as db:
            return store.voice(db, owner, voice_id)

    def list(self, owner: str, *, limit: int | None = None, offset: int = 0) -> VoicePage:
        """The owner's voices by name."""
        return self.search(owner, "", limit=limit, offset=offset)

    def search(
        self, owner: str, query: str, *, limit: int | None = None, offset: int = 0
    ) -> VoicePage:
        """Voices in whose name, tags, language, notes or transcripts every word of the query is
        found, whatever its case and accents; those with it in the name come first."""
        with self._rows.reading() as db:
            return store.page(db, owner, query, limit, offset)

    def update(
        self,
        owner: str,
        voice_id: str,
        *,
        name: str | None = None,
        language: str | None = None,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
    ) -> LibraryVoice:
        """Change what is given; the rest stays.

        Raises:
            BadVoiceField: a value is at fault; nothing is changed.
        """
        with self._rows.writing():  # no other change comes between
            voice = self.get(owner, voice_id)
            given = checked_fields(
                voice.name if name is None else name,
                voice.language if language is None else language,
                voice.tags if tags is None else tags,
                voice.notes if notes is None else notes,
            )
            self._shelf.change(owner, voice_id, given)
        return self.get(owner, voice_id)

    def rename(self, owner: str, voice_id: str, name: str) -> LibraryVoice:
        """
        Raises:
            BadVoiceField: the name is empty or too long.
        """
        return self.update(owner, voice_id, name=name)

    def delete(self, owner: str, voice_id: str) -> None:
        """Remove a voice, its clips and consents, and everything that was computed from them."""
        self._shelf.delete(owner, voice_id)

    # clips

    def add_clips(
        self,
        owner: str,
        voice_id: str,
        clips: Sequence[NewClip],
        consent: Consent,
        *,
        cancel: CancelToken | None = None,
    ) -> LibraryVoice:
        """Add clips to a voice, all or none.

        Raises:
            BadReference, BadVoiceField, MissingConsent, Cancelled: as for `add`; also where the
                voice has one of the clips already, or would have more than 10,000.
        """
        consent = fields.consent(consent)
        voice = self.get(owner, voice_id)
        with self._files.staging() as stage:
            drafts = self._drafts(clips, stage, voice.language, cancel)
            self._shelf.add_clips(owner, voice_id, drafts, _recorded(consent, drafts), stage)
        return self.get(owner, voice_id)

    def add_clip(self, owner: str, voice_id: str, clip: NewClip, consent: Consent) -> LibraryVoice:
        """`add_clips` with one."""
        return self.add_clips(owner, voice_id, [clip], consent)

    def update_clip(
        self, owner: str, voice_id: str, clip_id: str, *, transcript: str, language: str = ""
    ) -> LibraryVoice:
        """Correct what is written down of a clip.

        Raises:
            NoSuchVoice: the voice has no such clip.
            BadVoiceField: a value is at fault.
        """
        said, spoken = fields.transcript(transcript), fields.language(language)
        spoken = spoken or self.get(owner, voice_id).language
        self._shelf.change_clip(owner, voice_id, clip_id, said, spoken)
        return self.get(owner, voice_id)

    def remove_clip(self, owner: str, voice_id: str, clip_id: str) -> LibraryVoice:
        """Remove a clip and what was computed from it. Its consent stays with the voice.

        Raises:
            NoSuchVoice: the voice has no such clip.
            BadVoiceField: it is the only one.
        """
        self._shelf.remove_clip(owner, voice_id, clip_id)
        return self.get(owner, voice_id)

    def clip_wav(self, owner: str, voice_id: str, clip_id: str) -> bytes:
        """The WAV file of a clip.

        Raises:
            NoSuchVoice: the voice has no such clip.
            StorageError: its file is missing or not what was kept.
        """
        for clip in self.get(owner, voice_id).clips:
            if clip.id == clip_id:
                return self._wav(owner, voice_id, clip)
        raise no_such_clip(clip_id)

    # parts

    def _wav(self, owner: str, voice_id: str, clip: VoiceClip) -> bytes:
        path = self._files.at(f"{clips_path(owner, voice_id)}/{clip.id}.wav")
        with translated(path):
            wav = path.read_bytes()
        if hashlib.sha256(wav).hexdigest() != clip.sha256:
            raise StorageError(
                f"{path} is damaged: it is not the clip that was kept.",
                "",
                "Restore the file from a backup, or remove the clip from the voice.",
            )
        return wav

    def _drafts(
        self, given: Sequence[NewClip], stage: Path, language: str, cancel: CancelToken | None
    ) -> Sequence[clips.Draft]:
        return [clips.draft(clip, stage, language, self._embed, cancel) for clip in given]

    def _embed_speaker(
        self, samples: np.ndarray, sample_rate: int, cancel: CancelToken | None
    ) -> np.ndarray:
        return speaker.embed(samples, sample_rate, memory=self._memory, cancel=cancel)


def checked_fields(name: str, language: str, tags: Sequence[str], notes: str) -> Fields:
    return Fields(
        fields.name(name), fields.language(language), fields.tags(tags), fields.notes(notes)
    )


def _recorded(consent: Consent, drafts: Sequence[clips.Draft]) -> Sequence[Consent]:
    now = datetime.now(timezone.utc)
    return [Consent(consent.who, consent.purpose, now, draft.sha256) for draft in drafts]
