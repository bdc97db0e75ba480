"""The program as a person starts it: what only a process of its own can show."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
import soundfile

from bench.texts import prose
from tests.servers import ROOT, server_process
from tests.speech_check import HARVARD_SENTENCES, recognise

APP = [sys.executable, str(ROOT / "app.py")]
SECONDS = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    return work


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def start(folder: Path, *argv: str | bytes, **options) -> subprocess.Popen:
    # a shell starts what runs in its background with Ctrl-C ignored
    usual = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    return subprocess.Popen(
        [*APP, *argv, "--data-dir", str(folder.parent / "data")],
        cwd=folder,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **usual, **options},
    )


def run(folder: Path, *argv: str | bytes, given: bytes | None = None, **options):
    stdin = subprocess.PIPE if given is not None else subprocess.DEVNULL
    with start(folder, *argv, stdin=stdin, **options) as process:
        out, error = process.communicate(given, timeout=SECONDS)
    text = error.decode()
    assert "Traceback" not in text
    return process.returncode, out, text


def test_help_loads_nothing_heavy(folder: Path) -> None:
    argv = [sys.executable, "-X", "importtime", *APP[1:], "--help"]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS)
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert ran.returncode == 0 and "argparse" in loaded
    assert not loaded & {"numpy", "pydantic", "gradio", "torch", "uvicorn", "rich", "soundfile"}


def test_the_first_sentence_that_anyone_tries(folder: Path) -> None:
    code, out, error = run(folder, "say", HARVARD_SENTENCES[0], "-o", "x.wav")
    assert code == 0 and out == b"" and "x.wav: " in error
    assert names(folder) == ["x.wav"]
    assert recognise(*soundfile.read(folder / "x.wav")) == HARVARD_SENTENCES[0]


def test_a_sound_streams_through_pipes(folder: Path) -> None:
    code, out, error = run(folder, "say", "-", "-o", "-", given="Grüß Gott, ihr zwei.".encode())
    assert code == 0, error
    assert out[:4] == b"RIFF" and len(out) > 20_000
    assert "Standard output: " in error


def test_a_list_is_printed_on_any_terminal_and_to_a_reader_that_leaves(folder: Path) -> None:
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    code, out, error = run(folder, "voices", env=ascii_only)
    assert code == 0 and b"Am?lie" in out and error == ""
    with start(folder, "voices") as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 141


def test_bytes_that_are_no_text_are_refused(folder: Path) -> None:
    code, _, error = run(folder, "say", b"caf\xe9 \xff", "-o", "x.wav")
    assert code == 2 and error.startswith("Error: ")
    assert names(folder) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "kill"]
)
def test_a_signal_leaves_no_file_and_no_process(folder: Path, number: int, code: int) -> None:
    Path(folder.parent / "book.txt").write_text(prose(50_000))
    argv = ("say", "-f", "../book.txt", "-o", "book.wav")
    with start(folder, *argv, start_new_session=True) as process:
        until = time.monotonic() + SECONDS
        while not any(file.stat().st_size for file in folder.iterdir()):
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.02)
        helpers = psutil.Process(process.pid).children(recursive=True)
        # a terminal sends Ctrl-C to every process of the group, `kill` to the one that is named
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == code
    assert b"Traceback" not in error
    assert names(folder) == []
    _, alive = psutil.wait_procs(helpers, timeout=10)
    assert helpers and not alive


def test_a_reader_that_leaves_ends_the_work_quietly(folder: Path) -> None:
    Path(folder.parent / "book.txt").write_text(prose(20_000))
    with start(folder, "say", "-f", "../book.txt", "-o", "-") as process:
        assert process.stdout.read(1000)
        process.stdout.close()
        error = process.stderr.read().decode()
        assert process.wait(SECONDS) == 141
    assert "Traceback" not in error and "Error" not in error and "Exception" not in error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_a_pipe_is_told(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        code, _, error = run(folder, "say", "Hello there.", "-o", "-", stdout=full)
    assert code == 1
    assert error.startswith("Error: Standard output cannot be written (No space left on device)")


def test_a_file_that_cannot_grow_leaves_nothing(folder: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    Path(folder.parent / "book.txt").write_text(prose(1_000))
    most = 1_000_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    argv = ("say", "-f", "../book.txt", "-o", "book.wav", "--captions", "book.srt")
    code, _, error = run(folder, *argv, preexec_fn=limit)
    assert code == 1 and error.startswith("Error: ") and "book.wav" in error
    assert names(folder) == []


def test_a_full_disk_leaves_the_old_file(folder: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        (folder / "x.wav").write_bytes(b"the old one")
        code, _, error = run(folder, "say", prose(300), "-o", "x.wav")
        assert code == 1 and "No space left" in error
        assert names(folder) == ["x.wav"]
        assert (folder / "x.wav").read_bytes() == b"the old one"
    finally:
        subprocess.run(["umount", str(folder)], check=True)


SPACES = """
import os, sys

def GPU(function):
    with open(os.environ["SPACES_LOG"], "a") as log:
        log.write(f"GPU {function.__name__} torch={'torch' in sys.modules}\\n")
    return function
"""


def test_it_serves_as_a_space(tmp_path: Path) -> None:
    """With the `spaces` package there it is used before torch, and nothing of the host is shown."""
    (tmp_path / "spaces.py").write_text(SPACES)
    log = tmp_path / "spaces.log"
    environment = {
        "SPACE_ID": "someone/vivavoce",
        "PYTHONPATH": str(tmp_path),
        "SPACES_LOG": str(log),
    }
    with server_process(tmp_path, **environment) as server:
        with urllib.request.urlopen(f"{server.url}/", timeout=SECONDS) as page:
            assert page.status == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{server.url}/metrics", timeout=SECONDS)
    assert log.read_text().startswith("GPU ") and "torch=False" in log.read_text()
