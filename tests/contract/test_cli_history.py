"""`history` on the command line: list, search, export, delete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from commands import flags
from commands.main import main
from engines.api import SpeechRequest
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Three takes, the first Ann's, in the data folder of the command line."""
    fakes.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(flags, "default_data_dir", lambda: tmp_path / "data")
    studio = Studio(Settings(data_dir=tmp_path / "data", presets_dir=tmp_path / "none"))
    made = []
    for text, owner in (("Ann's.", "ann"), ("A birch canoe.", ""), ("Two ponds.", "")):
        request = SpeechRequest(text, engine="tone", owner=owner, door="http", seed=3)
        job = studio.submit(request)
        assert list(job.events())
        made.append(job.take_id)
    studio.close()
    return made


def test_they_are_listed_and_searched(takes, capsys) -> None:
    assert main(["history"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[0].split() == ["ID", "MADE", "STATE", "SECONDS", "VOICE", "TEXT"]
    assert takes[2] in listed[1] and "Two ponds." in listed[1] and takes[1] in listed[2]
    assert listed[-1] == "2 of 2 takes."
    assert main(["history", "search", "canoe"]) == 0
    found = capsys.readouterr().out
    assert takes[1] in found and takes[2] not in found
    assert main(["history", "list", "--owner", "ann", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["excerpt"], row["seed"], row["state"]) == (takes[0], "Ann's.", 3, "done")
    assert main(["history", "list", "--limit", "1", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_none_yet(monkeypatch, tmp_path, capsys) -> None:
    assert main(["history", "--data-dir", str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out == "No takes yet.\n"


def test_one_is_exported(takes, capsys) -> None:
    assert main(["history", "export", takes[1], "-o", "canoe.flac"]) == 0
    samples, rate = soundfile.read("canoe.flac")
    assert rate == fakes.RATE and samples.size > 0.5 * rate
    assert main(["history", "export", takes[1], "-o", "canoe.srt"]) == 0
    assert "A birch canoe." in Path("canoe.srt").read_text("utf-8")
    for wrong in (["x", "-o", "a.wav"], [takes[0], "-o", "a.wav"], [takes[1], "-o", "a.midi"],
                  [takes[1], "-o", "none/a.wav"]):  # fmt: skip
        assert main(["history", "export", *wrong]) == 2
        assert capsys.readouterr().err.startswith("Error: ")
    assert not Path("a.wav").exists()


def test_some_are_deleted(takes, capsys, monkeypatch) -> None:
    assert main(["history", "delete", takes[1]]) == 2, "nobody is there to be asked"
    assert "--yes" in capsys.readouterr().err
    assert main(["history", "delete", takes[1], "nothing", "--yes"]) == 2
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["history", "delete", takes[1]]) == 0
    assert "Nothing was deleted." in capsys.readouterr().out
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert main(["history", "delete", takes[1]]) == 0
    assert "Deleted: 1." in capsys.readouterr().out
    assert main(["history", "delete", takes[2], "-y"]) == 0
    capsys.readouterr()
    assert main(["history"]) == 0
    assert capsys.readouterr().out == "No takes yet.\n"


def test_say_keeps_nothing(takes, capsys) -> None:
    assert main(["say", "Quiet.", "--engine", "tone", "-o", "quiet.wav", "-q"]) == 0
    assert main(["history", "search", "quiet"]) == 0
    assert "0 shown" in capsys.readouterr().out


@pytest.mark.parametrize("limit", ["0", "x", "1001", "-1"])
def test_a_wrong_limit(takes, limit, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["history", "list", f"--limit={limit}"])
    assert ended.value.code == 2
    assert "1 to 1000" in capsys.readouterr().err


def test_a_damaged_history_is_told_and_left_alone(takes, tmp_path, capsys) -> None:
    path = tmp_path / "data" / "history" / "history.sqlite"
    for file in path.parent.glob("history.sqlite*"):
        file.unlink()
    path.write_bytes(b"no database " * 1000)
    assert main(["history"]) == 1
    assert "history.sqlite" in capsys.readouterr().err
    assert path.read_bytes() == b"no database " * 1000
