"""docs/adding-an-engine.md is followed to the letter: its files are written, registered, used."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

import engines
from commands.main import main
from engines import registry
from engines.memory import MemoryManager

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding-an-engine.md").read_text("utf-8")


def blocks(info: str) -> list[tuple[str, str]]:
    """Fenced blocks whose info string begins so: the rest of the info string, and the content."""
    pattern = rf"^```{re.escape(info)}(.*?)\n(.*?)^```$"
    return re.findall(pattern, PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def bell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in blocks("python file="):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")
    monkeypatch.setattr(engines, "__path__", [*engines.__path__, str(tmp_path / "engines")])
    [(_, line)] = blocks("python registry")
    name, place = re.fullmatch(r'"(\w+)": "([\w.:]+)",', line.strip()).groups()
    monkeypatch.setitem(registry.FAMILIES, name, place)
    registry.engine_class.cache_clear()
    yield
    registry.engine_class.cache_clear()


def test_the_new_engine_is_everywhere(
    bell: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--data-dir", str(tmp_path / "data")]

    assert main(["voices", "--engine", "bell", *folder]) == 0
    assert "Small bell" in capsys.readouterr().out

    assert main(["voices", "--controls", "--engine", "bell", *folder]) == 0
    listed = capsys.readouterr().out
    assert "a number from 0.5 to 8" in listed and "one of bronze, glass" in listed

    assert main(["devices"]) == 0
    assert "bell" in capsys.readouterr().out

    with pytest.raises(SystemExit):
        main(["say", "--help"])
    assert "metal: one of bronze, glass" in capsys.readouterr().out


def test_the_new_engine_speaks(bell: None, tmp_path: Path) -> None:
    out = tmp_path / "bell.wav"
    flags = ["--engine", "bell", "--data-dir", str(tmp_path / "data"), "--quiet"]

    assert main(["say", "Ring the bell.", "-o", str(out), *flags, "--set", "pace=1"]) == 0
    slow, rate = soundfile.read(out)
    assert rate == 16_000
    assert len(slow) / rate == pytest.approx(3, abs=1)
    assert np.abs(slow).max() > 0.05

    assert main(["say", "Ring the bell.", "-o", str(out), *flags, "--set", "pace=4"]) == 0
    fast, _ = soundfile.read(out)
    assert len(fast) < len(slow) / 2

    assert main(["say", "Ring.", "-o", str(out), *flags, "--set", "metal=wood"]) == 2
    assert main(["say", "Ring.", "-o", str(out), *flags, "--voice", "huge"]) == 2
    assert main(["say", "Ring.", "-o", str(out), *flags, "--device", "onnx"]) == 2


def test_the_model_is_leased_and_let_go(bell: None, tmp_path: Path) -> None:
    from engines.api import CancelToken, EngineContext, Span, Utterance

    with closing(MemoryManager()) as memory:
        engine = registry.engine_class("bell")(EngineContext(tmp_path, tmp_path, memory))
        utterance = Utterance((Span("Ring it.", "Ring it."),), "en")
        voice, controls = engine.voices()[0], engine.controls()
        speech = engine.speak(
            utterance, voice, controls, device="cpu", seed=0, cancel=CancelToken()
        )
        next(speech)
        [resident] = memory.residents()
        assert resident.leases == 1
        speech.close()
        [resident] = memory.residents()
        assert resident.leases == 0
