"""`models` on the command line, and what HTTP says of the models."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from commands import flags
from commands.main import main
from engines import registry
from server.app import create_app
from studio.models import ModelShelf, transfer
from studio.studio import Studio
from tests import fakes
from tests.espnet_release import write_release
from tests.fake_hub import Repo, fake_hub
from tests.models_help import checkpoint, lay_out, settings
from tests.servers import ROOT, wait_until

REPO = "espnet/kan-bayashi_ljspeech_vits"
EXPERIMENT = "exp/tts_train_vits_raw_phn_tacotron_g2p_en_no_space"
WEIGHTS = f"{EXPERIMENT}/train.total_count.ave_10best.pth"
FILES = {
    "meta.yaml": f"files: {{model_file: {EXPERIMENT}/train.total_count.ave_10best.pth}}\n"
    f"yaml_files: {{train_config: {EXPERIMENT}/config.yaml}}\n".encode(),
    f"{EXPERIMENT}/config.yaml": b"tts: vits\ntoken_list: [<blank>, <unk>]\ncleaner: tacotron\n",
    f"{EXPERIMENT}/images/loss.png": b"png",
    WEIGHTS: checkpoint(400_000),
    "README.md": b"CC BY 4.0",
}


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(transfer, "WAITS", (0.0,))
    with fake_hub() as hub:
        hub.repos[REPO] = Repo(dict(FILES))
        yield hub


@pytest.fixture
def folder(tmp_path: Path, monkeypatch, hub) -> Path:
    """The models directory of a program that finds the Hub on this machine."""
    monkeypatch.setattr(flags, "default_data_dir", lambda: tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # `--offline` sets it for the whole process

    def shelf(arguments):
        return ModelShelf(flags.settings(arguments), endpoint=hub.url)

    monkeypatch.setattr("commands.models._shelf", shelf)
    return tmp_path / "models"


def test_a_model_is_downloaded_listed_and_deleted(folder, capsys) -> None:
    assert main(["models", "download", "ljspeech_vits"]) == 0
    home = folder / "espnet_vits/ljspeech_vits"
    assert str(home) in capsys.readouterr().out
    assert (home / WEIGHTS).read_bytes() == FILES[WEIGHTS]
    assert not (home / EXPERIMENT / "images").exists()
    assert main(["models"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("ljspeech_vits"))
    assert line.endswith("complete") and "CC BY 4.0" in line
    assert main(["models", "remove", "ljspeech_vits", "--yes"]) == 0
    assert not home.exists()
    assert "is deleted" in capsys.readouterr().out


def test_the_list_as_json_and_folders_of_ones_own(folder, capsys) -> None:
    lay_out(folder / "mine", {"config.json": b'{"model": "xtts"}', "model.pth": b"<html>"})
    assert main(["models", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    models = {row["name"]: row for row in listed["models"]}
    assert models["xtts-v2"]["commercial"] == "forbidden"
    assert models["xtts-v2"]["bytes"] > 1.8e9 and models["xtts-v2"]["exact"]
    assert models["xtts-v2"]["state"] == ""
    (other,) = listed["other folders"]
    assert (other["folder"], other["state"]) == ("mine", "damaged")
    assert "model.pth is no torch checkpoint." in other["faults"]
    assert main(["models", "list"]) == 0
    shown = capsys.readouterr().out
    assert "mine" in shown
    last = shown.split("* sets limits")[1]
    assert ("Coqui TTS" in last) != ("coqui" in registry.FAMILIES)


def test_what_an_engine_cannot_use_is_listed_with_the_reason(folder, capsys) -> None:
    write_release(folder / "odd", config={"g2p": "g2pk"})
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    assert "odd" in shown and "unusable" in shown
    assert "odd: It was trained with g2p 'g2pk'" in shown.split("What is wrong:")[1]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["download", "nothing"], 2, "'nothing'"),
        (["download", "xtts-v2"], 2, "--accept-licence"),
        (["download", "ljspeech_vits", "--offline"], 1, "runs offline"),
        (["download", "spark-tts-0.5b", "--accept-licence"], 1, "(401)"),
        (["remove", "ljspeech_vits", "--yes"], 2, "There is no model in 'ljspeech_vits'"),
        (["remove", "../models", "--yes"], 2, "'../models'"),
        (["remove", "mine"], 2, "--yes"),
    ],
)
def test_what_cannot_be_done_is_said(folder, capsys, monkeypatch, argv, code, said) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    lay_out(folder / "mine", {"config.json": b'{"model": "xtts"}'})
    assert main(["models", *argv]) == code
    assert said in capsys.readouterr().err
    assert (folder / "mine/config.json").exists()


def test_at_a_terminal_the_licence_is_shown_and_asked_for(folder, capsys, monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert main(["models", "download", "xtts-v2"]) == 1
    assert "non-commercial purposes only" in shown.getvalue()
    assert "Nothing was done." in shown.getvalue()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert main(["models", "download", "xtts-v2"]) == 1
    assert "(401)" in shown.getvalue(), "it went on to ask the Hub"


def test_ctrl_c_keeps_what_is_there_and_the_same_command_goes_on(hub, tmp_path) -> None:
    """The whole program, in a process of its own."""
    hub.repos[REPO].hangs = {WEIGHTS}
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "home"),
    }
    argv = [sys.executable, "app.py", "models", "download", "ljspeech_vits"]
    argv += ["--data-dir", str(tmp_path)]
    process = subprocess.Popen(
        argv,
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # a shell starts what runs in its background with Ctrl-C ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    part = tmp_path / "models/espnet_vits/ljspeech_vits.part"
    wait_until(lambda: _largest_unfinished(part) > 150_000, "half of the weights")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"goes on there" in said and b"Traceback" not in said
    hub.repos[REPO].hangs = set()
    hub.asked.clear()
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [part.startswith("bytes=") for part in hub.fetched(WEIGHTS)] == [True]
    assert not part.exists()


def _largest_unfinished(part: Path) -> int:
    """Bytes so far of the file that hangs; the small ones before it come and go meanwhile."""
    sizes = [0]
    for file in part.rglob("*.incomplete"):
        with suppress(FileNotFoundError):
            sizes.append(file.stat().st_size)
    return max(sizes)


@pytest.mark.parametrize("shared", [False, True])
def test_http_tells_what_is_installed(tmp_path, monkeypatch, shared) -> None:
    fakes.install(monkeypatch)
    studio = Studio(settings(tmp_path, shared=shared))
    lay_out(studio.models.root / "mine", {"config.json": b'{"model": "xtts"}', "model.pth": b""})
    with TestClient(create_app(studio)) as client:
        answer = client.get("/v1/studio/models")
        assert "PublishedList" in client.get("/openapi.json").text
    assert answer.status_code == 200
    families = {family["id"]: family for family in answer.json()["families"]}
    assert families["espeak"]["speaks"]
    assert families["coqui"]["speaks"] == ("coqui" in registry.FAMILIES)
    (mine,) = families["coqui"]["installed"]
    assert mine["state"] == "damaged"
    assert mine["folder"] == ("" if shared else "mine")
    assert bool(mine["faults"]) is not shared
    assert str(tmp_path) not in answer.text
    xtts = families["coqui"]["published"][0]
    assert xtts["licence"]["commercial"] == "forbidden" and xtts["download"] is None
