"""`convert`: a release's files as safetensors and ONNX, compared with torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands.main import main
from engines.api import CancelToken, EngineContext, Span, Utterance
from engines.espnet_vits import converting
from engines.espnet_vits.engine import EspnetVitsEngine
from engines.memory import MemoryManager
from engines.runtime import export
from engines.runtime.export import Row
from engines.runtime.onnx_file import stages_in
from engines.runtime.ort import OrtRuntime
from engines.runtime.stage import MapStage
from tests.espnet_release import write_release

TEXT = "Hello, not a lot. Tell Anna, no note at all, hello hello."


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EspnetVitsEngine]:
    memory = MemoryManager()
    yield EspnetVitsEngine(EngineContext(tmp_path / "models", tmp_path / "cache", memory))
    memory.close(timeout=0)


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
