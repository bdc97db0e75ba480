"""One encoder for each way to make a format: by hand, with libsndfile, with ffmpeg.

Each takes float32 [T] at its rate and returns bytes as soon as it has some. What has to be written
over once the end is known (lengths, checksums) is left in `patches`; a stream goes without.
"""

from __future__ import annotations

import contextlib
import struct
import subprocess
import threading
import weakref
from io import BufferedReader
from typing import Any, Protocol, cast

import numpy as np

from engines.errors import EngineFailure, MissingDependency
from studio.formats import SOFTWARE, Format, Tags, id3, riff_info

UNKNOWN_LENGTH = 0xFFFFFFFF  # in a wav header: read on until there is no more
OGG_PAGE_LATENCY = 0x1302  # libsndfile's SFC_SET_OGG_PAGE_LATENCY_MS, which soundfile doesn't name
OGG_PAGE = 200.0  # milliseconds; the default of a second would delay the first sound
# Levels from 0 to 1. mp3 at an even 80 kbit/s up to 24 kHz: players work out the length of a stream
# from the rate. Opus at about 70: below 50 it takes its speech mode, which is 2.6 times the work.
LIBSNDFILE_OPTIONS: dict[str, dict[str, Any]] = {
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "mp3": {
        "format": "MP3",
        "subtype": "MPEG_LAYER_III",
        "compression_level": 0.5,
        "bitrate_mode": "CONSTANT",
    },
    "opus": {"format": "OGG", "subtype": "OPUS", "compression_level": 0.75},
}
AAC = ("-c:a", "aac", "-b:a", "64k", "-aac_coder", "fast", "-f", "adts")
PIPE_BLOCK = 1 << 16


class Encoder(Protocol):
    """What makes one output.

    Attributes:
        patches: offsets in the whole output, and the bytes to write over what stands there;
            complete after `close`.
    """

    patches: list[tuple[int, bytes]]

    def feed(self, samples: np.ndarray) -> bytes: ...

    def close(self) -> bytes: ...

    def abort(self) -> None: ...


def open_encoder(fmt: Format, sample_rate: int, tags: Tags, *, streaming: bool) -> Encoder:
    """An encoder for a rate that the format takes."""
    if fmt.name == "pcm":
        return PcmEncoder()
    if fmt.name == "wav":
        return WavEncoder(sample_rate, tags, streaming=streaming)
    if fmt.name == "aac":
        return FfmpegEncoder(AAC, sample_rate, id3(tags))
    return SoundfileEncoder(fmt, sample_rate, tags)


def to_pcm(samples: np.ndarray) -> bytes:
    """float32 [T] in [-1, 1] → 16-bit little-endian."""
    return np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


class PcmEncoder:
    """Bare 16-bit little-endian mono samples."""

    def __init__(self) -> None:
        self.patches: list[tuple[int, bytes]] = []

    def feed(self, samples: np.ndarray) -> bytes:
        return to_pcm(samples)

    def close(self) -> bytes:
        return b""

    def abort(self) -> None:
        pass


class WavEncoder:
    """16-bit mono wav with the canonical header of 44 bytes; the tags follow the samples."""

    def __init__(self, sample_rate: int, tags: Tags, *, streaming: bool) -> None:
        self.patches: list[tuple[int, bytes]] = []
        self._sample_rate = sample_rate
        self._info = b"" if streaming else riff_info(tags)
        self._size = 0
        self._begun = False

    def feed(self, samples: np.ndarray) -> bytes:
        data = to_pcm(samples)
        self._size += len(data)
        return self._start() + data

    def close(self) -> bytes:
        start = self._start()
        if self._size + len(self._info) + 36 < UNKNOWN_LENGTH:
            self.patches = [(0, self._header(36 + self._size + len(self._info), self._size))]
            return start + self._info
        return start  # more than the header can count: it stays that of a stream

    def abort(self) -> None:
        pass

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._header(UNKNOWN_LENGTH, UNKNOWN_LENGTH)

    def _header(self, riff_size: int, data_size: int) -> bytes:
        rate = self._sample_rate
        layout = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
        riff = b"RIFF" + struct.pack("<I", riff_size)
        return riff + b"WAVEfmt " + layout + b"data" + struct.pack("<I", data_size)


class _Sink:
    """A file for libsndfile that passes on what is appended and notes what is written over."""

    def __init__(self, written: int) -> None:
        self.patches: list[tuple[int, bytes]] = []
        self._fresh = bytearray()
        self._base = written  # bytes of the output before libsndfile's own
        self._size = 0
        self._position = 0

    def take(self) -> bytes:
        fresh = bytes(self._fresh)
        self._fresh.clear()
        return fresh

    def write(self, data: bytes) -> int:
        if self._position == self._size:
            self._fresh += data
            self._size += len(data)
        else:
            self.patches.append((self._base + self._position, bytes(data)))
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position


class SoundfileEncoder:
    """flac, mp3 and Opus in Ogg, with libsndfile."""

    def __init__(self, fmt: Format, sample_rate: int, tags: Tags) -> None:
        import soundfile

        self._prefix = id3(tags) if fmt.name == "mp3" else b""
        self._sink = _Sink(len(self._prefix))
        self.patches = self._sink.patches
        self._file = soundfile.SoundFile(
            self._sink,
            "w",
            samplerate=sample_rate,
            channels=1,
            **LIBSNDFILE_OPTIONS[fmt.name],
        )
        if fmt.name == "opus":
            latency = soundfile._ffi.new("double *", OGG_PAGE)
            soundfile._snd.sf_command(self._file._file, OGG_PAGE_LATENCY, latency, 8)
        if not self._prefix:
            self._file.title = tags.title
            self._file.comment = tags.comment
            self._file.software = SOFTWARE

    def feed(self, samples: np.ndarray) -> bytes:
        self._file.write(np.clip(samples, -1, 1))
        return self._taken()

    def close(self) -> bytes:
        self._file.close()
        return self._taken()

    def abort(self) -> None:
        self._file.close()

    def _taken(self) -> bytes:
        prefix, self._prefix = self._prefix, b""
        return prefix + self._sink.take()


class FfmpegEncoder:
    """Whatever libsndfile lacks, with the ffmpeg binary of imageio-ffmpeg in a process of its own.

    Args:
        codec: ffmpeg's options for the output.
        prefix: bytes that stand before ffmpeg's.

    Raises:
        MissingDependency: imageio-ffmpeg has no binary for this machine.
    """

    def __init__(self, codec: tuple[str, ...], sample_rate: int, prefix: bytes) -> None:
        self.patches: list[tuple[int, bytes]] = []
        source = ("-probesize", "32", "-f", "s16le", "-ar", str(sample_rate), "-ac", "1")
        target = ("-threads", "1", *codec, "-flush_packets", "1", "pipe:1")
        self._process = subprocess.Popen(
            (_ffmpeg(), "-v", "fatal", "-nostdin", *source, "-i", "pipe:0", *target),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdin
        self._input = self._process.stdin
        self._encoded = bytearray(prefix)
        self._lock = threading.Lock()
        # ffmpeg stops reading while nobody takes what it writes, hence the thread
        self._reader = threading.Thread(
            target=_drain,
            args=(cast(BufferedReader, self._process.stdout), self._encoded, self._lock),
            daemon=True,
        )
        self._reader.start()
        self._end = weakref.finalize(self, _end_process, self._process)

    def feed(self, samples: np.ndarray) -> bytes:
        try:
            self._input.write(to_pcm(samples))
            self._input.flush()
        except OSError:
            raise self._failure() from None
        return self._taken()

    def close(self) -> bytes:
        with contextlib.suppress(OSError):
            self._input.close()
        self._reader.join()
        if self._process.wait() != 0:
            raise self._failure()
        self._end()
        return self._taken()

    def abort(self) -> None:
        self._end()
        self._reader.join()

    def _failure(self) -> EngineFailure:
        assert self._process.stderr
        self._process.kill()
        reason = self._process.stderr.read().decode(errors="replace").strip()
        self.abort()
        return EngineFailure(
            f"The audio encoder stopped: {reason or 'it gave no reason'}.",
            "",
            "Try again, or take another format, such as wav.",
        )

    def _taken(self) -> bytes:
        with self._lock:
            encoded = bytes(self._encoded)
            self._encoded.clear()
        return encoded


def _drain(pipe: BufferedReader, into: bytearray, lock: threading.Lock) -> None:
    with contextlib.suppress(ValueError):  # closed by an abort
        while block := pipe.read1(PIPE_BLOCK):
            with lock:
                into += block


def _end_process(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with contextlib.suppress(OSError):  # what was not written has nowhere to go
                pipe.close()


def _ffmpeg() -> str:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise MissingDependency(
            f"There is no ffmpeg binary for this format: {error}.",
            "wav, flac, mp3, opus and pcm need none.",
            "Take one of these, or install imageio-ffmpeg.",
        ) from None
