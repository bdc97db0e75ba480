"""`convert`: a release's files as safetensors and ONNX, compared with torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.main import main
from engines.runtime import export
from engines.runtime.export import Row
from tests.espnet_release import write_release


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    write_release(folder)
    return folder


def test_onnx_files_are_made_compared_and_used(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
