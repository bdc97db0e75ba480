"""Finding voices and clips by how they sound."""

from __future__ import annotations

import numpy as np

from studio import speaker
from studio.voices import store
from studio.voices.index import SoundIndex, clips_of, voices_of
from studio.voices.records import Likeness, VoiceClip
from studio.voices.rows import Rows

MOST = 500  # found at once


class SoundSearch:
    def __init__(self, rows: Rows, index: SoundIndex) -> None:
        self._rows = rows
        self._index = index

    def voices(self, owner: str, embedding: np.ndarray, limit: int) -> tuple[Likeness, ...]:
        """The owner's voices whose mean is nearest to an embedding, best first."""
        near = self._index.nearest(
            voices_of(owner), speaker.unit(embedding), min(max(0, limit), MOST)
        )
        with self._rows.reading() as db:  # a voice may have gone since
            found = store.of_embeddings(db, owner, [number for number, _ in near])
        return tuple(Likeness(found[number], cosine) for number, cosine in near if number in found)

    def clip(self, owner: str, voice_id: str, embedding: np.ndarray) -> VoiceClip:
        """The clip of a voice that is nearest to an embedding.

        Raises:
            NoSuchVoice: there is no such voice.
        """
        with self._rows.reading() as db:
            store.number_of(db, owner, voice_id)
        near = self._index.nearest(clips_of(voice_id), speaker.unit(embedding), 1)
        with self._rows.reading() as db:
            voice = store.number_of(db, owner, voice_id)
            found = store.clip_of_embedding(db, near[0][0]) if near else None
            return found or store.clips(db, voice)[0]

    def mean(self, owner: str, voice_id: str) -> np.ndarray:
        """float32 [256], of length 1.

        Raises:
            NoSuchVoice: there is no such voice.
        """
        with self._rows.reading() as db:
            return store.mean(db, store.number_of(db, owner, voice_id))
