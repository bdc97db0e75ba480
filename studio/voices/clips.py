"""A clip as the library takes it: a short mono WAV file that was cleaned before."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.api import CancelToken
from engines.errors import BadReference
from studio.voices import fields
from studio.voices.files import new_id, write
from studio.voices.records import NewClip

LEAST_SECONDS = 0.2
MOST_SECONDS = 300.0
RATES = (8_000, 192_000)  # Hz
MAX_BYTES = 60_000_000  # 5 minutes at 48 kHz in 32 bits
HEADER = 64 * 1024  # bytes that a WAV file may have beside its sound

Embed = Callable[[np.ndarray, int, CancelToken | None], np.ndarray]


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked clip whose file lies in a staging folder.

    Attributes:
        embedding: float32 [256].
    """

    id: str
    transcript: str
    language: str
    seconds: float
    sha256: str
    embedding: np.ndarray


def read(wav: bytes) -> tuple[np.ndarray, int]:
    """Samples (float32 [T]) and rate of a clip.

    Raises:
        BadReference: it is not the WAV file that `studio.reference` makes, or its length or rate
            is out of bounds.
    """
    import soundfile

    if len(wav) > MAX_BYTES:
        raise _bad(f"has {len(wav):,} bytes")
    try:
        with soundfile.SoundFile(io.BytesIO(wav)) as file:
            frames, rate = file.frames, file.samplerate
            if (file.format, file.channels) != ("WAV", 1):
                raise _bad(f"is {file.format} with {file.channels} channels")
            if not RATES[0] <= rate <= RATES[1]:
                raise _bad(f"has a rate of {rate:,} Hz")
            if not LEAST_SECONDS <= frames / rate <= MOST_SECONDS:
                raise _bad(f"is {frames / rate:.2f} s long")
            samples = file.read(dtype="float32")
    except soundfile.SoundFileError as error:
        raise _bad("is no sound file that can be read") from error
    if len(samples) < frames:
        raise _bad(f"breaks off after {len(samples) / rate:.2f} s")
    if not np.isfinite(samples).all():
        raise _bad("holds values that are no numbers")
    return samples, rate


def draft(
    clip: NewClip, stage: Path, language: str, embed: Embed, cancel: CancelToken | None = None
) -> Draft:
    """Check a clip, find out who speaks, and put its file into a staging folder.

    Args:
        language: of the voice; the clip's where it has none of its own.

    Raises:
        BadReference, BadVoiceField: the clip, or what stands beside it, is at fault.
        StorageError: the file cannot be written.
    """
    if cancel is not None:
        cancel.raise_if_set()
    sha256 = hashlib.sha256(clip.wav).hexdigest()
    if clip.sha256 and clip.sha256 != sha256:
        raise _bad(f"has the SHA-256 {sha256}, not {clip.sha256:.64}")
    transcript = fields.transcript(clip.transcript)
    language = fields.language(clip.language) or language
    samples, rate = read(clip.wav)
    embedding = np.asarray(embed(samples, rate, cancel), np.float32)
    made = Draft(new_id(), transcript, language, len(samples) / rate, sha256, embedding)
    write(stage / f"{made.id}.wav", clip.wav)
    return made


def _bad(what: str) -> BadReference:
    return BadReference(
        f"The clip {what}.",
        f"A clip of a voice is a mono WAV file of {LEAST_SECONDS:g} to {MOST_SECONDS:g} s, "
        f"{RATES[0]:,} to {RATES[1]:,} Hz.",
        "Prepare the recording as a reference clip first, then add it again.",
        param="file",
    )
