"""Reference clips are decoded by what is in them, and whatever is no clip is refused."""

from __future__ import annotations

import io
import socket
import struct
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.api import CancelToken
from engines.errors import BadReference, Cancelled, MissingDependency
from studio.reference import SAMPLE_RATE, Clip, Limits, decode
from studio.reference import sources as readers
from tests.unit.reference_clips import (
    FFMPEG_FORMATS,
    SOUNDFILE_FORMATS,
    encoded,
    likeness,
    speech,
    to_file,
    white,
)

THREE_SECONDS = 3 * SAMPLE_RATE


@pytest.fixture
def voice() -> np.ndarray:
    return speech()[:THREE_SECONDS]


@pytest.mark.parametrize("name", [*SOUNDFILE_FORMATS, *FFMPEG_FORMATS])
def test_every_format_is_read_by_its_content(name, voice, tmp_path) -> None:
    clip = decode(encoded(voice, name, tmp_path))
    assert clip.sample_rate == SAMPLE_RATE
    assert clip.samples.dtype == np.float32
    assert clip.seconds == pytest.approx(3.0, abs=0.15)
    assert likeness(clip.samples, voice) > 0.9
    assert (clip.channels, clip.damaged) == (1, False)
    assert clip.format != "other"


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_becomes_one(rate) -> None:
    time = np.arange(rate) / rate
    clip = decode(to_file(0.5 * np.sin(2 * np.pi * 440 * time), rate))
    assert clip.recorded_rate == rate
    assert clip.samples.size == pytest.approx(SAMPLE_RATE, abs=2)
    assert np.abs(np.fft.rfft(clip.samples)).argmax() == pytest.approx(440, abs=1)


def test_channels_are_mixed(voice) -> None:
    clip = decode(to_file(np.stack([voice, 0 * voice], axis=1)))
    assert clip.channels == 2
    assert likeness(clip.samples, voice) > 0.999


def test_channels_that_cancel_each_other_are_not_mixed(voice) -> None:
    clip = decode(to_file(np.stack([voice, -voice], axis=1)))
    assert likeness(clip.samples, voice) > 0.999
    assert np.abs(clip.samples).max() == pytest.approx(np.abs(voice).max(), rel=0.05)


def test_eight_channels_at_192_khz_take_little_memory() -> None:
    rng = np.random.default_rng(0)
    data = to_file(rng.integers(-9999, 9999, (192_000 * 6, 8), np.int16), 192_000, "WAV", "PCM_16")
    tracemalloc.start()
    try:
        clip = decode(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (clip.channels, clip.recorded_rate) == (8, 192_000)
    assert clip.seconds == pytest.approx(6.0, abs=0.01)
    assert peak < 16 * 1024**2, "decoded it would be 37 MB"


# too much


def test_two_hours_are_refused_by_the_header_alone(monkeypatch) -> None:
    def never(self):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(readers.SoundfileSource, "blocks", never)
    data = to_file(np.zeros(1, np.int16), 8000, "WAV", "PCM_U8")[:44]
    size = 2 * 3600 * 8000
    data = data[:4] + struct.pack("<I", size + 36) + data[8:40] + struct.pack("<I", size)
    with pytest.raises(BadReference, match=r"120 minutes long.*at most 10 minutes"):
        decode(data + bytes(size))


@pytest.mark.parametrize("name", ["flac", "webm"])
def test_a_long_clip_without_an_honest_header_is_refused_on_the_way(name, voice, tmp_path) -> None:
    data = encoded(voice, name, tmp_path)
    if name == "flac":  # the length of a flac, left at 0, means that it is not known
        at = data.index(b"fLaC") + 8 + 13
        data = data[:at] + bytes([data[at] & 0xF0]) + bytes(4) + data[at + 5 :]
    with pytest.raises(BadReference, match="more than"):
        decode(data, limits=Limits(seconds=2.0))


def test_more_samples_than_allowed_are_refused(voice) -> None:
    with pytest.raises(BadReference, match="8 channels at 24,000 Hz"):
        decode(to_file(np.stack([voice] * 8, axis=1)), limits=Limits(samples=500_000))


def test_more_bytes_than_allowed_are_refused(voice) -> None:
    with pytest.raises(BadReference, match="at most 0 MiB"):
        decode(to_file(voice), limits=Limits(bytes=1000))


def test_a_decoding_that_takes_too_long_is_given_up(voice, tmp_path, monkeypatch) -> None:
    slow = tmp_path / "ffmpeg"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(readers, "_ffmpeg", lambda: str(slow))
    data = encoded(voice, "m4a", tmp_path)
    with pytest.raises(BadReference, match=r"longer than 0\.2 s"):
        decode(data, limits=Limits(patience=0.2))


@pytest.mark.parametrize("name", ["wav", "m4a"])
def test_it_stops_when_it_is_cancelled(name, voice, tmp_path) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        decode(encoded(voice, name, tmp_path), cancel=token)


# what is no clip


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("voice.wav", b"RIFF")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"Dear Sir or Madam,\n", "a text"),
        ("Grüße aus Köln, 東京".encode(), "a text"),
        (b"\xff\xfe" + "Notepad's text".encode("utf-16-le"), "a text"),
        (b"<?xml version='1.0'?><MPD/>", "a text"),
        (b"%PDF-1.7\n\x00\x01", "a PDF"),
        (b"\x89PNG\r\n\x1a\n\x00", "a picture"),
        (zipped(), "a zip archive"),
        (bytes(5000), "no recording that can be read"),
        (np.random.default_rng(3).bytes(5000), "no recording that can be read"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "no recording|no sound|breaks off"),
        (to_file(np.zeros(0)), "no sound in it"),
        (to_file(np.zeros(100), 100), "100 samples a second"),
        (to_file(np.full(9000, 32767.0)), "1.0 is full scale"),
    ],
)
def test_what_is_no_clip_is_refused_with_words(data, message) -> None:
    with pytest.raises(BadReference, match=message) as refused:
        decode(data)
    assert refused.value.param == "clip"
    assert refused.value.todo


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(value, voice) -> None:
    voice = voice.copy()
    voice[12345] = value
    with pytest.raises(BadReference, match="no numbers"):
        decode(to_file(voice))


def test_an_m4a_without_its_end_is_refused(voice, tmp_path) -> None:
    data = encoded(voice, "m4a", tmp_path)
    with pytest.raises(BadReference, match="breaks off before its end"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("name", ["m4a, table first", "wav", "flac"])
def test_what_can_be_read_of_a_clip_that_breaks_off_is_kept(name, voice, tmp_path) -> None:
    data = encoded(voice, name, tmp_path)
    clip = decode(data[: 2 * len(data) // 3])
    assert clip.damaged
    assert 1.0 < clip.seconds < 2.6
    assert likeness(clip.samples, voice[: clip.samples.size]) > 0.95


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_a_video_without_sound_is_refused(codec, tmp_path) -> None:
    target = tmp_path / "silent.mp4"
    source = ("-f", "lavfi", "-i", "testsrc=d=1:r=5:s=64x64")
    subprocess.run((readers._ffmpeg(), "-v", "error", *source, "-c:v", codec, target), check=True)
    with pytest.raises(BadReference, match="no sound in it"):
        decode(target.read_bytes())


def test_without_ffmpeg_it_says_what_needs_none(voice, tmp_path, monkeypatch) -> None:
    def missing():
        raise RuntimeError("no binary here")

    data = encoded(voice, "m4a", tmp_path)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", missing)
    with pytest.raises(MissingDependency, match="WAV, FLAC"):
        decode(data)
    assert decode(to_file(voice)).seconds == pytest.approx(3)


# playlists and other roads to other files


def playlists(target: str) -> dict[str, bytes]:
    return {
        "m3u8": (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{target}\n#EXT-X-ENDLIST\n"
        ).encode(),
        "concat": f"ffconcat version 1.0\nfile '{target}'\n".encode(),
        "pls": f"[playlist]\nFile1={target}\n".encode(),
        "dash": (
            "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static' "
            "mediaPresentationDuration='PT3S'><Period><AdaptationSet mimeType='audio/mp4'>"
            f"<Representation id='a' bandwidth='1'><BaseURL>{target}</BaseURL>"
            "</Representation></AdaptationSet></Period></MPD>"
        ).encode(),
    }


@pytest.mark.parametrize("kind", playlists(""))
def test_a_playlist_opens_no_file(kind, voice, tmp_path) -> None:
    named = tmp_path / "secret.wav"
    named.write_bytes(to_file(voice))
    for target in (str(named), f"file:{named}", named.as_uri()):
        data = playlists(target)[kind]
        with pytest.raises(BadReference, match=r"playlist|a text"):
            decode(data)
        with pytest.raises(BadReference, match="no recording"):  # nor where it is not noticed
            readers.FfmpegSource(data, patience=20)


@pytest.mark.parametrize("kind", playlists(""))
def test_a_playlist_opens_no_address(kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        data = playlists(f"http://127.0.0.1:{server.getsockname()[1]}/a.wav")[kind]
        with pytest.raises(BadReference):
            readers.FfmpegSource(data, patience=20)
        with pytest.raises(TimeoutError):
            server.accept()


def plays(what: str, folder: Path, *options: str) -> bool:
    """Whether ffmpeg itself plays a file of a folder, with options for its input."""
    command = (readers._ffmpeg(), "-v", "error", *options, "-i", what, "-f", "null", "-")
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize("kind", ["m3u8", "concat"])
def test_the_list_of_demuxers_alone_keeps_ffmpeg_from_a_playlist(kind, voice, tmp_path) -> None:
    (tmp_path / "secret.aac").write_bytes(encoded(voice, "aac", tmp_path))
    (tmp_path / "list.m3u8").write_bytes(playlists("secret.aac")[kind])
    assert plays("list.m3u8", tmp_path), "the playlist is a real one"
    at = readers.GUARDS.index("-format_whitelist")
    assert not plays("list.m3u8", tmp_path, *readers.GUARDS[at : at + 2])
    assert plays("secret.aac", tmp_path, *readers.GUARDS[at : at + 2])


def test_the_list_of_protocols_alone_keeps_ffmpeg_from_files(voice, tmp_path) -> None:
    (tmp_path / "secret.wav").write_bytes(to_file(voice))
    at = readers.GUARDS.index("-protocol_whitelist")
    assert plays("secret.wav", tmp_path)
    assert not plays("secret.wav", tmp_path, *readers.GUARDS[at : at + 2])


# anything at all


HEADS = st.sampled_from(
    [
        b"",
        b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\x00\x00\x00",
        b"fLaC\x00\x00\x00\x22",
        b"OggS\x00\x02",
        b"ID3\x03\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x00",
        b"\x00\x00\x00\x20ftypM4A ",
        b"\x1aE\xdf\xa3",
        b"FORM\x00\x00\x10\x00AIFFCOMM",
    ]
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(head=HEADS, rest=st.binary(max_size=2000))
def test_whatever_comes_is_decoded_or_refused(head: bytes, rest: bytes) -> None:
    try:
        clip = decode(head + rest)
    except BadReference:
        return
    assert isinstance(clip, Clip)
    assert np.isfinite(clip.samples).all()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.data())
def test_a_clip_with_changed_bytes_is_decoded_or_refused(data) -> None:
    clip = bytearray(to_file(white(4000, -20), RATE_OF_NOISE, "FLAC", "PCM_16"))
    for _ in range(data.draw(st.integers(1, 8))):
        clip[data.draw(st.integers(0, len(clip) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert np.isfinite(decode(bytes(clip)).samples).all()
    except BadReference:
        pass


RATE_OF_NOISE = 16_000
