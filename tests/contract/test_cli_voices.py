"""What the commands list, and that the listed voices and presets speak with the real engine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import soundfile

from commands import flags
from commands.main import main
from studio import presets
from studio.settings import PRESETS_DIR
from tests import fakes
from tests.speech_check import HARVARD_SENTENCES, recognise


@pytest.fixture
def tone(monkeypatch: pytest.MonkeyPatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; the program's data lie in `data` within it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(flags, "default_data_dir", lambda: tmp_path / "data")
    return tmp_path


# what it lists


def test_voices_are_listed_and_filtered(tone, folder: Path, capsys) -> None:
    assert main(["voices", "--engine", "tone"]) == 0
    listed = capsys.readouterr().out
    assert "sine" in listed and "square" in listed
    assert main(["voices", "--engine", "tone", "--language", "DE"]) == 0
    listed = capsys.readouterr().out
    assert "sine" not in listed and "square" in listed
    assert main(["voices", "--engine", "tone", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == ["sine", "square"]
    assert rows[0]["languages"] == ["en-US"]
    assert main(["voices", "--engine", "tone", "--language", "tlh"]) == 2
    assert "'tlh'" in capsys.readouterr().err
    assert main(["voices", "--engine", "nothing"]) == 2


def test_every_listed_voice_can_be_asked_for(folder: Path, capsys) -> None:
    assert main(["voices", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) > 100
    assert len({(row["engine"], row["id"]) for row in rows}) == len(rows)
    assert rows[0]["tags"][0] == "starter"


def test_a_voice_is_kept_under_a_name_and_let_go(tone, folder: Path, capsys) -> None:
    assert main(["voices", "keep", "square", "Nadia Ö", "--data-dir", "elsewhere"]) == 0
    assert "--voice nadia-o" in capsys.readouterr().out
    assert list(Path("elsewhere/presets/voices").glob("*.json")) and not Path("data").exists()
    assert main(["voices", "--data-dir", "elsewhere", "--engine", "tone", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == "nadia-o"
    say = ["say", "Hello.", "--voice", "nadia-o", "-o", "x.wav", "-q", "--data-dir", "elsewhere"]
    assert main(say) == 0 and soundfile.info("x.wav").duration > 0.1
    for wrong in (
        ["keep", "square", "nadia ö"],
        ["keep", "cat", "Bob"],
        ["keep", "square", ""],
        ["keep", "square", "Bob", "--engine", "espeak"],
        ["keep", "square", "Bob", "--language", "fr"],
        ["forget", "clara"],
    ):
        assert main(["voices", *wrong, "--data-dir", "elsewhere"]) == 2, wrong
        assert capsys.readouterr().err.startswith("Error: ")
    assert main(["voices", "forget", "NADIA Ö", "--data-dir", "elsewhere"]) == 0
    assert main(say) == 2


def test_controls_and_presets_are_listed(tone, folder: Path, capsys) -> None:
    assert main(["voices", "--controls"]) == 0
    listed = capsys.readouterr().out
    assert "frequency" in listed and "a number from 50 to 2000" in listed and "espeak" in listed
    assert main(["voices", "--controls", "--engine", "tone", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["tone"]
    assert [spec["name"] for spec in listed] == ["frequency", "speed"]
    assert listed[0]["minimum"] == 50
    assert main(["voices", "--presets"]) == 0
    assert "audiobook" in capsys.readouterr().out


def test_devices_are_listed_with_their_engines(tone, capsys) -> None:
    assert main(["devices"]) == 0
    assert "cpu" in capsys.readouterr().out
    assert main(["devices", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert "tone" in rows["cpu"]["engines"] and rows["cpu"]["total"] > 2**20
    assert all("tone" not in row["engines"] for name, row in rows.items() if name != "cpu")


def test_the_help_of_say_lists_what_there_is(tone, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["say", "--help"])
    text = capsys.readouterr().out
    for part in ("wav, ", "frequency: a number from 50 to 2000", "audiobook: ", "--captions"):
        assert part in text


def test_the_last_sentence_of_a_long_text_is_spoken_like_the_first(folder: Path) -> None:
    """With the real engine: what it does in one process must not add up from text to text."""
    Path("book.txt").write_text("The birch canoe slid. " * 250)
    argv = ["say", "-f", "book.txt", "-o", "x.wav", "--captions", "x.vtt", "--set", "variation=0"]
    assert main([*argv, "--quiet"]) == 0
    times = re.findall(
        r"(\d\d):(\d\d):([\d.]+) -->.* (\d\d):(\d\d):([\d.]+)", Path("x.vtt").read_text()
    )
    lengths = []
    for line in times:
        begin, end = (
            float(h) * 3600 + float(m) * 60 + float(s) for h, m, s in (line[:3], line[3:])
        )
        lengths.append(end - begin)
    assert len(lengths) == 250
    assert max(lengths) - min(lengths) < 0.02
    assert sum(lengths) < soundfile.info("x.wav").duration < 2 * sum(lengths)


STARTERS = [v.id for v in presets.load(PRESETS_DIR).voices if v.language.startswith("en")]
PRESETS = [preset.id for preset in presets.load(PRESETS_DIR).engines]
WAYS = [*(("--voice", name) for name in STARTERS), *(("--preset", name) for name in PRESETS)]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_every_starter_voice_and_preset_is_intelligible(way: tuple[str, str], folder: Path) -> None:
    for sentence in HARVARD_SENTENCES[:2]:
        assert main(["say", sentence, "-o", "x.wav", "--seed", "1", "-q", *way]) == 0
        assert recognise(*soundfile.read("x.wav")) == sentence
