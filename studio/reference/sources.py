"""Two ways to read sound from bytes, block by block: libsndfile, and ffmpeg for the rest.

What a file is called plays no part. ffmpeg runs in a process of its own and gets the bytes as its
standard input, an unnamed file: it may open no other file and no address, and only demuxers that
hold sound themselves, so that a playlist leads nowhere.

Shapes: N frames of one block, C channels.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterator
from typing import IO, Protocol

import numpy as np

from engines.errors import BadReference, MissingDependency, StorageError

BLOCK = 1 << 15  # samples of all channels at a time: as many are lost where a file is damaged
ENDLESS = 1 << 62  # frames, by which libsndfile means that it does not know
# libsndfile guesses at some more, such as HTK, from a few bytes that any file may begin with
FORMATS = {"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "CAF", "AU"}
UNKNOWN_SIZE = 0x7F000000  # bytes; a header that claims more was written before the end was known
CUT_SHORT = re.compile(r"data\s*:\s*(\d+)\s*\(should be")

DEMUXERS = "mov,matroska,webm,aac,asf,amr,ac3,eac3,avi,mp3,ogg,wav,w64,flac,aiff,caf,au"
CODECS = (
    "aac,aac_latm,alac,mp3,mp3float,mp2,mp2float,opus,vorbis,flac,wmav1,wmav2,wmapro,amrnb,amrwb,"
    "ac3,eac3,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_u8,pcm_f32le,"
    "pcm_f32be,pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,gsm_ms"
)
GUARDS = (
    *("-protocol_whitelist", "fd", "-format_whitelist", DEMUXERS, "-codec_whitelist", CODECS),
    *("-max_alloc", str(1 << 28), "-threads", "1"),
)
SOUND_ONLY = ("-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1")
AU_OUTPUT = ("-c:a", "pcm_f32be", "-f", "au", "pipe:1")  # its header has rate and channels
AU_HEADER = 24  # bytes that every au file begins with
AU_LONGEST_HEADER = 4096
DAMAGE = re.compile(r"partial file|invalid data|truncat|corrupt|error submitting|not found", re.I)


CONTAINERS = (
    (4, b"ftyp", "MP4"),
    (0, b"\x1aE\xdf\xa3", "WebM"),
    (0, b"0&\xb2u", "WMA"),
    (0, b"#!AMR", "AMR"),
    (0, b"OggS", "OGG"),
    (8, b"AVI ", "AVI"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
)


class Source(Protocol):
    """Sound that can be read from its beginning more than once.

    Attributes:
        format: a word for it. rate: Hz. channels: C.
        frames: that its header promises; None where that is not known.
        broken: True once a reading has found that it breaks off before its end.
    """

    format: str
    rate: int
    channels: int
    frames: int | None
    broken: bool

    def blocks(self) -> Iterator[np.ndarray]:
        """float32 [N, C], from the beginning."""
        ...

    def close(self) -> None: ...


class SoundfileSource:
    """What libsndfile reads.

    Raises:
        ValueError: it does not know the format.
    """

    def __init__(self, data: bytes) -> None:
        import soundfile

        self._data = data
        self._failure = soundfile.LibsndfileError
        try:
            with soundfile.SoundFile(io.BytesIO(data)) as file:
                self.format, self.rate, self.channels = file.format, file.samplerate, file.channels
                self.frames = file.frames if file.frames < ENDLESS else None
                cut = CUT_SHORT.search(file.extra_info)
        except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
            raise ValueError(str(error)) from None
        if self.format not in FORMATS:
            raise ValueError(f"{self.format} is not read")
        self.broken = cut is not None and 0 < int(cut.group(1)) < UNKNOWN_SIZE

    def blocks(self) -> Iterator[np.ndarray]:
        import soundfile

        size = max(1, BLOCK // self.channels)
        got = 0
        with soundfile.SoundFile(io.BytesIO(self._data)) as file:
            while True:
                try:
                    block = file.read(size, dtype="float32", always_2d=True)
                except self._failure:  # what came before stays good
                    self.broken = True
                    return
                got += len(block)
                if len(block):
                    yield block
                if len(block) < size:
                    break
        self.broken = self.broken or (self.frames is not None and got < self.frames)

    def close(self) -> None:
        pass


class FfmpegSource:
    """What the ffmpeg binary of imageio-ffmpeg reads.

    Args:
        patience: seconds after which a decoding is given up.

    Raises:
        BadReference: it finds no sound.
        MissingDependency: there is no ffmpeg for this machine.
        StorageError: the disk has no room for a copy.
    """

    def __init__(self, data: bytes, patience: float) -> None:
        self.format = next(
            (name for at, mark, name in CONTAINERS if data.startswith(mark, at)), "other"
        )
        self.frames: int | None = None
        self.broken = False
        self._patience = patience
        self._binary = _ffmpeg()
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise StorageError(
                f"The clip could not be put aside ({error.strerror}).",
                "It is decoded from a file in the folder for temporary files.",
                "Free some space and try again.",
            ) from error
        try:
            with contextlib.closing(self._run()) as run:
                layout = next(run)
        except BaseException:
            self.close()
            raise
        assert isinstance(layout, tuple)
        self.rate, self.channels = layout

    def blocks(self) -> Iterator[np.ndarray]:
        for block in self._run():
            if isinstance(block, np.ndarray):
                yield block

    def close(self) -> None:
        self._file.close()

    def _run(self) -> Generator[tuple[int, int] | np.ndarray, None, None]:
        """Rate and channels, then the blocks of one decoding."""
        self._file.seek(0)  # the process shares our place in the file
        command = (self._binary, "-v", "error", "-nostdin", *GUARDS, "-i", "fd:", *SOUND_ONLY)
        with tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(
                (*command, *AU_OUTPUT), stdin=self._file, stdout=subprocess.PIPE, stderr=complaints
            )
            watch = threading.Timer(self._patience, process.kill)
            watch.start()
            assert process.stdout
            try:
                layout = _au_layout(process.stdout)
                if layout is None:
                    process.wait()
                    raise _no_sound(watch, complaints)
                yield layout
                yield from _au_blocks(process.stdout, layout[1])
                self.broken = process.wait() != 0 or bool(DAMAGE.search(_said(complaints)))
                if not watch.is_alive():
                    raise _too_slow(self._patience)
            finally:
                watch.cancel()
                process.kill()
                process.wait()
                process.stdout.close()


def _ffmpeg() -> str:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise MissingDependency(
            f"There is no ffmpeg binary for this clip: {error}.",
            "WAV, FLAC, MP3, Ogg and Opus clips need none.",
            "Save the clip as one of these, or install imageio-ffmpeg.",
        ) from None


def _au_layout(pipe: IO[bytes]) -> tuple[int, int] | None:
    """Rate and channels of the au stream that begins here; None where there is none."""
    header = pipe.read(AU_HEADER)
    if len(header) < AU_HEADER:
        return None
    offset, _size, _encoding, rate, channels = struct.unpack(">5I", header[4:])
    if header[:4] != b".snd" or not AU_HEADER <= offset <= AU_LONGEST_HEADER or not channels:
        return None
    pipe.read(offset - AU_HEADER)
    return rate, channels


def _au_blocks(pipe: IO[bytes], channels: int) -> Iterator[np.ndarray]:
    size = 4 * channels * max(1, BLOCK // channels)
    while data := pipe.read(size):
        whole = len(data) - len(data) % (4 * channels)
        yield np.frombuffer(data[:whole], ">f4").astype(np.float32).reshape(-1, channels)


def _said(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    return complaints.read(1 << 16).decode("utf-8", "replace")


def _no_sound(watch: threading.Timer, complaints: IO[bytes]) -> BadReference:
    if not watch.is_alive():
        return _too_slow(watch.interval)
    said = _said(complaints)
    if "matches no streams" in said:
        return BadReference(
            "The file has no sound in it.",
            "A reference clip is a recording of someone who speaks.",
            "Choose another file, or record it here.",
            param="clip",
        )
    if "moov atom not found" in said:
        return BadReference(
            "The file breaks off before its end: its table of contents is missing.",
            "A whole m4a, mp4 or mov file is needed, since the table stands at the end.",
            "Copy or export it again.",
            param="clip",
        )
    return BadReference(
        "The file is no recording that can be read.",
        "WAV, FLAC, MP3, Ogg, Opus, M4A, AAC, WebM, WMA, AMR, AIFF and the sound of videos are.",
        "Choose another file, or record it here.",
        param="clip",
    )


def _too_slow(seconds: float) -> BadReference:
    return BadReference(
        f"Decoding the file took longer than {seconds:g} s.",
        "",
        "Save it as WAV or FLAC, or cut out the passage that you need.",
        param="clip",
    )
