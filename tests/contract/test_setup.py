"""`.ci/setup_venv.py` makes an environment, leaves a finished one alone, and mends a broken one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".ci" / "setup_venv.py"

# The script as a module, for a program that replaces a part of it and then runs it.
LOAD = f"""
import importlib.util, os, sys, time, venv
spec = importlib.util.spec_from_file_location("setup_venv", {str(SCRIPT)!r})
setup_venv = importlib.util.module_from_spec(spec)
spec.loader.exec_module(setup_venv)
"""
RUN = "\nsys.exit(setup_venv.main(sys.argv[1:]))\n"

# Quick stand-ins for making an environment and for `pip install`: a "lock" is a list of modules,
# and installing one writes them, standing still in the middle of each until `GATE` exists.
STAND_INS = """
def create(folder):
    setup_venv.say("created")
    venv.create(folder, with_pip=False, symlinks=True)

def install(folder, lock):
    setup_venv.say(f"installing {lock.name}")
    site = next(folder.glob("lib/python3*/site-packages"))
    for name in lock.read_text().split():
        (site / f"{name}.py").write_text("")
        setup_venv.say("halfway")
        while not os.path.exists(os.environ.get("GATE", "/")):
            time.sleep(0.02)
        (site / f"{name}-1.dist-info").mkdir(exist_ok=True)

setup_venv.create, setup_venv.install = create, install
"""
IN_GENERAL = (".venv", "program.txt")
THE_PIP_AT_HAND = "setup_venv.PIP = 'pip'"  # the one that comes with Python needs no index


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


class Checkout:
    """A folder with lock files, in which the set-up is run as make runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / ".venv"
        self.gate = folder / "gate"
        self.write("program.txt", "alpha beta")
        self.write("tests.txt", "gamma")

    def write(self, lock: str, modules: str) -> None:
        (self.folder / lock).write_text(modules)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHON"}
        return subprocess.Popen(
            [sys.executable, "-c", LOAD + STAND_INS + RUN, *(arguments or IN_GENERAL)],
            cwd=self.folder,
            env={**inherited, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell starts what runs in its background with Ctrl-C ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def start_and_stop_halfway(self) -> subprocess.Popen[str]:
        """A set-up that waits in the middle of its first package until `self.gate` exists."""
        process = self.start(GATE=str(self.gate))
        wait_for(process, "halfway")
        return process

    def set_up(self, *arguments: str, **environment: str) -> str:
        """What it printed; it must succeed."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out

    def imports(self, *modules: str) -> bool:
        command = [self.venv / "bin" / "python", "-c", f"import {', '.join(modules)}"]
        return subprocess.run(command, capture_output=True).returncode == 0

    @property
    def site(self) -> Path:
        return next(self.venv.glob("lib/python3*/site-packages"))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "check out"
    folder.mkdir()
    return Checkout(folder)


@pytest.fixture
def finished(checkout: Checkout) -> Checkout:
    checkout.set_up()
    return checkout


def test_a_fresh_environment_is_made_once_and_then_left_alone(checkout: Checkout) -> None:
    assert "created" in checkout.set_up()
    assert checkout.imports("alpha", "beta")
    assert checkout.set_up() == ""


def test_only_what_is_asked_for_is_installed(finished: Checkout) -> None:
    assert not finished.imports("gamma")
    out = finished.set_up(".venv", "program.txt", "tests.txt")
    assert "installing tests.txt" in out
    assert "installing program.txt" not in out
    assert finished.imports("alpha", "gamma")
    assert finished.set_up() == "", "the tests' packages do not spoil the program's environment"
    assert finished.set_up(".venv", "program.txt", "tests.txt") == ""


def test_a_changed_lock_is_installed_into_the_same_environment(finished: Checkout) -> None:
    finished.write("program.txt", "alpha beta delta")
    out = finished.set_up()
    assert "installing program.txt" in out
    assert "created" not in out
    assert finished.imports("delta")
    assert finished.set_up() == ""


def lose_python(checkout: Checkout) -> None:
    for link in (checkout.venv / "bin").glob("python*"):
        link.unlink()


def break_python(checkout: Checkout) -> None:
    for link in (checkout.venv / "bin").glob("python*"):
        link.unlink()
        link.symlink_to(checkout.folder / "gone")


def lose_site_packages(checkout: Checkout) -> None:
    shutil.rmtree(checkout.site)


def lose_a_package(checkout: Checkout) -> None:
    (checkout.site / "beta.py").unlink()


def lose_the_stamp(checkout: Checkout) -> None:
    next(checkout.venv.glob("*stamp.json")).unlink()


def cut_the_stamp(checkout: Checkout) -> None:
    stamp = next(checkout.venv.glob("*stamp.json"))
    stamp.write_text(stamp.read_text()[:20])


def age_the_stamp(checkout: Checkout) -> None:
    next(checkout.venv.glob("*stamp.json")).write_text(json.dumps({"version": 0}))


def change_the_python(checkout: Checkout) -> None:
    stamp = next(checkout.venv.glob("*stamp.json"))
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "python": "3.9"}))


def put_a_file_there(checkout: Checkout) -> None:
    shutil.rmtree(checkout.venv)
    checkout.venv.write_text("not a folder")


def put_a_dead_link_there(checkout: Checkout) -> None:
    shutil.rmtree(checkout.venv)
    checkout.venv.symlink_to(checkout.folder / "gone")


@pytest.mark.parametrize(
    "damage",
    [
        lose_python,
        break_python,
        lose_site_packages,
        lose_a_package,
        lose_the_stamp,
        cut_the_stamp,
        age_the_stamp,
        change_the_python,
        put_a_file_there,
        put_a_dead_link_there,
    ],
)
def test_a_broken_environment_is_made_anew(
    finished: Checkout, damage: Callable[[Checkout], None]
) -> None:
    damage(finished)
    out = finished.set_up()
    assert "made anew" in out
    assert finished.imports("alpha", "beta")
    assert finished.set_up() == ""


def test_a_package_replaced_by_hand_is_put_back(finished: Checkout) -> None:
    (finished.site / "beta-1.dist-info").rename(finished.site / "beta-2.dist-info")
    out = finished.set_up()
    assert "installing program.txt" in out
    assert "created" not in out
    assert (finished.site / "beta-1.dist-info").exists()


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_moved_or_copied_checkout_gets_its_own_environment(
    finished: Checkout, tmp_path: Path, how: Callable[[Path, Path], object]
) -> None:
    how(finished.folder, tmp_path / "elsewhere")
    moved = Checkout(tmp_path / "elsewhere")
    out = moved.set_up()
    assert "whose path its scripts hold" in out
    activate = (moved.venv / "bin" / "activate").read_text()
    assert str(moved.folder) in activate
    assert moved.set_up() == ""


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_set_up_is_finished_by_the_next(
    checkout: Checkout, signal_: signal.Signals
) -> None:
    process = checkout.start_and_stop_halfway()
    process.send_signal(signal_)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert (checkout.site / "alpha.py").exists(), "it was stopped in the middle of a package"
    assert "was not finished" in checkout.set_up()
    assert checkout.imports("alpha", "beta")


def test_an_interrupted_update_is_not_taken_for_a_finished_one(finished: Checkout) -> None:
    finished.write("program.txt", "alpha beta delta")
    process = finished.start_and_stop_halfway()
    process.kill()
    process.communicate(timeout=60)
    finished.write("program.txt", "alpha beta")
    assert "was not finished" in finished.set_up()


def test_two_at_once_share_the_work_of_one(checkout: Checkout) -> None:
    first = checkout.start_and_stop_halfway()
    second = checkout.start()
    wait_for(second, "waiting for it")
    checkout.gate.touch()
    assert first.communicate(timeout=60)[0].count("is ready") == 1
    assert second.communicate(timeout=60)[0] == "", "what it waited for is done"
    assert (first.returncode, second.returncode) == (0, 0)
    assert checkout.imports("alpha", "beta")


def test_another_platform_and_a_missing_lock_are_clear_errors(checkout: Checkout) -> None:
    for arguments, words in [
        (("--only", "plan9-mips", ".venv", "program.txt"), "can only be made on plan9-mips"),
        ((".venv", "absent.txt"), "absent.txt cannot be read"),
    ]:
        process = checkout.start(*arguments)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert words in err
        assert "Traceback" not in err


@pytest.mark.timeout(300)
def test_the_real_pip_installs_a_lock(tmp_path: Path) -> None:
    """Once with nothing replaced but the index: a wheel of our own, from a folder."""
    wheel = tmp_path / "tiny_voice-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_voice.py", "word = 'hello'\n")
        about = "Metadata-Version: 2.1\nName: tiny-voice\nVersion: 1.0\n"
        archive.writestr("tiny_voice-1.0.dist-info/METADATA", about)
        archive.writestr(
            "tiny_voice-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_voice-1.0.dist-info/RECORD", "tiny_voice.py,,\n")
    (tmp_path / "lock.txt").write_text("# a comment\ntiny-voice==1.0\n")
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    environment.pop("PYTHON", None)

    def set_up() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LOAD + THE_PIP_AT_HAND + RUN, ".venv", "lock.txt"]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
        )

    first = set_up()
    assert first.returncode == 0, first.stderr
    assert "Installing lock.txt: 1 pins" in first.stdout
    say = [tmp_path / ".venv" / "bin" / "python", "-c", "import tiny_voice; print(tiny_voice.word)"]
    assert subprocess.run(say, capture_output=True, text=True).stdout == "hello\n"
    assert set_up().stdout == ""

    (tmp_path / "lock.txt").write_text("tiny-voice==2.0\n")
    failed = set_up()
    assert failed.returncode == 1
    assert "pip could not install lock.txt" in failed.stderr
    assert "tiny-voice==2.0" in failed.stderr
    assert not list((tmp_path / ".venv").glob("*stamp.json"))
