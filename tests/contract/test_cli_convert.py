"""`convert`: a release's files as safetensors and ONNX, compared with torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands.main import main
from engines.api import CancelToken, EngineContext, Span, Utterance
from engines.errors import BadCheckpoint
from engines.espnet_vits import converting
from engines.espnet_vits.engine import EspnetVitsEngine
from engines.memory import MemoryManager
from engines.runtime import export
from engines.runtime.export import Row
from engines.runtime.onnx_file import stages_in
from engines.runtime.ort import OrtRuntime
from engines.runtime.stage import MapStage
from tests.espnet_release import CONFIG, WEIGHTS, write_release
from tests.servers import ROOT

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
TEXT = "Hello, not a lot. Tell Anna, no note at all, hello hello."


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EspnetVitsEngine]:
    memory = MemoryManager()
    yield EspnetVitsEngine(EngineContext(tmp_path / "models", tmp_path / "cache", memory))
    memory.close(timeout=0)


def several(folder: Path) -> Path:
    write_release(folder, generator={"spks": 4, "global_channels": 6})
    (folder / "dump" / "raw").mkdir(parents=True)
    (folder / "dump" / "raw" / "spk2sid").write_text("<unk> 0\np225 1\nAnn 2\n", "utf-8")
    return folder


def spoken(
    engine: EspnetVitsEngine, voice: str, device: str, text: str = TEXT, **set_to: Any
) -> np.ndarray:
    said = Utterance((Span(text, text),), "en-US")
    how: dict[str, Any] = {"device": device, "seed": 1, "cancel": CancelToken()}
    made = engine.speak(said, engine.voice(voice), engine.controls(**set_to), **how)
    return np.concatenate([chunk.samples for chunk in made])


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    write_release(folder)
    return folder


def test_onnx_files_are_made_compared_and_used(
    tmp_path: Path, engine: EspnetVitsEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    release = several(tmp_path / "models" / "many")
    assert main(["convert", str(release), "--to", "onnx"]) == 0
    said = capsys.readouterr().out
    assert sorted(file.name for file in (release / "onnx").iterdir()) == [
        "decoder.onnx",
        "encode.onnx",
        "flow.onnx",
    ]
    assert "FAIL" not in said
    for stage in ("encode", "flow", "decoder"):
        assert sum(line.startswith(f"{stage} ") for line in said.splitlines()) >= 4
    assert not list(release.glob(".onnx-*"))

    expected = spoken(engine, "many.Ann", "cpu")
    shutil.move(release / WEIGHTS, release / "elsewhere.bin")
    found = spoken(engine, "many.Ann", "onnx")
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3
    script = WITHOUT_TORCH.format(models=str(tmp_path / "models"), text=TEXT)
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr

    other = write_release(tmp_path / "models" / "other")
    shutil.copytree(release / "onnx", other / "onnx")
    config = (other / CONFIG).read_text()
    (other / CONFIG).write_text(config.replace("hidden_channels: 8", "hidden_channels: 12"))
    with pytest.raises(BadCheckpoint, match=r"encode\.onnx has m of shape.*\(1, 12, 'T_text'\)"):
        spoken(engine, "other", "onnx")


def test_files_of_one_size_speak_longer_texts_in_parts(
    tmp_path: Path, engine: EspnetVitsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "FIXED", {"T_text": 64, "T_mel": 192})
    write_release(tmp_path / "models" / "tiny")
    arguments = ["convert", str(tmp_path / "models" / "tiny"), "--to", "onnx"]
    assert main([*arguments, "--no-dynamic-axes"]) == 0
    folder = tmp_path / "models" / "tiny" / "onnx"
    assert sorted(file.name for file in folder.iterdir()) == ["encode.onnx", "render.onnx"]
    assert {stage.name: _sizes(stage) for stage in stages_in(folder)} == {
        "encode": {"T_text": 64},
        "render": {"T_mel": 192},
    }
    slow = {"speed": 0.25}
    for text in (TEXT[:12], TEXT):
        expected, found = (
            spoken(engine, "tiny", device, text, **slow) for device in ("cpu", "onnx")
        )
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-3
    assert expected.size > 192 * 8, "the longer text has more than one part"
    # beyond the size of `encode` the text itself is cut
    assert spoken(engine, "tiny", "onnx", " ".join([TEXT] * 3), **slow).size > 2 * expected.size


def _sizes(stage: MapStage) -> dict[str, int | None]:
    bound = OrtRuntime("onnx").bind(stage)
    return {axis: bound.longest(axis) for axis in stage.axes()}


def test_a_difference_is_told_and_is_the_exit_code(
    release: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "export", lambda stage, folder, **_: _written(folder, stage.name))
    monkeypatch.setattr(
        export, "verify", lambda stage, *_, **__: [Row(stage.name, {}, "m", 1.0, 1.0, False)]
    )
    assert main(["convert", str(release), "--to", "onnx"]) == 1
    assert "do not rely" in capsys.readouterr().out
    assert main(["convert", str(release), "--to", "onnx", "--skip-verification"]) == 0


def _written(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.onnx"
    file.write_bytes(b"onnx")
    return file


def test_an_export_that_breaks_leaves_what_was_there(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _written(release / "onnx", "encode")

    def broken(*_: object, **__: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "export", broken)
    assert main(["convert", str(release), "--to", "onnx"]) == 130
    assert [file.name for file in (release / "onnx").iterdir()] == ["encode.onnx"]
    assert not list(release.glob(".onnx-*"))


def test_safetensors_lie_beside_the_torch_file(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(release)]) == 0
    written = Path(capsys.readouterr().out.removeprefix("Written: ").strip())
    assert written.suffix == ".safetensors" and written.is_file()
    assert written.with_suffix(".pth").is_file()


def test_another_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path)]) == 2
    assert "meta.yaml" in capsys.readouterr().err
