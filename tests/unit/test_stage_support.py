"""The declared table engine × runtime × dtype decides; what it does not list is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engines.api import Capability, Support
from engines.errors import EngineFailure, UnsupportedRuntime
from engines.runtime.buckets import Buckets
from engines.runtime.eager import EagerRuntime
from engines.runtime.nvidia import Gpu
from engines.runtime.ort import OrtRuntime
from engines.runtime.stage import MapStage, Port
from engines.runtime.support import open_runtime, support
from tests.fake_device import FakeMachine

CAPABILITY = Capability(
    name="toy",
    title="Toy",
    summary="",
    sample_rate=16_000,
    licence="",
    support=(
        Support("cpu", "float32", "supported"),
        Support("cpu", "bfloat16", "untested"),
        Support("cuda", "float32", "supported"),
        Support("cuda", "bfloat16", "refused", "Durations come out wrong in bfloat16."),
        Support("onnx", "float32", "supported"),
        Support("mps", "float16", "refused", "Its convolutions are wrong there."),
    ),
)
TABLE = {"T": Buckets([8])}
GPU = Gpu(0, "NVIDIA H100", 80_000_000_000, (9, 0), "0000:01:00.0")
SERVER = FakeMachine(nvidia=(GPU, replace(GPU, index=1)), driver=13)


@pytest.mark.parametrize(
    ("device", "dtype", "row"),
    [
        ("cpu", None, ("cpu", "float32")),
        ("cpu", "bfloat16", ("cpu", "bfloat16")),
        ("cuda:1", None, ("cuda", "float32")),  # its own, bfloat16, is refused
        ("onnx", None, ("onnx", "float32")),
    ],
)
def test_listed_pairs(device: str, dtype: str | None, row: tuple[str, str]) -> None:
    found = support(CAPABILITY, device, dtype, SERVER)
    assert (found.runtime, found.dtype) == row


@pytest.mark.parametrize(
    ("device", "dtype", "message"),
    [
        ("xla:0", None, "Toy does not run on xla."),
        ("onnx:cuda", None, "Toy does not run on onnx:cuda."),
        ("mps", None, "Toy does not run on mps. Its convolutions are wrong there."),
        ("cpu", "float16", "Toy does not run on cpu in float16."),
        (
            "cuda:0",
            "bfloat16",
            "Toy does not run on cuda in bfloat16. Durations come out wrong in bfloat16.",
        ),
    ],
)
def test_unlisted_pairs_are_refused_with_the_alternatives(
    device: str, dtype: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedRuntime) as caught:
        open_runtime(CAPABILITY, device, buckets=TABLE, cache=tmp_path, dtype=dtype)
    assert caught.value.given == message
    assert caught.value.allowed == (
        "It runs on cpu in float32, cpu in bfloat16, cuda in float32, onnx in float32."
    )
    assert caught.value.param == "device"


def test_each_device_gets_its_runtime(tmp_path: Path) -> None:
    def opened(device: str, dtype: str | None = None) -> object:
        return open_runtime(CAPABILITY, device, buckets=TABLE, cache=tmp_path, dtype=dtype)

    cpu, short, onnx = opened("cpu"), opened("cpu", "bfloat16"), opened("onnx")
    assert isinstance(cpu, EagerRuntime)
    assert (cpu.device, cpu.dtype) == ("cpu", "float32")
    assert isinstance(short, EagerRuntime)
    assert short.dtype == "bfloat16"
    assert isinstance(onnx, OrtRuntime)
    assert (onnx.device, onnx.dtype) == ("onnx", "float32")


def test_a_provider_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    listed = replace(CAPABILITY, support=(Support("onnx:directml", "float32", "untested"),))
    with pytest.raises(UnsupportedRuntime, match=r"DmlExecutionProvider.*CPUExecutionProvider"):
        open_runtime(listed, "onnx:directml", buckets=TABLE, cache=tmp_path)


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        (EagerRuntime("cpu"), "was read from an ONNX file.*Pick the device onnx"),
        (OrtRuntime(), "has no ONNX file.*app.py convert"),
    ],
)
def test_a_stage_in_the_other_form_is_refused(
    runtime: EagerRuntime | OrtRuntime, message: str
) -> None:
    port = Port("x", "float32", ("T",))
    with pytest.raises(EngineFailure, match=f"Stage s {message}"):
        runtime.bind(MapStage("s", None, (port,), (port,)))
