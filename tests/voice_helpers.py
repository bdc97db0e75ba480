"""A voice library without a neural network: tones stand for speakers."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from engines.api import CancelToken, Capability, Reference
from studio.voices import Consent, NewClip, VoiceLibrary

RATE = 24_000
CONSENT = Consent("Ann Speaker", "reading books aloud")


def tone(frequency: float, seconds: float = 0.5, rate: int = RATE) -> np.ndarray:
    """float32 [T]"""
    times = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def wav(samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, subtype=subtype, format="WAV")
    return buffer.getvalue()


def clip(frequency: float = 220.0, transcript: str = "", seconds: float = 0.5) -> NewClip:
    return NewClip(wav(tone(frequency, seconds)), transcript)


def embed(samples: np.ndarray, sample_rate: int, cancel: CancelToken | None = None) -> np.ndarray:
    """What takes the place of the speaker encoder: like tones are near each other."""
    if cancel is not None:
        cancel.raise_if_set()
    frequencies = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    loudest = frequencies[np.argmax(np.abs(np.fft.rfft(samples)))]
    bins = np.exp(-(((np.arange(256) - loudest / 10) / 20) ** 2)).astype(np.float32)
    return bins / np.linalg.norm(bins)


def library(folder: Path) -> VoiceLibrary:
    return VoiceLibrary(folder / "voices", folder / "cache", embed=embed)


def stored_bytes(folder: Path) -> bytes:
    """All that is in the files below a folder."""
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


class Cloner:
    """A cloning engine, as far as the library looks at one. `entered` counts its computations."""

    capability = Capability("cloner", "Cloner", "Clones tones.", RATE, "none", ())

    def __init__(self, version: str = "1") -> None:
        self.conditioning_version = version
        self.entered = 0
        self.gate = threading.Event()
        self.gate.set()

    def condition(
        self, references: Sequence[Reference], *, device: str, cancel: CancelToken
    ) -> dict[str, np.ndarray]:
        self.entered += 1
        while not self.gate.wait(0.01):
            cancel.raise_if_set()
        lengths = np.array([len(reference.samples) for reference in references], np.int64)
        return {"lengths": lengths, "scale": np.array(0.5), "mel": np.ones((2, 3), np.float16).T}
