"""Every format: streamed, whole, as a file; marked as synthetic; nothing left behind."""

from __future__ import annotations

import errno
import gc
import io
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import psutil
import pytest
import soundfile

from engines.errors import EngineFailure, MissingDependency, StorageError, UnknownFormat
from studio import encode, encoders
from studio.encode import FORMATS, StreamEncoder, Tags, encode_bytes, encode_file, format_named
from tests.unit.delivery_signals import voice

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
TAGS = Tags("Der Preis\nist 5 €: 好 “quoted”.", "espeak", "de")
COMMENT = "Synthetic speech, made with Vivavoce (espeak, de)"
TITLE = "Der Preis ist 5 €: 好 “quoted”."
RATE = 24000  # which every format takes
SOUND = voice(2.0, 5, 0.5, RATE)
# samples that a decoder may add: none, or what mp3 and ADTS cannot declare in a stream
SURPLUS = {"wav": 0, "flac": 0, "pcm": 0, "opus": 0, "mp3": 3 * 1152, "aac": 3 * 1024}
NAMES = list(FORMATS)


def ffmpeg(*options: str, data: bytes = b"") -> bytes:
    command = (FFMPEG, "-v", "error", *options)
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def decoded(data: bytes, name: str) -> np.ndarray:
    if name == "pcm":
        return np.frombuffer(data, "<i2").astype(np.float32) / 32767
    if name in ("aac", "flac"):  # libsndfile reads no aac, and no flac of unknown length
        heard = ffmpeg("-i", "pipe:0", "-f", "f32le", "-ac", "1", "-", data=data)
        return np.frombuffer(heard, np.float32)
    return soundfile.read(io.BytesIO(data), dtype="float32")[0]


def tags_of(path: Path) -> dict[str, str]:
    """What ffmpeg reads; of Ogg the tags belong to the stream, not to the file."""
    source = "0:s:0" if path.suffix == ".opus" else "0:g"
    data = ffmpeg("-i", str(path), "-map_metadata", source, "-f", "ffmetadata", "-")
    lines = data.decode().replace("\\\n", "\n").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key.lower(): value.replace("\\", "") for key, _, value in pairs}


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def streamed(name: str, *, step: int = 2000, rate: int = RATE, sound: np.ndarray = SOUND) -> bytes:
    encoder = StreamEncoder(FORMATS[name], rate, TAGS)
    parts = [encoder.feed(sound[i : i + step]) for i in range(0, sound.size, step)]
    return b"".join(parts) + encoder.close()


def likeness(sound: np.ndarray, heard: np.ndarray) -> float:
    """Greatest correlation over a delay of at most a seventh of a second."""
    size = 1 << (sound.size + heard.size).bit_length()
    spectrum = np.conj(np.fft.rfft(sound, size)) * np.fft.rfft(heard, size)
    best = np.fft.irfft(spectrum)[: RATE // 7].max()
    return float(best / np.linalg.norm(sound) / np.linalg.norm(heard))


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "ffmpeg" in child.name()]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_encoded_is_heard_again(name, whole):
    data = encode_bytes(FORMATS[name], RATE, SOUND, TAGS) if whole else streamed(name)
    if name == "wav" and whole:
        assert soundfile.info(io.BytesIO(data)).frames == SOUND.size
    heard = decoded(data, name)
    assert 0 <= heard.size - SOUND.size <= SURPLUS[name]
    assert likeness(SOUND, heard) > (0.95 if name in ("opus", "aac", "mp3") else 0.9999)


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus"])
def test_whole_files_tell_libsndfile_their_exact_length(name, tmp_path):
    path = tmp_path / f"x.{FORMATS[name].extension}"
    encode_file(path, FORMATS[name], RATE, [SOUND], TAGS)
    info = soundfile.info(path)
    assert info.duration == pytest.approx(2.0, abs=0.002)
    assert info.channels == 1
    heard, rate = soundfile.read(path, dtype="float32")
    assert rate == FORMATS[name].rate_for(RATE)
    assert heard.size / rate == pytest.approx(2.0, abs=0.002)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100])
@pytest.mark.parametrize("name", NAMES)
def test_every_rate_of_an_engine_is_taken(name, rate):
    sound = voice(0.7, 1, 0.5, rate)
    encoder = StreamEncoder(FORMATS[name], rate, TAGS)
    heard = decoded(encoder.feed(sound) + encoder.close(), name)
    if name == "opus":  # whose decoder gives the rate that it was made from
        heard = heard[: round(0.7 * encoder.sample_rate) + 2]
    assert encoder.sample_rate >= rate
    assert heard.size == pytest.approx(0.7 * encoder.sample_rate, abs=SURPLUS[name] + 2)


@pytest.mark.parametrize(("name", "rate"), [("opus", 22050), ("pcm", 22050), ("flac", 48000)])
def test_the_output_rate_may_be_chosen(name, rate):
    sound = voice(1.0, 2, 0.5, rate)
    encoder = StreamEncoder(FORMATS[name], rate, TAGS, output_rate=24000)
    heard = decoded(encoder.feed(sound) + encoder.close(), name)
    assert encoder.sample_rate == 24000
    assert heard.size == pytest.approx(24000, abs=2)
    pitch = np.argmax(np.abs(np.fft.rfft(sound)))
    assert np.argmax(np.abs(np.fft.rfft(heard[:24000]))) == pytest.approx(pitch, abs=1)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_gives_bytes_while_it_is_fed(name):
    with StreamEncoder(FORMATS[name], RATE, TAGS) as encoder:
        sizes = [len(encoder.feed(SOUND[i : i + 1200])) for i in range(0, SOUND.size, 1200)]
        if name == "aac":  # made by another process, which gets the time that it needs
            deadline = time.monotonic() + 20
            while sum(sizes) < 2000 and time.monotonic() < deadline:
                time.sleep(0.01)
                sizes.append(len(encoder.feed(SOUND[:0])))
        last = len(encoder.close())
    assert sum(sizes) > (2000 if name == "aac" else last)
    assert sum(sizes[:10]) > 0  # the first half second


@pytest.mark.parametrize("name", NAMES)
def test_the_cut_into_chunks_does_not_matter(name):
    sound = SOUND[:RATE]
    one, many = streamed(name, sound=sound, step=RATE), streamed(name, sound=sound, step=777)
    np.testing.assert_array_equal(decoded(one, name), decoded(many, name))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_at_all_is_encoded_without_complaint(name):
    data = encode_bytes(FORMATS[name], RATE, np.zeros(0, np.float32), TAGS)
    assert decoded(data, name).size <= 1 + SURPLUS[name]


@pytest.mark.parametrize("name", NAMES)
def test_samples_out_of_range_are_limited_not_wrapped(name):
    loud = np.clip(SOUND * 10, -3, 3).astype(np.float32)
    heard = decoded(encode_bytes(FORMATS[name], RATE, loud, TAGS), name)
    assert likeness(np.clip(loud, -1, 1), heard) > 0.9


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus", "aac"])
def test_files_are_marked_as_synthetic(name, tmp_path):
    path = tmp_path / f"x.{FORMATS[name].extension}"
    encode_file(path, FORMATS[name], RATE, [SOUND], TAGS)
    tags = tags_of(path)
    assert tags["comment"] == COMMENT
    assert tags["title"] == TITLE
    if name != "aac":
        read = soundfile.SoundFile(path).copy_metadata()
        assert read["comment"] == COMMENT
        assert read["title"] == TITLE
        assert read["software"].startswith("Vivavoce")


@pytest.mark.parametrize("name", ["flac", "mp3", "opus", "aac"])
def test_streams_are_marked_as_synthetic_from_the_start(name, tmp_path):
    data = streamed(name)
    path = tmp_path / f"x.{FORMATS[name].extension}"
    path.write_bytes(data)
    assert tags_of(path)["comment"] == COMMENT
    # in the first few hundred bytes, as UTF-8 or UTF-16
    assert any(COMMENT.encode(code) in data[:1000] for code in ("utf-8", "utf-16-le"))


@pytest.mark.parametrize(
    "text", ["", " \n ", "a\0b\x07\x1b[0m", "\ud800 lone", "x" * 5000, "‮rtl", "=;#\\\n[x]"]
)
@pytest.mark.parametrize("name", NAMES)
def test_any_text_makes_a_title(name, text):
    data = encode_bytes(FORMATS[name], RATE, SOUND[:4000], Tags(text, "e", "v"))
    assert len(data) < 60_000
    title = Tags(text, "e", "v").title
    assert len(title) <= 80
    assert title.isprintable()


def test_a_wav_file_has_the_canonical_header_and_the_tags_at_its_end():
    data = encode_bytes(FORMATS["wav"], RATE, SOUND, TAGS)
    samples = 2 * SOUND.size
    layout = struct.unpack("<4sI4s4sIHHIIHH4sI", data[:44])
    assert layout == (
        *(b"RIFF", len(data) - 8, b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16),
        *(b"data", samples),
    )
    expected = np.rint(SOUND * 32767).astype("<i2")
    np.testing.assert_array_equal(np.frombuffer(data[44 : 44 + samples], "<i2"), expected)
    assert data[44 + samples :].startswith(b"LIST")


def test_a_streamed_wav_says_that_its_length_is_unknown():
    data = streamed("wav")
    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
    assert len(data) == 44 + 2 * SOUND.size  # nothing that would be heard as noise at the end


def test_pcm_is_bare_little_endian():
    data = encode_bytes(FORMATS["pcm"], RATE, np.array([0, 1, -1, 0.5], np.float32), TAGS)
    assert struct.unpack("<4h", data) == (0, 32767, -32767, 16384)


def test_unknown_formats_are_refused_with_a_list():
    with pytest.raises(UnknownFormat, match="wav, flac, mp3, opus, aac, pcm"):
        format_named("ogg")
    assert format_named("MP3") is FORMATS["mp3"]


def test_abort_ends_the_process_and_its_thread():
    threads = threading.active_count()
    encoder = StreamEncoder(FORMATS["aac"], RATE, TAGS)
    encoder.feed(SOUND)
    assert len(children()) == 1
    encoder.abort()
    assert not children()
    assert threading.active_count() == threads
    encoder.abort()  # harmless


def test_close_leaves_no_process():
    streamed("aac")
    assert not children()


def test_an_encoder_that_is_forgotten_ends_its_process():
    encoder = StreamEncoder(FORMATS["aac"], RATE, TAGS)
    encoder.feed(SOUND)
    del encoder
    gc.collect()
    assert not children()


@pytest.mark.parametrize("name", NAMES)
def test_abort_in_the_middle_is_quiet(name):
    with StreamEncoder(FORMATS[name], RATE, TAGS) as encoder:
        encoder.feed(SOUND)
    assert not children()


def test_a_killed_process_is_an_error_not_a_hang():
    encoder = StreamEncoder(FORMATS["aac"], RATE, TAGS)
    encoder.feed(SOUND)
    children()[0].kill()
    with pytest.raises(EngineFailure, match="encoder stopped"):
        for _ in range(100):
            encoder.feed(SOUND)
        encoder.close()
    assert not children()


def test_more_is_fed_at_once_than_the_pipes_hold():
    """Nobody takes what ffmpeg writes until a feed of megabytes returns."""
    sound = np.random.default_rng(0).normal(0, 0.2, 20 * 48000).astype(np.float32)
    with StreamEncoder(FORMATS["aac"], 48000, TAGS) as encoder:
        assert len(encoder.feed(sound) + encoder.close()) > 100_000


def test_without_a_binary_the_other_formats_are_named(monkeypatch):
    def missing() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(MissingDependency, match="opus"):
        StreamEncoder(FORMATS["aac"], RATE, TAGS)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_what_is_encoded_in_memory(name, tmp_path):
    path = tmp_path / "out"
    encode_file(path, FORMATS[name], RATE, np.split(SOUND, 8), TAGS)
    data = path.read_bytes()
    whole = encode_bytes(FORMATS[name], RATE, SOUND, TAGS)
    if name != "opus":  # an Ogg stream has a random number in every page
        assert data == whole
    np.testing.assert_array_equal(decoded(data, name), decoded(whole, name))
    assert names(tmp_path) == ["out"]


def test_a_file_takes_the_place_of_an_older_one_and_has_ordinary_rights(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(b"old")
    encode_file(path, FORMATS["wav"], RATE, [SOUND], TAGS)
    assert soundfile.info(path).frames == SOUND.size
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"There is no folder .*nowhere"):
        encode_file(tmp_path / "nowhere" / "x.wav", FORMATS["wav"], RATE, [SOUND], TAGS)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"There is no folder .*file"):
        encode_file(tmp_path / "file" / "x.wav", FORMATS["wav"], RATE, [SOUND], TAGS)


def test_a_folder_in_the_place_of_the_file_is_an_error(tmp_path):
    (tmp_path / "x.wav").mkdir()
    with pytest.raises(StorageError, match="directory"):
        encode_file(tmp_path / "x.wav", FORMATS["wav"], RATE, [SOUND], TAGS)
    assert names(tmp_path) == ["x.wav"]


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus", "aac"])
def test_a_failing_source_leaves_nothing_behind(name, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def blocks():
        yield SOUND
        raise EngineFailure("The engine broke.")

    with pytest.raises(EngineFailure):
        encode_file(path, FORMATS[name], RATE, blocks(), TAGS)
    assert names(tmp_path) == ["x"]
    assert path.read_bytes() == b"old"
    assert not children()


class FullDisk(io.BytesIO):
    def __init__(self, file, room: int) -> None:
        super().__init__()
        self.file = file
        self.room = room

    def write(self, data) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def fileno(self) -> int:
        return self.file.fileno()

    def close(self) -> None:
        self.file.close()


@pytest.mark.parametrize("room", [0, 100, 10_000])
@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus", "aac"])
def test_a_full_disk_leaves_nothing_behind(name, room, tmp_path, monkeypatch):
    really_open = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda path, mode: FullDisk(really_open(path, mode), room),
    )
    with pytest.raises(StorageError, match="No space left"):
        encode_file(tmp_path / "x", FORMATS[name], RATE, [SOUND] * 5, TAGS)
    assert names(tmp_path) == []
    assert not children()


def test_a_disk_that_fills_up_at_the_very_end_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(encode.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        encode_file(tmp_path / "x", FORMATS["wav"], RATE, [SOUND], TAGS)
    assert names(tmp_path) == []


@pytest.fixture
def tiny_disk(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount).returncode != 0:
        pytest.skip("a small disk can only be mounted by root on Linux")
    yield folder
    subprocess.run(("umount", str(folder)), check=True)


def test_a_really_full_disk_leaves_nothing_behind(tiny_disk):
    (tiny_disk / "x.wav").write_bytes(b"old")
    with pytest.raises(StorageError, match="No space left"):
        encode_file(tiny_disk / "x.wav", FORMATS["wav"], RATE, [SOUND] * 4, TAGS)
    assert names(tiny_disk) == ["x.wav"]
    assert (tiny_disk / "x.wav").read_bytes() == b"old"


def test_a_file_is_written_block_by_block(tmp_path, monkeypatch):
    """What waits in memory does not grow with the length of the audio."""
    held = []
    really_write = encode._write

    def write(file, path, data, offset=None):
        held.append(len(data))
        really_write(file, path, data, offset)

    monkeypatch.setattr(encode, "_write", write)
    encode_file(tmp_path / "x", FORMATS["flac"], RATE, [SOUND[:4000]] * 100, TAGS)
    assert len(held) > 50
    assert max(held) < 20_000


def test_importing_the_encoder_loads_no_codec():
    code = (
        "import sys, studio.encode, studio.delivery, studio.captions;"
        "print([m for m in ('soundfile', 'imageio_ffmpeg', 'soxr', 'scipy', 'pyloudnorm', 'torch')"
        " if m in sys.modules])"
    )
    run = subprocess.run((sys.executable, "-c", code), capture_output=True, check=True, text=True)
    assert run.stdout.strip() == "[]"


def test_the_page_latency_is_taken_by_libsndfile(monkeypatch):
    """It is set through a private name of soundfile: an upgrade must not break it unseen."""
    answers = []
    really = soundfile._snd.sf_command

    class Snd:
        def __getattr__(self, name):
            return getattr(really_snd, name)

        def sf_command(self, *args):
            answers.append((args[1], really(*args)))
            return answers[-1][1]

    really_snd = soundfile._snd
    monkeypatch.setattr(soundfile, "_snd", Snd())
    StreamEncoder(FORMATS["opus"], 24000, TAGS).abort()
    assert (encoders.OGG_PAGE_LATENCY, 0) in answers
