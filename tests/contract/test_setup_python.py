"""`.ci/python` finds a Python to set up with, and what cannot be set up says what to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Machine:
    """A PATH on which these Pythons are, each with the version that it says it has."""

    def __init__(self, folder: Path, pythons: dict[str, str]) -> None:
        self.folder = folder
        for tool in ("sh", "sed"):
            (folder / tool).symlink_to(shutil.which(tool) or tool)
        for name, version in pythons.items():
            self._add(name, version)

    def _add(self, name: str, version: str) -> None:
        numbers = ", ".join(version.split("."))
        fake = self.folder / name
        fake.write_text(
            "#!/bin/sh\n"
            f'if [ "$1" = --version ]; then echo Python {version}; exit; fi\n'
            f'if [ "$1" = -c ]; then code=$(echo "$2" | sed "s/sys.version_info/({numbers})/")\n'
            f'exec {sys.executable} -c "$code"; fi\n'
            f"echo {name} runs $*\n"
        )
        fake.chmod(0o755)

    def choose(self, **environment: str) -> tuple[int, str]:
        """Exit code and output of `.ci/python` with a script to run."""
        done = subprocess.run(
            [self.folder / "sh", ROOT / ".ci" / "python", "a script"],
            env={"PATH": str(self.folder), **environment},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": "3.11.2", "python3.13": "3.13.0"}, "python3"),
        ({"python3": "3.9.6", "python3.10": "3.10.1", "python3.12": "3.12.1"}, "python3.12"),
        ({"python3.10": "3.10.1"}, "python3.10"),
        ({"python3": "3.14.0", "python3.13": "3.13.0"}, "python3.13"),
    ],
)
def test_a_suitable_python_is_found(tmp_path: Path, pythons: dict[str, str], chosen: str) -> None:
    assert Machine(tmp_path, pythons).choose() == (0, f"{chosen} runs a script\n")


@pytest.mark.parametrize("pythons", [{"python3": "3.9.6"}, {"python3": "3.14.1"}, {}])
def test_no_suitable_python_says_what_to_do(tmp_path: Path, pythons: dict[str, str]) -> None:
    code, said = Machine(tmp_path, pythons).choose()
    assert code == 1
    assert "needs Python 3.10, 3.11, 3.12 or 3.13" in said
    assert "make app PYTHON=" in said
    assert all(version in said for version in pythons.values())


def test_the_python_asked_for_is_the_one_taken(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"python3": "3.11.2", "python3.12": "3.12.1", "old": "3.8.1"})
    assert machine.choose(PYTHON="python3.12") == (0, "python3.12 runs a script\n")
    code, said = machine.choose(PYTHON="old")
    assert code == 1
    assert "Looked for: old." in said
    assert "3.8.1" in said


@pytest.fixture
def setup_venv() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_venv", ROOT / ".ci" / "setup_venv.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", [(3, 9), (3, 14), (2, 7)])
def test_a_python_that_is_too_old_or_too_new_is_a_clear_error(
    setup_venv: ModuleType, version: tuple[int, int]
) -> None:
    with pytest.raises(setup_venv.SetupError, match=r"needs 3\.10 to 3\.13"):
        setup_venv.check_python(version)


def test_debian_without_the_venv_package_says_what_to_install(
    setup_venv: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(setup_venv.SetupError, match=r"apt-get install python3\.\d+-venv"):
        setup_venv.add_ensurepip()
