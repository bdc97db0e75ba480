"""Clips for the tests of studio/reference: real speech, and what is put under or around it."""

from __future__ import annotations

import io
import os
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

RATE = 24_000
SPEECH = Path(__file__).resolve().parents[3] / "shared" / "speech"
FFMPEG_FORMATS = {
    "m4a": ("-f", "ipod"),  # its table of contents comes last
    "m4a, table first": ("-movflags", "+faststart", "-f", "ipod"),
    "aac": ("-c:a", "aac", "-f", "adts"),
    "webm": ("-c:a", "libopus", "-f", "webm"),
    "webm, vorbis": ("-c:a", "libvorbis", "-f", "webm"),
    "wma": ("-c:a", "wmav2", "-f", "asf"),
    "mp4 with pictures": ("-c:v", "mpeg4", "-c:a", "aac", "-f", "mp4"),
}
SOUNDFILE_FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "wav, 24 bits": ("WAV", "PCM_24"),
    "wav, float": ("WAV", "FLOAT"),
    "wav, mu-law": ("WAV", "ULAW"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "aiff": ("AIFF", "PCM_16"),
}


@lru_cache
def speech(name: str = "lj_1") -> np.ndarray:
    """A real recording, float32 [T] at RATE. Skips the test where there is none."""
    file = SPEECH / f"{name}.wav"
    if not file.exists():
        why = f"the recordings for tests are not at {SPEECH}"
        if os.environ.get("CI"):
            pytest.fail(f"{why}, and CI leaves no test out.", pytrace=False)
        pytest.skip(why)
    samples, rate = soundfile.read(file, dtype="float32")
    return soxr.resample(samples, rate, RATE)


def to_file(
    samples: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = "FLOAT"
) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


def encoded(samples: np.ndarray, name: str, folder: Path) -> bytes:
    """The samples in one of the two tables' formats."""
    if name in SOUNDFILE_FORMATS:
        return to_file(samples, RATE, *SOUNDFILE_FORMATS[name])
    from imageio_ffmpeg import get_ffmpeg_exe

    target = folder / "clip"
    pictures = ("-f", "lavfi", "-i", "testsrc=r=5:s=64x64:d=3") if "pictures" in name else ()
    subprocess.run(
        (
            *(get_ffmpeg_exe(), "-v", "error", "-y", *pictures, "-f", "f32le", "-ar", str(RATE)),
            *("-i", "pipe:0", *FFMPEG_FORMATS[name], str(target)),
        ),
        input=samples.astype("<f4").tobytes(),
        check=True,
    )
    return target.read_bytes()


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Highest normalised cross-correlation of two signals at any shift; 1 for the same."""
    size = a.size + b.size
    product = np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size))
    return float(np.fft.irfft(product, size).max() / (np.linalg.norm(a) * np.linalg.norm(b)))


def at_level(samples: np.ndarray, level: float) -> np.ndarray:
    """The samples at a level in dBFS."""
    scale = 10 ** (level / 20) / np.sqrt(np.mean(np.square(samples, dtype=float)))
    return (samples * scale).astype(np.float32)


def white(size: int, level: float) -> np.ndarray:
    return at_level(np.random.default_rng(1).normal(size=size), level)


def music(size: int, level: float) -> np.ndarray:
    """Four chords that die away like a piano's, two a second."""
    chords = ((261.6, 329.6, 392.0), (220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9))
    step = RATE // 2
    time = np.arange(step) / RATE
    beats = [
        sum(
            np.sin(2 * np.pi * tone * harmonic * time) / harmonic**1.3
            for tone in chord
            for harmonic in range(1, 9)
        )
        * np.exp(-3 * time)
        for chord in chords
    ]
    return at_level(np.resize(np.concatenate(beats), size), level)
