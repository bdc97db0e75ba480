"""`doctor`: it says that a sound house is sound, and finds what is broken in one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import doctor, probe
from commands.main import main

MARKS = ("✓", "!", "✗", "  →")


@pytest.fixture
def examine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `doctor` with few packages to look at; returns the exit code and its lines."""
    packages = tmp_path / "packages.in"
    monkeypatch.setattr(doctor, "REQUIREMENTS", packages)

    def run(*argv: str, chosen: str = "packaging\n") -> tuple[int, list[str]]:
        packages.write_text(chosen)
        code = main(["doctor", *(argv or ("--data-dir", str(tmp_path / "data")))])
        lines = capsys.readouterr().out.splitlines()
        assert all(line.startswith(MARKS) for line in lines)
        return code, lines

    return run


def install(folder: Path, name: str, source: str) -> None:
    """A distribution of one module, such as pip would leave it in a folder."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "top_level.txt").write_text(f"{name}\n")
    (folder / f"{name}.py").write_text(source)


def test_a_sound_house(examine) -> None:
    code, lines = examine()
    assert code == 0
    assert not [line for line in lines if line.startswith("✗")]
    text = "\n".join(lines)
    for part in ("Python 3.", "packaging 2", "ffmpeg version", "speaks", "Lexicon", "Device cpu"):
        assert part in text, part


def test_packages_that_are_missing_broken_or_crash(examine, tmp_path, monkeypatch) -> None:
    site = tmp_path / "site"
    install(site, "crashes", "import os\nprint('x', flush=True)\nos.abort()\n")
    install(site, "broken", "raise OSError('\\nno such library\\nmore')\n")
    install(site, "fine", "print('hello')\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    chosen = (
        "crashes  # why\nnot-there-at-all\nbroken>=1\nfine\nnever; python_version < '3'\n-r x\n"
    )
    code, lines = examine(chosen=chosen)
    assert code == 1
    text = "\n".join(lines)
    assert "crashes does not import: the process ended with code -6" in text
    assert "not-there-at-all does not import: PackageNotFoundError" in text
    assert "broken does not import: OSError: no such library" in text
    assert "1 packages import: fine 1.0" in text
    assert "never" not in text and "speaks" in text


def test_a_version_that_is_not_the_pinned_one(examine, tmp_path, monkeypatch) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("packaging==1.0\nnumpy==0.1 ; python_version < '3'\n")
    monkeypatch.setattr(doctor, "_lock", lambda: lock)
    code, lines = examine(chosen="packaging\nnumpy\n")
    assert code == 0
    [odd] = [line for line in lines if "installed" in line and line.startswith("!")]
    assert "packaging" in odd and "==1.0" in odd


def test_ffmpeg_that_does_not_run(examine, monkeypatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/does/not/exist")
    code, lines = examine()
    assert code == 1
    assert any("✗ ffmpeg does not run" in line for line in lines)


def test_a_broken_lexicon_is_found(examine, tmp_path: Path) -> None:
    file = tmp_path / "data" / "lexicon" / "en.txt"
    file.parent.mkdir(parents=True)
    file.write_text("this line says nothing\n")
    code, lines = examine()
    assert code == 1
    assert any(line.startswith("✗") and str(file) in line for line in lines)


def test_a_broken_voice_of_ones_own_is_told_and_stops_nothing(examine, tmp_path: Path) -> None:
    file = tmp_path / "data" / "presets" / "voices" / "x.json"
    file.parent.mkdir(parents=True)
    file.write_text('{\n"id": "x"\n')
    code, lines = examine()
    assert code == 0
    assert any(line.startswith("!") and f"{file}, line 3" in line for line in lines)


def test_a_data_folder_that_cannot_be_made_is_found(examine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, lines = examine("--data-dir", str(tmp_path / "file" / "data"))
    assert code == 1
    assert any("cannot be made" in line for line in lines)
    assert any(line.startswith("✓ Device cpu") for line in lines), "the other checks still run"


def test_little_disk_space_is_told(examine, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "LOW_DISK", 2**62)
    code, lines = examine()
    assert code == 0 and any(line.startswith("! Data folder") for line in lines)
    monkeypatch.setattr(doctor, "FULL_DISK", 2**62)
    assert examine()[0] == 1


def test_every_chosen_package_has_a_module_of_its_name_or_another() -> None:
    assert probe.module_name("coqui-tts") == "TTS"
    assert probe.module_name("onnxruntime-genai") == "onnxruntime_genai"
    assert probe.module_name("torch") == "torch"
    names = {wanted.name for wanted in probe.requirements(doctor.REQUIREMENTS)}
    assert {"gradio", "torch", "espeakng-loader"} <= names
