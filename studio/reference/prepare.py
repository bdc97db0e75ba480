"""From a file to a reference clip: decoded, cut to its speech, levelled, and judged.

Shapes: T samples, N columns of a drawing.
"""

from __future__ import annotations

import hashlib
import io
import wave
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engines.api import CancelToken
from engines.errors import BadReference
from studio.encoders import to_pcm
from studio.reference import clean, measure, speech
from studio.reference.decode import DEFAULT_LIMITS, Clip, Limits, decode
from studio.reference.report import MUSIC, Measures, Report, report

COLUMNS = 600  # of the drawn waveform
SILENCE = 10 ** (-60 / 20)  # magnitude that nothing in a silent clip exceeds

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A clip that is ready to be kept.

    Attributes:
        samples: float32 [T], mono, what is left after cleaning, at `sample_rate` Hz.
        sha256: of `wav()`, in hexadecimal.
        original: the clip as it was decoded.
        original_peaks: float32 [N, 2], least and greatest sample of each column of it.
        kept: where the samples were in the original, in seconds from and to.
    """

    samples: np.ndarray
    sample_rate: int
    report: Report
    sha256: str
    original: Clip
    original_peaks: np.ndarray
    kept: tuple[clean.Span, ...]

    @property
    def seconds(self) -> float:
        return self.samples.size / self.sample_rate

    def wav(self) -> bytes:
        """What is kept, as 16-bit mono wav."""
        return to_wav(self.samples, self.sample_rate)

    def original_wav(self) -> bytes:
        """What was given, as 16-bit mono wav, which every browser plays."""
        return to_wav(self.original.samples, self.original.sample_rate)


def prepare(
    data: bytes,
    *,
    denoise: bool = False,
    cancel: CancelToken | None = None,
    progress: Progress | None = None,
    embed: measure.Embed | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Prepared:
    """Make a reference clip of a file.

    Args:
        data: the file, in any format that `decode` reads.
        denoise: reduce a steady background.
        progress: is told what is being done, in words.
        embed: `studio.speaker.embed`, by which passages are compared; without it nothing is said
            of several speakers.

    Raises:
        BadReference: it is no recording, is silent, or nobody speaks in it.
        MissingDependency: a package that it needs is not installed.
        Cancelled: `cancel` was set.
    """
    (progress or _unheard)("Reading the clip …")
    clip = decode(data, limits=limits, cancel=cancel)
    return prepare_clip(clip, denoise=denoise, cancel=cancel, progress=progress, embed=embed)


def prepare_clip(
    clip: Clip,
    *,
    denoise: bool = False,
    cancel: CancelToken | None = None,
    progress: Progress | None = None,
    embed: measure.Embed | None = None,
) -> Prepared:
    """`prepare` for what was decoded before, such as to have it with less noise."""
    say = progress or _unheard
    _check_sound(clip)
    say("Looking for speech …")
    rate = clip.sample_rate
    likely = speech.probabilities(clip.samples, rate, cancel=cancel)
    spans = clean.speech_spans(likely, clip.seconds)
    if not spans:
        raise _nobody_speaks(clip)
    kept = clean.best_part(spans, likely)
    heard = measure.sound(clip.samples, rate, likely)
    speaking = samples = clean.cut(clip.samples, rate, kept)
    denoised = None
    if denoise:
        say("Reducing the noise …")
        samples = clean.denoise(speaking, rate, heard.background)
        likely = speech.probabilities(samples, rate, cancel=cancel)
        denoised = measure.sound(samples, rate, likely).above_noise
    judged = _judge(clip, heard, speaking, clean.total(spans), denoised)
    samples = clean.level(samples, rate)
    sha256 = hashlib.sha256(to_wav(samples, rate)).hexdigest()
    made = Prepared(samples, rate, judged, sha256, clip, _peaks(clip.samples), tuple(kept))
    if embed is None:
        return made
    say("Comparing voices …")
    return compare_voices(made, embed, cancel=cancel)


def compare_voices(
    prepared: Prepared, embed: measure.Embed, *, cancel: CancelToken | None = None
) -> Prepared:
    """The same clip; its report says too whether several people seem to speak in it.

    Raises:
        Cancelled: `cancel` was set.
    """

    def embedded(samples: np.ndarray, sample_rate: int) -> np.ndarray:
        if cancel is not None:
            cancel.raise_if_set()
        return embed(samples, sample_rate)

    original = prepared.original
    speaking = clean.cut(original.samples, original.sample_rate, prepared.kept)
    likeness = measure.least_alike(speaking, original.sample_rate, embedded)
    return replace(prepared, report=prepared.report.and_speakers(likeness))


def to_wav(samples: np.ndarray, sample_rate: int) -> bytes:
    """float32 [T] → 16-bit mono wav with the canonical header of 44 bytes."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(to_pcm(samples))
    return out.getvalue()


def _judge(
    clip: Clip,
    heard: measure.Sound,
    speaking: np.ndarray,
    speech_seconds: float,
    denoised: float | None,
) -> Report:
    """
    Args:
        speaking: float32 [T], what is kept, before anything else was done to it.
    """
    rate = clip.sample_rate
    return report(
        Measures(
            seconds=clip.seconds,
            speech_seconds=speech_seconds,
            kept_seconds=speaking.size / rate,
            level=heard.level,
            noise_floor=heard.noise,
            denoised=denoised,
            clipped_share=clip.clipped_share,
            damaged=clip.damaged,
            upper_band=measure.upper_band(speaking, rate),
            music=measure.music_share(speaking, rate),
        )
    )


def _check_sound(clip: Clip) -> None:
    if float(np.abs(clip.samples).max()) < SILENCE:
        raise BadReference(
            f"The clip is silent from its beginning to its end ({clip.seconds:.1f} s).",
            "A reference clip is a recording of someone who speaks.",
            "Check which microphone is used, and that it is not muted.",
            param="clip",
        )


def _nobody_speaks(clip: Clip) -> BadReference:
    music = measure.music_share(clip.samples, clip.sample_rate) > MUSIC
    return BadReference(
        f"Nobody speaks in the clip ({clip.seconds:.1f} s)"
        + (": it sounds like music." if music else "."),
        "A voice is made from someone who speaks.",
        "Choose another clip, or record one here.",
        param="clip",
    )


def _peaks(samples: np.ndarray) -> np.ndarray:
    """float32 [T] → [N, 2], N at most COLUMNS."""
    edges = np.linspace(0, samples.size, min(COLUMNS, samples.size) + 1).astype(int)[:-1]
    least = np.minimum.reduceat(samples, edges)
    return np.stack((least, np.maximum.reduceat(samples, edges)), axis=1)


def _unheard(_words: str) -> None:
    pass
