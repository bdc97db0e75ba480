"""A reference clip is cut to its speech, levelled, and judged in plain words."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

from engines.api import CancelToken
from engines.errors import BadReference, Cancelled, MissingDependency
from studio.reference import Prepared, clean, prepare, prepare_clip, waveform_svg
from studio.reference import speech as vad
from tests.unit.reference_clips import RATE, at_level, music, speech, to_file, white

ROOT = Path(__file__).resolve().parents[2]


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def ready(samples: np.ndarray, rate: int = RATE, **options) -> Prepared:
    return prepare(to_file(samples, rate), **options)


def found(prepared: Prepared, about: str) -> str:
    """The severity of a finding; "" where there is none."""
    return next((f.severity for f in prepared.report.findings if f.about == about), "")


def text_of(prepared: Prepared, about: str) -> str:
    return next(f"{f.text} {f.advice}" for f in prepared.report.findings if f.about == about)


def loudness(samples: np.ndarray) -> float:
    import pyloudnorm

    return pyloudnorm.Meter(RATE).integrated_loudness(samples.astype(float))


# a good clip


@pytest.mark.parametrize("name", ["lj_1", "lj_2", "spark_prompt_zh"])
def test_a_good_clip_is_found_good(name) -> None:
    clip = ready(speech(name))
    assert clip.report.usable
    assert {f.severity for f in clip.report.findings} == {"good"}, clip.report.findings
    assert clip.samples.dtype == np.float32
    assert clip.sample_rate == RATE
    assert 8.5 < clip.report.kept_seconds <= clip.report.seconds < 10
    assert clip.seconds == pytest.approx(clip.report.kept_seconds)


def test_what_it_is_told_by_is_the_wav_that_is_kept() -> None:
    clip = ready(speech())
    wav = clip.wav()
    assert clip.sha256 == hashlib.sha256(wav).hexdigest()
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(samples, clip.samples, atol=1e-4)
    assert ready(speech()).sha256 == clip.sha256
    assert ready(speech("lj_2")).sha256 != clip.sha256
    original, rate = soundfile.read(io.BytesIO(clip.original_wav()), dtype="float32")
    assert (rate, original.size) == (RATE, speech().size)


@pytest.mark.parametrize("gain", [0.02, 0.3, 1.0])
def test_every_clip_comes_out_equally_loud(gain) -> None:
    clip = ready(gain * speech())
    reference = loudness(ready(speech()).samples)
    assert loudness(clip.samples) == pytest.approx(reference, abs=0.3)
    assert clean.LOUDNESS - 3 < reference < clean.LOUDNESS + 0.5
    assert np.abs(clip.samples).max() <= 10 ** (clean.PEAK / 20) + 1e-6


def test_a_constant_offset_is_taken_away() -> None:
    assert abs(ready(0.3 * speech() + 0.2).samples.mean()) < 1e-3


# silence


def test_silence_around_and_within_is_cut() -> None:
    voice = speech()
    at = round(2.95 * RATE)  # a pause of the reader's
    clip = ready(np.concatenate([silence(2), voice[:at], silence(5), voice[at:], silence(3)]))
    assert clip.report.seconds == pytest.approx(19.6, abs=0.1)
    assert 9.0 < clip.seconds < 10.0
    assert clip.kept[0][0] == pytest.approx(2.0, abs=0.2)
    assert clip.kept[-1][1] == pytest.approx(16.6, abs=0.3)
    gaps = [after[0] - before[1] for before, after in zip(clip.kept, clip.kept[1:], strict=False)]
    assert max(gaps) == pytest.approx(5.0, abs=0.4)


def test_pieces_are_joined_without_a_click() -> None:
    spans = [(0.0, 0.5), (1.0, 1.5), (2.0, 2.5)]
    tone = np.sin(2 * np.pi * 100.3 * np.arange(3 * RATE) / RATE).astype(np.float32)
    out = clean.cut(tone, RATE, spans)
    assert out.size == 3 * RATE // 2 - 2 * round(clean.CROSSFADE * RATE)
    assert np.abs(np.diff(out)).max() < 1.5 * np.abs(np.diff(tone)).max()
    np.testing.assert_array_equal(out[:100], tone[:100])
    np.testing.assert_array_equal(
        out[-100:], tone[2 * RATE + RATE // 2 - 100 : 2 * RATE + RATE // 2]
    )


def test_of_a_long_clip_the_plainest_part_is_kept() -> None:
    voice = np.concatenate([speech(), speech("lj_2"), silence(0.5)])
    noisy = np.tile(voice + white(voice.size, -32), 2)
    clip = ready(np.concatenate([noisy, np.tile(voice, 2), noisy]))
    assert found(clip, "length") == "warning"
    assert "plainest" in text_of(clip, "length")
    assert clean.BEST_PART - clean.LONGEST_PIECE < clip.seconds <= clean.BEST_PART
    inside = clean.total(
        [(max(a, 38.4), min(b, 76.8)) for a, b in clip.kept if a < 76.8 and b > 38.4]
    )
    assert inside > 0.9 * clip.seconds, clip.kept


def test_speech_without_any_pause_is_cut_to_length_too() -> None:
    likely = np.full(3000, 0.9, np.float32)
    spans = clean.best_part([(0.0, 96.0)], likely)
    assert clean.BEST_PART - clean.LONGEST_PIECE < clean.total(spans) <= clean.BEST_PART
    assert len(spans) == 1


# where speech is


def test_the_network_gives_what_its_own_package_gives() -> None:
    torch = pytest.importorskip("torch")
    from silero_vad import load_silero_vad

    samples = speech()[: 4 * RATE]
    import soxr

    theirs = load_silero_vad(onnx=True).audio_forward(
        torch.from_numpy(soxr.resample(samples, RATE, 16_000))[None], 16_000
    )
    ours = vad.probabilities(samples, RATE)
    np.testing.assert_allclose(ours, theirs.numpy().ravel(), atol=2e-3)


def test_probabilities_do_not_depend_on_how_they_are_batched(monkeypatch) -> None:
    whole = vad.probabilities(speech(), RATE)
    monkeypatch.setattr(vad, "BATCH", 7)
    np.testing.assert_allclose(vad.probabilities(speech(), RATE), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("likely", "expected"),
    [
        ([0.1] * 10, []),
        ([0.9] * 10, [(0, 10)]),
        ([0.1] * 3 + [0.9] * 8 + [0.1] * 5, [(3, 11)]),
        ([0.9] * 8 + [0.4] * 3 + [0.9] * 8, [(0, 19)]),  # unsure is no end
        ([0.9] * 8 + [0.1] * 2 + [0.9] * 8, [(0, 18)]),  # nor is so short a pause
        ([0.9] * 8 + [0.1] * 5 + [0.9] * 8, [(0, 8), (13, 21)]),
        ([0.1] * 5 + [0.9] * 2 + [0.1] * 5, []),  # a click
    ],
)
def test_passages(likely, expected) -> None:
    assert vad.passages(np.array(likely, np.float32)) == expected


def test_without_silero_it_says_so(monkeypatch) -> None:
    vad._session.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    try:
        with pytest.raises(MissingDependency, match=r"requirements\.txt"):
            vad.probabilities(speech(), RATE)
    finally:
        vad._session.cache_clear()


# what is wrong with a clip


@pytest.mark.parametrize(
    ("seconds", "severity"), [(0.5, "bad"), (1.9, "warning"), (4.5, "good"), (9.0, "good")]
)
def test_length(seconds, severity) -> None:
    clip = ready(speech()[: round(seconds * RATE)])
    assert found(clip, "length") == severity
    assert clip.report.usable is (severity != "bad")


def test_the_gravest_finding_comes_first() -> None:
    clip = ready(speech()[: RATE // 2])
    order = [f.severity for f in clip.report.findings]
    assert order == sorted(order, key=("bad", "warning", "good").index)
    assert order[0] == "bad"
    assert all(f.advice for f in clip.report.findings if f.severity != "good")


@pytest.mark.parametrize(("limit", "severity"), [(2.0, ""), (0.4, "warning"), (0.15, "bad")])
@pytest.mark.parametrize("gain", [1.0, 0.4])
def test_clipping_is_found_at_any_gain(limit, severity, gain) -> None:
    clip = ready(gain * np.clip(speech(), -limit, limit))
    assert found(clip, "clipping") == severity, clip.report.clipped_share


@pytest.mark.parametrize(("level", "severity"), [(-70, "good"), (-36, "warning"), (-24, "bad")])
def test_noise(level, severity) -> None:
    clip = ready(speech() + white(speech().size, level))
    assert found(clip, "noise") == severity
    assert clip.report.noise_floor == pytest.approx(max(level, -64), abs=3)


def test_denoising_lowers_the_noise_and_not_the_voice() -> None:
    voice = np.concatenate([silence(1), speech()])
    noisy = voice + white(voice.size, -36)
    kept, cleaned = ready(noisy), ready(noisy, denoise=True)
    assert found(kept, "noise") == "warning"
    assert found(cleaned, "noise") == "good"
    assert "was loud" in text_of(cleaned, "noise")

    def quietest(samples: np.ndarray) -> float:
        frames = samples[: samples.size // 480 * 480].reshape(-1, 480)
        return 10 * np.log10(np.percentile(np.square(frames).mean(axis=1), 5))

    assert quietest(cleaned.samples) < quietest(kept.samples) - 8
    assert loudness(cleaned.samples) == pytest.approx(loudness(kept.samples), abs=1.5)
    assert cleaned.sha256 != kept.sha256
    assert cleaned.samples.size == kept.samples.size


def test_a_decoded_clip_can_be_prepared_again_with_less_noise() -> None:
    noisy = speech() + white(speech().size, -36)
    clip = ready(noisy)
    again = prepare_clip(clip.original, denoise=True)
    assert again.sha256 == ready(noisy, denoise=True).sha256
    assert again.original is clip.original


def test_a_very_quiet_clip() -> None:
    clip = ready(0.02 * speech())
    assert found(clip, "level") == "warning"
    assert found(ready(0.3 * speech()), "level") == ""
    assert clip.report.level == pytest.approx(ready(speech()).report.level - 34, abs=1)


@pytest.mark.parametrize("name", ["lj_1", "lj_2", "spark_prompt_zh"])
def test_music_below_a_voice(name) -> None:
    voice = speech(name)
    assert found(ready(voice + music(voice.size, -28)), "music") == "warning"
    time = np.arange(voice.size) / RATE
    hum = at_level(sum(np.sin(2 * np.pi * 50 * k * time) / k for k in range(1, 12)), -35)
    assert found(ready(voice + hum), "music") == "", "the hum of the mains is none"


def test_a_telephone() -> None:
    import soxr

    narrow = soxr.resample(speech(), RATE, 8000)
    assert found(ready(narrow, 8000), "telephone") == "warning"
    assert found(ready(soxr.resample(narrow, 8000, 44100), 44100), "telephone") == "warning"
    band = signal.butter(8, [300, 3400], "bandpass", fs=RATE, output="sos")
    assert found(ready(signal.sosfilt(band, speech())), "telephone") == "warning"
    assert found(ready(soxr.resample(speech(), RATE, 16000), 16000), "telephone") == ""


def test_a_damaged_file_is_said_to_be_one() -> None:
    data = to_file(speech(), kind="WAV", subtype="PCM_16")
    clip = prepare(data[: len(data) // 2])
    assert found(clip, "damage") == "warning"
    assert clip.report.usable


def test_several_speakers_by_the_embedding_that_it_is_given() -> None:
    def by_loudness(samples: np.ndarray, rate: int) -> np.ndarray:
        assert rate == RATE
        angle = 0.0 if np.sqrt(np.mean(np.square(samples))) > 0.04 else 1.2
        return np.array([np.cos(angle), np.sin(angle)], np.float32)

    one = np.concatenate([speech(), speech("lj_2")])
    two = np.concatenate([speech(), 0.2 * speech("lj_2")])
    assert found(ready(one, embed=by_loudness), "speakers") == ""
    assert found(ready(two, embed=by_loudness), "speakers") == "warning"
    assert found(ready(two), "speakers") == "", "nothing is said where nothing was looked at"


def test_several_speakers_by_their_real_embeddings() -> None:
    pytest.importorskip("resemblyzer")
    from studio.speaker import embed

    same = np.concatenate([speech()[: 5 * RATE], speech("lj_2")[: 5 * RATE]])
    other = np.concatenate([speech()[: 5 * RATE], speech("spark_prompt_zh")[: 5 * RATE]])
    assert found(ready(same, embed=embed), "speakers") == ""
    assert found(ready(other, embed=embed), "speakers") == "warning"


# what cannot be used at all


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(3 * RATE, np.float32), "silent"),
        (np.full(3 * RATE, 1e-5, np.float32), "silent"),
        (white(3 * RATE, -30), "Nobody speaks"),
        (music(4 * RATE, -20), "sounds like music"),
        (white(10, -30), "Nobody speaks"),
    ],
)
def test_a_clip_in_which_nobody_speaks_is_refused(samples, message) -> None:
    with pytest.raises(BadReference, match=message) as refused:
        ready(samples)
    assert refused.value.param == "clip"
    assert refused.value.todo


# on the way


def test_it_tells_what_it_does() -> None:
    said: list[str] = []
    ready(speech(), progress=said.append, embed=lambda samples, rate: np.ones(1))
    assert said == ["Reading the clip …", "Looking for speech …", "Comparing voices …"]


def test_it_stops_between_two_steps_when_it_is_cancelled() -> None:
    token = CancelToken()
    embedded: list[int] = []

    def embed(samples: np.ndarray, rate: int) -> np.ndarray:
        embedded.append(samples.size)
        token.cancel()
        return np.ones(1)

    with pytest.raises(Cancelled):
        ready(speech(), cancel=token, embed=embed)
    assert len(embedded) == 1


def test_it_needs_no_torch(tmp_path) -> None:
    (tmp_path / "clip.wav").write_bytes(to_file(speech()))
    script = (
        "import sys, pathlib\n"
        "import studio.reference as reference\n"
        "early = {'onnxruntime', 'soundfile', 'soxr', 'scipy'} & set(sys.modules)\n"
        "clip = reference.prepare(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "assert clip.report.usable and not early, early\n"
        "late = {'torch', 'librosa', 'scipy', 'silero_vad', 'noisereduce'} & set(sys.modules)\n"
        "assert not late, late\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "clip.wav")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr


# the drawing


def test_the_waveform_shows_what_is_kept() -> None:
    clip = ready(np.concatenate([silence(3), speech(), silence(3)]))
    svg = ElementTree.fromstring(waveform_svg(clip))
    space = "{http://www.w3.org/2000/svg}"
    columns = float(svg.attrib["viewBox"].split()[2])
    bands = svg.findall(f".//{space}rect")
    assert len(bands) == len(clip.kept)
    for band, (start, end) in zip(bands, clip.kept, strict=True):
        left = float(band.attrib["x"]) / columns * clip.original.seconds
        width = float(band.attrib["width"]) / columns * clip.original.seconds
        assert (left, left + width) == pytest.approx((start, end), abs=0.05)
    dropped, kept = (path.attrib["d"].count("M") for path in svg.findall(f".//{space}path"))
    assert dropped + kept == columns
    assert kept / columns == pytest.approx(clean.total(clip.kept) / 15.64, abs=0.01)
    assert svg.attrib["role"] == "img"
    assert svg.attrib["aria-label"].startswith(f"Waveform of 15.6 s, of which {clip.seconds:.1f} s")
    assert "var(--" in waveform_svg(clip)


def test_the_drawing_reaches_to_the_loudest_sample() -> None:
    clip = ready(speech())
    heights = [
        float(line.split("V")[1]) - float(line.split("V")[0].split()[1])
        for path in ElementTree.fromstring(waveform_svg(clip)).iter()
        if "d" in path.attrib
        for line in path.attrib["d"].split("M")[1:]
    ]
    assert max(heights) > 60
    assert min(heights) >= 0.9
