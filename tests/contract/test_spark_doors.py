"""The tiny Spark-TTS release through every front door, on torch and on ONNX Runtime."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from commands.main import main
from engines.api import CancelToken, SpeechRequest
from engines.spark import converting, stages
from engines.spark.checkpoint import load_codec
from studio.reference import decode, to_wav
from studio.settings import Settings
from studio.studio import Studio
from studio.voices import NewClip
from tests.servers import ROOT, served
from tests.spark_release import copied_release
from tests.voice_helpers import CONSENT
from ui.desk import Desks

TEXT = "Hello there, how are you?"
DEVICES = ("cpu", "onnx")
WITHOUT_TORCH = """
import sys
from pathlib import Path
import numpy as np
from engines.api import CancelToken, EngineContext, Span, Utterance, Voice
from engines.spark.engine import SparkEngine
from engines.memory import MemoryManager
engine = SparkEngine(EngineContext(Path({models!r}), Path("cache"), MemoryManager()))
how = dict(device="onnx", seed=1, cancel=CancelToken())
said = Utterance((Span({text!r}, {text!r}),), "en")
tokens = dict(np.load({tokens!r}))
somebody = Voice("0" * 16, "Ann", "spark", ("en",), reference="0" * 16, conditioning=tokens)
for voice in (engine.voice("Tiny.female"), somebody):
    made = list(engine.speak(said, voice, engine.controls(), **how))
    assert sum(chunk.samples.size for chunk in made) > 0
assert "torch" not in sys.modules
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose release is converted for speaking. What listens to clips is left out: to
    trace wav2vec2 takes half a minute, and the replay of the reference cases does it."""
    folder = tmp_path_factory.mktemp("data")
    release = copied_release(folder / "models" / "Tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            converting,
            "_codec",
            lambda folder, config, masks: stages.speaking(
                load_codec(folder, config), config, masks=masks
            ),
        )
        assert main(["convert", str(release), "--to", "onnx", "--dynamic-axes"]) == 0
    return folder


@pytest.fixture(scope="module")
def studio(data: Path) -> Iterator[Studio]:
    studio = Studio(Settings(data_dir=data, history="off"))
    yield studio
    studio.close()


def test_every_file_is_there_and_was_compared(data: Path, capsys) -> None:
    made = {file.stem for file in (data / "models/Tiny/onnx").glob("*.onnx")}
    assert made >= {*stages.SPEAKING, "llm", "head_semantic", "head_voice"}


@pytest.mark.parametrize("device", DEVICES)
def test_the_command_line_speaks(data: Path, tmp_path: Path, device: str) -> None:
    out = tmp_path / "out.wav"
    flags = ["--engine", "spark", "--voice", "Tiny.male", "--device", device, "--seed", "3"]
    sets = ["--set", "pitch=high", "--set", "speed=very_low"]
    assert main(["say", TEXT, "-o", str(out), *flags, *sets, "--data-dir", str(data)]) == 0
    samples, rate = soundfile.read(out)
    assert rate == 16_000 and abs(samples).max() > 0.01


@pytest.mark.parametrize("device", DEVICES)
def test_the_http_interface_speaks(data: Path, device: str) -> None:
    asked = {
        "model": "spark",
        "voice": "Tiny.female",
        "input": TEXT,
        "response_format": "wav",
        "device": device,
        "seed": 3,
        "controls": {"gender": "male", "temperature": 0.5},
    }
    with served(Studio(Settings(data_dir=data, history="off"))) as url:
        request = urllib.request.Request(
            f"{url}/v1/audio/speech",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            samples, rate = soundfile.read(io.BytesIO(answer.read()))
    assert rate == 16_000 and abs(samples).max() > 0.01


@pytest.mark.parametrize("device", DEVICES)
def test_the_page_speaks(studio: Studio, device: str) -> None:
    request = SpeechRequest(TEXT, engine="spark", voice="Tiny.female", device=device, seed=3)
    *_, last = Desks(studio).of("visitor").speak(request)
    assert last.rate == 16_000 and last.frames > 1600 and not last.alert


def test_onnx_runtime_speaks_where_torch_is_not_even_imported(
    data: Path, studio: Studio, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.npz"
    said = np.frombuffer(b"Hello.", np.uint8)
    numbers = np.arange(32)
    np.savez(tokens, global_tokens=numbers, semantic_tokens=numbers, transcript=said)
    code = WITHOUT_TORCH.format(models=str(data / "models"), text=TEXT, tokens=str(tokens))
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_clip_in_stereo_at_48_khz_is_listened_to_once(
    studio: Studio, tmp_path: Path, monkeypatch
) -> None:
    t = np.arange(2 * 48_000) / 48_000
    tone = 0.3 * np.sin(2 * np.pi * 200 * t) * (1 + np.sin(2 * np.pi * 3 * t)) / 2
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone, tone * 0.9], 1), 48_000, format="WAV")
    given = decode(file.getvalue())
    assert (given.recorded_rate, given.channels) == (48_000, 2)
    clip = NewClip(to_wav(given.samples, given.sample_rate), "Hello.")
    voice = studio.voices_library.add("me", "Ann", "en", [], [clip], CONSENT)
    engine = studio.engine("spark")
    counted, listen = [], engine.condition

    def condition(*args, **rest):
        counted.append(1)
        return listen(*args, **rest)

    monkeypatch.setattr(engine, "condition", condition)
    arrays = [
        studio.voices_library.conditioning("me", voice.id, engine, "cpu", CancelToken())
        for _ in range(2)
    ]
    assert len(counted) == 1
    for one, other in zip(*(each.values() for each in arrays), strict=True):
        np.testing.assert_array_equal(one, other)
    job = studio.submit(SpeechRequest(TEXT, engine="spark", voice=voice.id, owner="me", seed=1))
    assert sum(getattr(event, "samples", np.zeros(0)).size for event in job.events()) > 0
