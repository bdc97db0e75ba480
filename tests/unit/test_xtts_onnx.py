"""XTTS in ONNX Runtime: a process without torch says what torch says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.api import CancelToken
from engines.coqui.xtts import converting, loading
from engines.coqui.xtts.config import WEIGHTS
from engines.errors import BadCheckpoint
from engines.memory import MemoryManager
from tests import xtts_saying
from tests.xtts_release import write_release


def test_a_converted_release_needs_no_torch(tmp_path):
    folder = write_release(tmp_path / "models" / "tiny")
    memory = MemoryManager()
    release = xtts_saying.release_of(folder, memory)
    with pytest.raises(BadCheckpoint, match=r"no gpt\.onnx and no decoder\.onnx.*convert"):
        xtts_saying.say(release, "No.", "onnx")
    expected = [np.concatenate(xtts_saying.say(release, t, "cpu")) for t in xtts_saying.TEXTS]
    heard = release.listen([xtts_saying.clip()], device="cpu", cancel=CancelToken())
    made = list(converting.to_onnx(folder))
    assert [stage.name for _, stage, _ in made] == [
        *loading.LISTENING_STAGES,
        *loading.SPEAKING_STAGES,
    ]
    for name in (WEIGHTS, "speakers_xtts.pth"):
        (folder / name).unlink()

    found = in_another_process(folder, tmp_path / "found.npz")
    assert not found["loaded"].any()
    np.testing.assert_allclose(found["latents"], heard.latents, atol=2e-3)
    np.testing.assert_allclose(found["embedding"], heard.embedding, atol=1e-5)
    for number, each in enumerate(expected):
        np.testing.assert_allclose(found[f"sound{number}"], each, atol=1e-4)

    config = folder / "config.json"
    text = config.read_text()
    config.write_text(text.replace("64", "32"))
    with pytest.raises(BadCheckpoint, match="32 channels"):
        xtts_saying.say(xtts_saying.release_of(folder, memory), "No.", "onnx")
    memory.close()


def in_another_process(folder: Path, target: Path) -> dict[str, np.ndarray]:
    command = [sys.executable, "-m", "tests.xtts_saying", str(folder), "onnx", str(target)]
    subprocess.run(command, check=True, timeout=110)
    return dict(np.load(target))
