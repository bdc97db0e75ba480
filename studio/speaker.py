"""Who speaks: embeddings by Resemblyzer, whose weights come in its wheel.

Resemblyzer's own preprocessing resamples with librosa; here soxr does. The rest (volume, long
pauses, spectrogram, windows of 1.6 s) is its own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.errors import BadReference

if TYPE_CHECKING:
    from engines.api import CancelToken
    from engines.memory import MemoryManager

DIMENSIONS = 256
RATE = 16_000  # Hz; what the encoder was trained on
MAX_SECONDS = 60.0  # more of a clip tells nothing new about its speaker
LEAST_SECONDS = 0.1
WINDOWS = 12  # of 1.6 s, embedded between two looks at the cancel token
WINDOWS_A_SECOND = 1.3  # as Resemblyzer does
COVERAGE = 0.75  # share of the last window that has to be sound
KEY = "speaker encoder on cpu"
NBYTES = 6_000_000  # of its weights, until they are counted

_load = threading.Lock()
_turn = threading.Lock()  # two at once would only share the same cores
_own: list[Any] = []


def embed(
    samples: np.ndarray,
    sample_rate: int,
    *,
    memory: MemoryManager | None = None,
    cancel: CancelToken | None = None,
) -> np.ndarray:
    """A point that is the nearer to another, the more alike the two speakers sound.

    Args:
        samples: float [T], mono, in [-1, 1]; the first minute counts.
        sample_rate: Hz, any.
        memory: accounts for the encoder; without it one is kept until the process ends.
        cancel: looked at several times a minute of sound.

    Returns:
        float32 [256] of length 1; every value is 0 or above.

    Raises:
        BadReference: it is silent, shorter than 0.1 s, not mono, or has values that are no numbers.
        Cancelled: `cancel` was set.
    """
    wav = _prepared(samples, sample_rate)
    with _encoder(memory, cancel) as encoder:
        import torch
        from resemblyzer.audio import wav_to_mel_spectrogram

        pieces, frames = encoder.compute_partial_slices(len(wav), WINDOWS_A_SECOND, COVERAGE)
        wav = np.pad(wav, (0, max(0, pieces[-1].stop - len(wav))))
        mel = wav_to_mel_spectrogram(wav)  # [T_mel, 40]
        total = np.zeros(DIMENSIONS)
        for first in range(0, len(frames), WINDOWS):
            if cancel is not None:
                cancel.raise_if_set()
            batch = np.stack([mel[piece] for piece in frames[first : first + WINDOWS]])
            with _turn, torch.inference_mode():
                total += encoder(torch.from_numpy(batch)).numpy().sum(axis=0, dtype=np.float64)
    return unit(total)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """The cosine of two embeddings: 1 for the very same sound, 0 for nothing in common. One
    speaker's clips are usually above 0.8, two speakers' below 0.7."""
    return float(np.clip(np.dot(unit(a), unit(b)), -1.0, 1.0))


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector at length 1, as float32; one of zeros stays."""
    length = float(np.linalg.norm(vector)) or 1.0
    return np.asarray(vector / length, np.float32)


@contextlib.contextmanager
def _encoder(memory: MemoryManager | None, cancel: CancelToken | None) -> Iterator[Any]:
    if memory is not None:
        from engines.memory import TorchModule

        with memory.acquire(
            KEY, lambda: TorchModule("cpu", NBYTES, lambda _: _build()), cancel=cancel
        ) as encoder:
            yield encoder
        return
    with _load:
        if not _own:
            _own.append(_build())
    yield _own[0]


def _build() -> Any:
    from resemblyzer import VoiceEncoder

    return VoiceEncoder("cpu", verbose=False).eval().requires_grad_(False)


def _prepared(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """float32 [T] at 16 kHz, quiet clips made louder, long pauses cut out."""
    given = np.asarray(samples)
    if given.ndim != 1 or len(given) < LEAST_SECONDS * sample_rate:
        raise _bad(f"has the shape {given.shape} at {sample_rate} Hz")
    given = given[: int(MAX_SECONDS * sample_rate)].astype(np.float32, copy=False)
    if not np.isfinite(given).all():
        raise _bad("holds values that are no numbers")
    if float(np.abs(given).max()) < 1e-5:
        raise _bad("is silent")
    from resemblyzer.audio import normalize_volume, trim_long_silences
    from resemblyzer.hparams import audio_norm_target_dBFS
    from soxr import resample

    wav = resample(given, sample_rate, RATE)
    wav = normalize_volume(wav, audio_norm_target_dBFS, increase_only=True)
    wav = np.clip(wav, -1.0, 1.0)  # what follows counts in 16 bits, which would wrap around
    voiced = trim_long_silences(wav)
    # where the detector hears no voice at all (a hum, a whisper) the whole has to do
    return np.asarray(voiced if len(voiced) else wav, np.float32)


def _bad(what: str) -> BadReference:
    return BadReference(
        f"The clip {what}.",
        f"A speaker is told from mono sound of {LEAST_SECONDS:g} s or more.",
        "Take a clip in which somebody speaks.",
    )
