"""A tiny ESPnet VITS release speaks through every front door on XLA, as it does on the CPU.

Each door is a process of its own, which compiles its graphs at the first sentence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands.main import main
from engines.espnet_vits.checkpoint import convert_release
from tests import espnet_doors as doors
from tests.browser import Page
from tests.servers import ROOT, ServerProcess, server_process

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("espnet")
    release = doors.write_many(folder / "models" / "many")
    convert_release(release, trust=True)  # made by the line above; this torch opens no other
    return folder


@pytest.fixture(scope="session")
def expected(data: Path) -> np.ndarray:
    """What the CPU says."""
    out = data / "cpu.wav"
    assert main(doors.saying(out, "cpu", data)) == 0
    return doors.sound(out)


@pytest.fixture(scope="session")
def server(data: Path) -> Iterator[ServerProcess]:
    """One until the end: tests of the page run last, and its graphs take long to compile."""
    with server_process(data) as server:
        yield server


def test_the_command_line_says_the_same(data: Path, expected: np.ndarray, tmp_path: Path) -> None:
    out = tmp_path / "xla.wav"
    command = [sys.executable, "app.py", *doors.saying(out, "xla", data)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    doors.assert_same(doors.sound(out), expected)


def test_the_http_interface_says_the_same_and_compiles_once(server: ServerProcess) -> None:
    heard = doors.posted(server.url, "xla")
    doors.assert_same(heard, doors.posted(server.url, "cpu"))
    graphs = compiled(server)
    assert len(graphs) == len(set(graphs)) == 16
    assert np.array_equal(doors.posted(server.url, "xla"), heard)
    doors.posted(server.url, "xla", input="Not a note, Anna. " * 9)
    doors.assert_bob_is_unknown(server.url, "xla")
    assert compiled(server) == graphs


def compiled(server: ServerProcess) -> list[str]:
    """What the server's log says of graphs that it compiled, without the seconds."""
    lines = server.log.read_text("utf-8").splitlines()
    told = (line.partition("vivavoce.xla: ")[2] for line in lines)
    return [line.rpartition(": ")[0] for line in told if " at (" in line]


@pytest.mark.browser
def test_the_page_says_the_same(windows: Any, server: ServerProcess, expected: np.ndarray) -> None:
    doors.check_page(Page(windows(), server.url), server.url, "xla:0", expected)
