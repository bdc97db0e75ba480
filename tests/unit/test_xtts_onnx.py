"""XTTS in ONNX Runtime: a process without torch says what torch says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from commands.main import main
from engines.coqui.xtts import converting, loading
from engines.errors import BadCheckpoint, InvalidRequest
from engines.memory import MemoryManager
from tests import xtts_saying
from tests.xtts_release import write_release


@pytest.mark.timeout(400)  # the decoder is as large as a published one
def test_a_converted_release_needs_no_torch(tmp_path, capsys):
    folder = write_release(tmp_path / "models" / "tiny")
    memory = MemoryManager()
    engine = xtts_saying.engine_of(folder, memory)
    with pytest.raises(BadCheckpoint, match=r"no gpt\.onnx and no decoder\.onnx.*convert"):
        xtts_saying.say(engine, "No.", "onnx")
    with pytest.raises(InvalidRequest, match="dynamic"):
        next(converting.to_onnx(folder, dynamic=False))
    assert converting.recognises(folder) and not converting.recognises(tmp_path)
    assert main(["convert", str(folder), "--to", "onnx"]) == 0
    said = capsys.readouterr().out
    assert "FAIL" not in said
    for stage in (*loading.LISTENING_STAGES, *loading.SPEAKING_STAGES):
        assert sum(line.startswith(f"{stage} ") for line in said.splitlines()) >= 3

    found = in_another_process(folder, tmp_path / "found.npz")
    assert not found["loaded"].any()
    heard = xtts_saying.heard(engine, "cpu")
    assert set(heard) == {"gpt_conditioning_latents", "speaker_embedding"}
    for name, each in heard.items():
        np.testing.assert_allclose(found[name], each, atol=2e-3)
    for number, text in enumerate(xtts_saying.TEXTS):
        expected = np.concatenate(xtts_saying.say(engine, text, "cpu"))
        np.testing.assert_allclose(found[f"sound{number}"], expected, atol=1e-4)

    config = folder / "config.json"
    text = config.read_text()
    config.write_text(text.replace("64", "32"))
    with pytest.raises(BadCheckpoint, match="32 channels"):
        xtts_saying.say(xtts_saying.engine_of(folder, memory), "No.", "onnx")
    memory.close()


def in_another_process(folder: Path, target: Path) -> dict[str, np.ndarray]:
    command = [sys.executable, "-m", "tests.xtts_saying", str(folder), "onnx", str(target)]
    subprocess.run(command, check=True, timeout=300)
    return dict(np.load(target))
