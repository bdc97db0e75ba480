"""From the bytes of a file to mono sound at one rate, by content, within limits.

Nothing is decoded as a whole: blocks are mixed and resampled as they come, so that eight channels
at 192 kHz take no more memory than one at 24.

Shapes: T samples, N frames of a block, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engines.api import CancelToken
from engines.errors import BadReference
from studio.reference.sources import FfmpegSource, SoundfileSource, Source

SAMPLE_RATE = 24_000  # Hz, what most engines that clone listen at
MEBI = 1024**2
RATES = (6_000, 768_000)  # Hz
LOUDEST = 16.0  # of a sample that counts as sound; float files reach a little over 1
CANCELLING = 0.25  # a mix this much below that of unrelated channels is one that cancels out
LEVELS = 2000  # steps in which magnitudes are counted
AT_THE_TOP = 0.985  # of the peak: where a clipped wave stays and another hardly ever is
QUIET_PEAK = 0.05  # below, the steps of the recording itself look like clipping
PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"[playlist]", b"#EXTINF")
OTHER_FILES = (
    (b"PK\x03\x04", "a zip archive (or an office document)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"Rar!", "a rar archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a database"),
)
LOOKED_AT = 4096  # bytes that tell text from sound


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reference clip may cost.

    Attributes:
        seconds: of sound. bytes: of the file. samples: decoded, of all channels together.
        patience: seconds that the ffmpeg process may work.
    """

    seconds: float = 600.0
    bytes: int = 200 * MEBI
    samples: int = 300_000_000
    patience: float = 60.0


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Clip:
    """A decoded clip.

    Attributes:
        samples: float32 [T], mono, at `sample_rate` Hz.
        format: what it was, such as "FLAC". recorded_rate: Hz. channels: before the mix.
        clipped_share: of samples that were cut off at the top, 0 to 1.
        damaged: it breaks off, or parts of it could not be read.
    """

    samples: np.ndarray
    sample_rate: int
    format: str
    recorded_rate: int
    channels: int
    clipped_share: float = 0.0
    damaged: bool = False

    @property
    def seconds(self) -> float:
        return self.samples.size / self.sample_rate


def decode(
    data: bytes, *, limits: Limits = DEFAULT_LIMITS, cancel: CancelToken | None = None
) -> Clip:
    """The sound of a file, whatever the file is called.

    Raises:
        BadReference: it is no sound, is empty, damaged beyond use, too long or too large.
        MissingDependency: it needs ffmpeg, and there is none for this machine.
        Cancelled: `cancel` was set.
    """
    _check_bytes(data, limits)
    source = _open(data, limits)
    try:
        _check_layout(source, limits)
        mixer = _Mixer(source, limits, cancel)
        samples = mixer.read(None)
        if mixer.cancels_out():  # such as a stereo track with one side turned over
            samples = mixer.read(mixer.loudest_channel())
        return Clip(
            samples,
            SAMPLE_RATE,
            source.format,
            source.rate,
            source.channels,
            mixer.clipped_share(),
            source.broken,
        )
    finally:
        source.close()


def _check_bytes(data: bytes, limits: Limits) -> None:
    if not data:
        raise _bad("The file is empty.", "Choose a recording, or record one here.")
    if len(data) > limits.bytes:
        raise BadReference(
            f"The file has {len(data) / MEBI:,.0f} MiB.",
            f"A reference clip has at most {limits.bytes / MEBI:,.0f} MiB.",
            "Cut out the passage that you need: 6 to 30 seconds are best.",
            param="clip",
        )
    start = data[:LOOKED_AT]
    if any(start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(mark) for mark in PLAYLISTS):
        raise _bad(
            "The file is a playlist: it names other files and holds no sound itself.",
            "Choose the recording itself.",
        )
    for mark, kind in OTHER_FILES:
        if start.startswith(mark):
            raise _bad(f"The file is {kind}, not a recording.", "Choose a recording.")
    if _is_text(start):
        raise _bad("The file is a text, not a recording.", "Choose a recording.")


def _is_text(start: bytes) -> bool:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") and _prints(start, "utf-16"):
        return True
    return _prints(start, "utf-8")


def _prints(start: bytes, encoding: str) -> bool:
    for end in range(len(start), max(0, len(start) - 4), -1):  # may end within a character
        try:
            text = start[:end].decode(encoding)
        except UnicodeDecodeError:
            continue
        return all(char.isprintable() or char in "\r\n\t\f" for char in text)
    return False


def _open(data: bytes, limits: Limits) -> Source:
    try:
        return SoundfileSource(data)
    except ValueError:
        return FfmpegSource(data, limits.patience)


def _check_layout(source: Source, limits: Limits) -> None:
    """What the header says is enough to refuse."""
    if not RATES[0] <= source.rate <= RATES[1]:
        raise BadReference(
            f"The clip says that it has {source.rate:,} samples a second.",
            f"{RATES[0]:,} to {RATES[1]:,} are read.",
            "Export it at 24,000 or 48,000 Hz.",
            param="clip",
        )
    if source.frames is not None:
        _check_length(source.frames, source, limits, "")


def _check_length(frames: int, source: Source, limits: Limits, more: str) -> None:
    if frames > limits.seconds * source.rate:
        minutes = frames / source.rate / 60
        raise BadReference(
            f"The clip is {more}{minutes:,.0f} minutes long.",
            f"A reference clip has at most {limits.seconds / 60:,.0f} minutes.",
            "Cut out the passage that you need: 6 to 30 seconds are best.",
            param="clip",
        )
    if frames * source.channels > limits.samples:
        raise BadReference(
            f"The clip has {source.channels} channels at {source.rate:,} Hz for "
            f"{more}{frames / source.rate:,.0f} s.",
            f"At most {limits.samples:,} samples are decoded.",
            "Cut out the passage that you need, or save it as mono.",
            param="clip",
        )


class _Mixer:
    """Reads a source to its end as mono at SAMPLE_RATE, and takes its measure on the way."""

    def __init__(self, source: Source, limits: Limits, cancel: CancelToken | None) -> None:
        self._source = source
        self._limits = limits
        self._cancel = cancel
        self._frames = 0
        self._energy = np.zeros(source.channels)
        self._mixed_energy = 0.0
        self._levels = np.zeros(LEVELS + 1, np.int64)

    def read(self, channel: int | None) -> np.ndarray:
        """float32 [T]: the mean of all channels, or a single one.

        Raises:
            BadReference: there is no sound, too much of it, or some of it is not a number.
        """
        import soxr

        stream = soxr.ResampleStream(self._source.rate, SAMPLE_RATE, 1, "float32", "HQ")
        out = [stream.resample_chunk(np.ascontiguousarray(mono)) for mono in self._mono(channel)]
        out.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
        samples = np.concatenate(out)
        if not samples.size:
            raise _bad(
                "The file breaks off before its first sound."
                if self._source.broken
                else "The file has no sound in it.",
                "Choose another file, or record it here.",
            )
        return samples

    def cancels_out(self) -> bool:
        unrelated = self._energy.sum() / self._source.channels**2
        return self._source.channels > 1 and self._mixed_energy < CANCELLING * unrelated

    def loudest_channel(self) -> int:
        return int(self._energy.argmax())

    def clipped_share(self) -> float:
        """The share of samples that stay within a hair of the peak."""
        sounding = np.flatnonzero(self._levels)
        peak = int(sounding[-1]) if sounding.size else 0
        if peak < QUIET_PEAK * LEVELS:
            return 0.0
        return float(self._levels[int(AT_THE_TOP * peak) + 1 :].sum() / self._levels.sum())

    def _mono(self, channel: int | None) -> Iterator[np.ndarray]:
        first = not self._frames  # the measure is taken once
        for block in self._source.blocks():
            if self._cancel is not None:
                self._cancel.raise_if_set()
            if first:
                self._measure(block)
            mono = block.mean(axis=1) if channel is None else block[:, channel]
            if first:
                self._mixed_energy += float(np.square(mono).sum(dtype=float))
            yield mono

    def _measure(self, block: np.ndarray) -> None:
        self._frames += len(block)
        _check_length(self._frames, self._source, self._limits, "more than ")
        size = np.abs(block).max(axis=1)
        loudest = size.max()
        if not np.isfinite(loudest):
            raise _bad(
                "The clip holds samples that are no numbers (NaN or infinity).",
                "Export it again, as 16-bit or 24-bit WAV.",
            )
        if loudest > LOUDEST:
            raise BadReference(
                f"The clip holds samples of {loudest:,.0f}.",
                "In a file of floating-point samples 1.0 is full scale.",
                "Export it again, as 16-bit or 24-bit WAV.",
                param="clip",
            )
        self._energy += np.square(block, dtype=float).sum(axis=0)
        steps = (np.minimum(size, 1) * LEVELS).astype(np.int64)
        self._levels += np.bincount(steps, minlength=LEVELS + 1)


def _bad(given: str, todo: str) -> BadReference:
    allowed = "A reference clip is a recording of someone who speaks, such as WAV, MP3 or M4A."
    return BadReference(given, allowed, todo, param="clip")
