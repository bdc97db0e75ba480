"""The voice library: what is kept, taken along as a file, found by sound, and given to engines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.api import CancelToken, CloningEngine, Reference
from studio.voices import archive, clips, fields, fit
from studio.voices.collection import VoiceCollection, checked_fields
from studio.voices.conditioning import ConditioningCache, cache_name, reference_clips
from studio.voices.errors import no_such_clip
from studio.voices.files import derived_path, translated
from studio.voices.records import Consent, LibraryVoice, Likeness, VoiceClip
from studio.voices.sound import SoundSearch

if TYPE_CHECKING:
    from engines.memory import MemoryManager

EXPORT_AGE = 3600.0  # seconds after which nobody fetches an export any more


class VoiceLibrary(VoiceCollection):
    """Voices of many owners, who never see each other's. Methods may be called by any thread.

    Every method that takes a `voice_id` raises NoSuchVoice where this owner has none of that id,
    and StorageError where the disk or the database fails; nothing that was kept is lost then.

    Args:
        folder: of the database and the clips; made where it is missing.
        cache: of what can be made again from them.
        memory: accounts for the speaker encoder.
        embed: samples and rate to an embedding, float32 [256]; the speaker encoder without it.

    Attributes:
        exports: a folder where exports wait for whoever sends them on.

    Raises:
        StorageError: the folder cannot be used, or its database is damaged. It is left as it is.
    """

    def __init__(
        self,
        folder: Path,
        cache: Path,
        *,
        memory: MemoryManager | None = None,
        embed: clips.Embed | None = None,
    ) -> None:
        cache = cache / "voices"
        super().__init__(folder, cache, memory, embed)
        self._sound = SoundSearch(self._rows, self._index)
        self._conditioning = ConditioningCache()
        self.exports = cache / "exports"
        with translated(self.exports):
            self.exports.mkdir(parents=True, exist_ok=True)
            for left in self.exports.iterdir():
                if left.stat().st_mtime < time.time() - EXPORT_AGE:
                    left.unlink(missing_ok=True)

    # zip files

    def export_zip(self, owner: str, voice_id: str, to: Path) -> Path:
        """Write a voice with clips and consents to one file, whole or not at all.

        Raises:
            BadVoiceFile: it is larger than 2 GB.
        """
        voice = self.get(owner, voice_id)
        return archive.export(voice, lambda clip: self._wav(owner, voice_id, clip), to)

    def import_zip(
        self,
        owner: str,
        path: Path,
        consent: Consent | None = None,
        *,
        cancel: CancelToken | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> LibraryVoice:
        """Keep the voice of a file as a new one of this owner.

        Args:
            consent: recorded beside those in the file.
            progress: told clips done and clips in all.

        Raises:
            BadVoiceFile: it is no voice file, is damaged, or would be too large.
            MissingConsent: a clip has none.
            BadReference, BadVoiceField, Cancelled: as for `add`.
        """
        with archive.opened(path) as file, self._files.staging() as stage:
            found = file.manifest
            given = checked_fields(found.name, found.language, found.tags, found.notes)
            added = None if consent is None else fields.consent(consent)
            consents = [fields.consent(c) for c in found.given_consents(added)]
            drafts: list[clips.Draft] = []
            for number, listed in enumerate(found.clips, 1):
                drafts += self._drafts([file.clip(listed)], stage, given.language, cancel)
                if progress is not None:
                    progress(number, len(found.clips))
            voice_id = self._shelf.create(owner, given, drafts, consents, stage)
        return self.get(owner, voice_id)

    # sound

    def like(
        self,
        owner: str,
        samples: np.ndarray,
        sample_rate: int,
        limit: int = 10,
        *,
        cancel: CancelToken | None = None,
    ) -> tuple[Likeness, ...]:
        """Voices that sound like a clip (float32 [T], mono), best first.

        Raises:
            BadReference: nobody can be told from the clip.
        """
        return self.near(owner, self._embed(samples, sample_rate, cancel), limit)

    def near(self, owner: str, embedding: np.ndarray, limit: int = 10) -> tuple[Likeness, ...]:
        """Voices whose mean is near an embedding of `studio.speaker`, best first."""
        return self._sound.voices(owner, embedding, limit)

    def embedding(self, owner: str, voice_id: str) -> np.ndarray:
        """The mean of the clips' embeddings: float32 [256], of length 1."""
        return self._sound.mean(owner, voice_id)

    def best_reference(
        self,
        owner: str,
        voice_id: str,
        *,
        text: str = "",
        language: str = "",
        clip: tuple[np.ndarray, int] | None = None,
        cancel: CancelToken | None = None,
    ) -> VoiceClip:
        """The clip of a voice that best fits a clip (samples and rate, by its sound) or else a text
        (by what `fit.best_for_text` measures).

        Raises:
            BadReference: nobody can be told from the clip.
        """
        if clip is not None:
            return self._sound.clip(owner, voice_id, self._embed(*clip, cancel))
        return fit.best_for_text(self.get(owner, voice_id).clips, text, language)

    # cloning

    def references(
        self, owner: str, voice_id: str, clip_ids: Sequence[str] | None = None
    ) -> tuple[Reference, ...]:
        """What a cloning engine is given: the clips picked, or the first minute of them.

        Raises:
            NoSuchVoice: the voice has no such clip.
        """
        picked = _picked(self.get(owner, voice_id).clips, clip_ids)
        return tuple(self._reference(owner, voice_id, clip) for clip in picked)

    def conditioning(
        self,
        owner: str,
        voice_id: str,
        engine: CloningEngine,
        device: str,
        cancel: CancelToken,
        *,
        clip_ids: Sequence[str] | None = None,
    ) -> Mapping[str, np.ndarray]:
        """What the engine computed from `references`, kept by their content and its version.

        Raises:
            VivavoceError: what `engine.condition` raised.
        """
        picked = _picked(self.get(owner, voice_id).clips, clip_ids)
        name = cache_name(picked, engine.capability.name, engine.conditioning_version)

        def compute() -> Mapping[str, np.ndarray]:
            references = [self._reference(owner, voice_id, clip) for clip in picked]
            return engine.condition(references, device=device, cancel=cancel)

        return self._conditioning.get(
            self._files.at(derived_path(owner, voice_id)) / name,
            compute,
            lambda: self._shelf.while_there(owner, voice_id, [clip.id for clip in picked]),
            cancel,
        )

    def _reference(self, owner: str, voice_id: str, clip: VoiceClip) -> Reference:
        samples, rate = clips.read(self._wav(owner, voice_id, clip))
        return Reference(samples, rate, clip.transcript, clip.language, clip.sha256)


def _picked(found: Sequence[VoiceClip], clip_ids: Sequence[str] | None) -> Sequence[VoiceClip]:
    if clip_ids is None:
        return reference_clips(found)
    by_id = {clip.id: clip for clip in found}
    for clip_id in clip_ids:
        if clip_id not in by_id:
            raise no_such_clip(clip_id)
    return [by_id[clip_id] for clip_id in clip_ids]
