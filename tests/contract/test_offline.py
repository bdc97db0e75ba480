"""Offline means offline: the real program, in which any way out of this machine fails and is noted.

An audit hook sits in every Python process that the program starts, by way of `sitecustomize`, so
that no library can go round it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.servers import ROOT, server_process

HOOK = """
import os, sys

def _home(host):
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    return host in (None, "", "localhost", "::1", "0.0.0.0", "::") or str(host).startswith("127.")

def _watch(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        away = isinstance(address, tuple) and not _home(address[0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        address = arguments[0]
        away = not _home(address)
    else:
        return
    if away:
        file = os.open(os.environ["WAYS_OUT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{event} {address!r} {sys.argv}\\n".encode())
        os.close(file)
        raise OSError(101, "this machine is cut off")

sys.addaudithook(_watch)
"""


@pytest.fixture
def cut_off(tmp_path: Path):
    """Environment of a process that cannot leave this machine, and the file of its attempts."""
    folder = tmp_path / "hook"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HOOK)
    ways_out = tmp_path / "ways out"
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {**environment, "PYTHONPATH": path, "WAYS_OUT": str(ways_out)}, ways_out


def program(environment: dict[str, str], *argv: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "app.py", *argv],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_hook_sees_and_stops_whoever_wants_out(cut_off, tmp_path) -> None:
    environment, ways_out = cut_off
    data = ["--data-dir", str(tmp_path / "data")]
    asked = program(environment, "models", "download", "ljspeech_vits", *data)
    assert asked.returncode == 1
    assert "cannot be reached" in asked.stderr
    assert "huggingface.co" in ways_out.read_text()


def test_offline_no_command_tries_to_leave_this_machine(cut_off, tmp_path) -> None:
    environment, ways_out = cut_off
    data, sound = ["--data-dir", str(tmp_path / "data")], tmp_path / "x.wav"
    said = program(environment, "--offline", "say", "Good morning.", "-o", str(sound), *data)
    assert said.returncode == 0, said.stderr
    assert sound.stat().st_size > 10_000
    voices = program(environment, "--offline", "voices", "--json", *data)
    assert len(json.loads(voices.stdout)) > 100
    models = program(environment, "models", "list", "--json", "--offline", *data)
    assert len(json.loads(models.stdout)["models"]) > 10
    refused = program(environment, "models", "download", "ljspeech_vits", "--offline", *data)
    assert refused.returncode == 1 and "runs offline" in refused.stderr
    by_variable = program(
        {**environment, "HF_HUB_OFFLINE": "1"}, "models", "download", "ljspeech_vits", *data
    )
    assert by_variable.returncode == 1 and "runs offline" in by_variable.stderr
    assert not ways_out.exists(), ways_out.read_text()


def test_offline_the_server_and_its_page_try_nothing_either(cut_off, tmp_path) -> None:
    environment, ways_out = cut_off
    data = tmp_path / "data"
    data.mkdir()
    with server_process(data, "--offline", **environment) as server:
        assert "Vivavoce" in _get(server.url)
        assert json.loads(_get(f"{server.url}/v1/studio/models"))["offline"] is True
        assert json.loads(_get(f"{server.url}/v1/audio/voices"))["voices"]
        body = json.dumps({"input": "Good morning.", "response_format": "wav"}).encode()
        headers = {"Content-Type": "application/json"}
        speech = urllib.request.Request(f"{server.url}/v1/audio/speech", body, headers)
        with urllib.request.urlopen(speech, timeout=60) as answer:
            assert len(answer.read()) > 10_000
    assert not ways_out.exists(), ways_out.read_text()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()
