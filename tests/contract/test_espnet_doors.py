"""A tiny ESPnet VITS release through every front door, on torch and on ONNX Runtime."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from commands.main import main
from engines.api import SpeechRequest
from engines.errors import BadCheckpoint
from studio.settings import Settings
from studio.studio import Studio
from tests import espnet_doors as doors
from tests.espnet_doors import RATE, TEXT
from tests.espnet_release import CONFIG, WEIGHTS, write_release
from tests.servers import ROOT, served
from ui.desk import Desks

DEVICES = ("cpu", "onnx")
WITHOUT_TORCH = """
import sys
from pathlib import Path
from engines.api import CancelToken, EngineContext, Span, Utterance
from engines.espnet_vits.engine import EspnetVitsEngine
from engines.memory import MemoryManager
engine = EspnetVitsEngine(EngineContext(Path({models!r}), Path("cache"), MemoryManager()))
how = dict(device="onnx", seed=1, cancel=CancelToken())
said = Utterance((Span({text!r}, {text!r}),), "en-US")
made = list(engine.speak(said, engine.voice("many"), engine.controls(), **how))
assert sum(chunk.samples.size for chunk in made) > 0
assert "torch" not in sys.modules
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a release of two speakers, whose ONNX files were compared with torch."""
    folder = tmp_path_factory.mktemp("data")
    release = doors.write_many(folder / "models" / "many")
    assert main(["convert", str(release), "--to", "onnx"]) == 0
    made = sorted(file.name for file in (release / "onnx").iterdir())
    assert made == ["decode_part.onnx", "encode.onnx", "flow.onnx"]
    assert not list(release.glob(".onnx-*"))
    return folder


@pytest.fixture(scope="module")
def studio(data: Path) -> Iterator[Studio]:
    studio = Studio(Settings(data_dir=data, history="off"))
    yield studio
    studio.close()


def test_the_command_line_says_the_same_on_both(data: Path, tmp_path: Path) -> None:
    made = []
    for device in DEVICES:
        out = tmp_path / f"{device}.wav"
        assert main(doors.saying(out, device, data)) == 0
        made.append(doors.sound(out))
    doors.assert_same(*made)


@pytest.mark.parametrize("device", DEVICES)
def test_the_http_interface_speaks_and_tells_what_is_wrong(data: Path, device: str) -> None:
    with served(Studio(Settings(data_dir=data, history="off"))) as url:
        doors.posted(url, device)
        assert len(soundfile.read(io.BytesIO(doors.post(url, device=device, input="N")))[0]) > 0
        doors.assert_bob_is_unknown(url, device)


@pytest.mark.parametrize("device", DEVICES)
def test_the_page_speaks_and_tells_what_is_wrong(studio: Studio, device: str) -> None:
    how: dict[str, Any] = {"engine": "espnet_vits", "voice": "many.Ann", "device": device}
    desk = Desks(studio).of("visitor")
    *_, last = desk.speak(SpeechRequest(TEXT, seed=3, **how))
    assert last.rate == RATE and last.frames > 400 and not last.alert
    *_, last = desk.speak(SpeechRequest(TEXT, controls={"speaker": "Bob"}, **how))
    assert last.alert and "Bob" in last.alert[0]


@pytest.mark.parametrize("device", DEVICES)
def test_an_idle_model_leaves_and_comes_back(studio: Studio, device: str) -> None:
    def speak() -> np.ndarray:
        request = SpeechRequest(TEXT, "espnet_vits", "many.Ann", device=device, seed=3)
        job = studio.submit(request)
        return np.concatenate([e.samples for e in job.events() if hasattr(e, "samples")])

    before = speak()
    keys = [each.name for each in studio.memory.residents() if f"on {device} " in each.name]
    assert keys and all(studio.memory.unload(key) for key in keys)
    assert np.array_equal(speak(), before)


def test_onnx_runtime_needs_no_torch_and_no_weights(data: Path) -> None:
    release = data / "models" / "many"
    shutil.move(release / WEIGHTS, release / "elsewhere.bin")
    try:
        script = WITHOUT_TORCH.format(models=str(data / "models"), text=TEXT)
        ran = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
    finally:
        shutil.move(release / "elsewhere.bin", release / WEIGHTS)


def test_files_of_another_model_are_refused(data: Path, studio: Studio) -> None:
    other = write_release(data / "models" / "other")
    try:
        shutil.copytree(data / "models" / "many" / "onnx", other / "onnx")
        config = (other / CONFIG).read_text()
        (other / CONFIG).write_text(config.replace("hidden_channels: 8", "hidden_channels: 12"))
        request = SpeechRequest(TEXT, "espnet_vits", "other", device="onnx")
        with pytest.raises(
            BadCheckpoint, match=r"encode\.onnx has m of shape.*\(1, 12, 'T_text'\)"
        ):
            list(studio.submit(request).events())
    finally:
        shutil.rmtree(other)
