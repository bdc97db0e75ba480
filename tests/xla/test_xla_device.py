"""torch_xla computes here what the CPU does, compiles once, and carries the same program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch_xla
import torch_xla.debug.metrics as metrics

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(300)  # the first import of these libraries compiles their modules


def compile_count() -> int:
    """Graphs compiled since the process started."""
    data = metrics.metric_data("CompileTime")
    return 0 if data is None else int(data[0])


def small_vocoder(frames: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """[B, C, T] → [B, 1, 2T]: what a vocoder is made of, in one line each."""
    wide = torch.nn.functional.conv_transpose1d(frames, weights, stride=2, padding=1)
    return torch.tanh(torch.nn.functional.leaky_relu(wide, 0.1)).mean(1, keepdim=True)


def test_a_computation_gives_what_the_cpu_gives() -> None:
    noise = torch.Generator().manual_seed(7)
    frames = torch.randn(1, 8, 50, generator=noise)
    weights = torch.randn(8, 8, 4, generator=noise)
    device = torch_xla.device()
    assert device.type == "xla"
    there = small_vocoder(frames.to(device), weights.to(device))
    torch_xla.sync()
    expected = small_vocoder(frames, weights)
    assert there.shape == expected.shape == (1, 1, 100)
    torch.testing.assert_close(there.cpu(), expected, rtol=1e-4, atol=1e-5)


def test_a_shape_is_compiled_once_and_the_counter_shows_it() -> None:
    device = torch_xla.device()

    def work(length: int, seed: int) -> None:
        noise = torch.Generator().manual_seed(seed)
        x = torch.randn(3, length, generator=noise).to(device)
        torch.cumsum(x * 2, 1).softmax(1).cpu()

    before = compile_count()
    work(40, seed=1)
    warm = compile_count()
    assert warm > before
    for seed in range(2, 6):
        work(40, seed)
    assert compile_count() == warm, "the same shape was compiled again"
    work(41, seed=1)
    assert compile_count() > warm, "the counter misses a new shape"


def test_the_device_is_the_one_that_was_asked_for() -> None:
    assert torch_xla.runtime.device_type() == os.environ["PJRT_DEVICE"]


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=ROOT, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_whole_house_imports_here() -> None:
    run("-c", "import app, commands.main, engines.registry, server.serve, studio.studio, ui.shell")


def test_the_model_libraries_import_beside_torch_xla() -> None:
    run(
        "-c",
        "import torch_xla, transformers, onnxruntime, onnxruntime_genai\n"
        "from engines.runtime import torchaudio_standin\n"
        "torchaudio_standin.prepare()\n"
        "import TTS.tts.models.xtts",
    )


def test_the_program_lists_the_xla_device() -> None:
    assert "xla:0" in run("app.py", "devices")


def test_the_program_speaks_here(tmp_path: Path) -> None:
    import soundfile

    run(
        "app.py", "say", "The birch canoe slid on the smooth planks.", "-o", str(tmp_path / "a.wav")
    )
    sound = soundfile.info(tmp_path / "a.wav")
    assert sound.duration > 1.0
