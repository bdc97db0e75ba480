"""Devices: names, and what they mean on simulated machines."""

from __future__ import annotations

import logging
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import UnknownDevice, UnsupportedRuntime
from engines.runtime import device
from engines.runtime.device import DeviceSpec
from engines.runtime.nvidia import Gpu
from engines.runtime.probe import TorchBuild
from tests.fake_device import FakeMachine

GIB = 1024**3
H100 = Gpu(0, "NVIDIA H100", 80 * GIB, (9, 0), "0000:01:00.0")
T4 = Gpu(1, "Tesla T4", 16 * GIB, (7, 5), "0000:02:00.0")
CUDA_TORCH = TorchBuild("2.13.0", "13.0")
CPU_TORCH = TorchBuild("2.13.0+cpu", None)
ORT = ("CPUExecutionProvider",)

BARE = FakeMachine()
LAPTOP = FakeMachine(torch_build=CPU_TORCH, providers=ORT)
SERVER = FakeMachine(
    torch_build=CUDA_TORCH,
    nvidia=(H100, T4),
    driver=13,
    providers=("CUDAExecutionProvider", *ORT),
)
MAC = FakeMachine(
    torch_build=TorchBuild("2.13.0", None),
    has_mps=True,
    providers=("CoreMLExecutionProvider", *ORT),
)
TPU = FakeMachine(torch_build=CPU_TORCH, xla_count=4, xla="TPU")


def names(machine: FakeMachine) -> list[str]:
    return [info.spec.name for info in device.available(machine)]


# names


@pytest.mark.parametrize(
    ("text", "name", "kind", "index", "runtime"),
    [
        ("cpu", "cpu", "cpu", 0, "cpu"),
        (" CPU\n", "cpu", "cpu", 0, "cpu"),
        ("cuda", "cuda:0", "cuda", 0, "cuda"),
        ("cuda:1", "cuda:1", "cuda", 1, "cuda"),
        ("CUDA:12", "cuda:12", "cuda", 12, "cuda"),
        ("mps", "mps", "mps", 0, "mps"),
        ("xla", "xla:0", "xla", 0, "xla"),
        ("xla:3", "xla:3", "xla", 3, "xla"),
        ("onnx", "onnx", "onnx", 0, "onnx"),
        ("onnx:cuda", "onnx:cuda", "onnx", 0, "onnx:cuda"),
        ("onnx:coreml", "onnx:coreml", "onnx", 0, "onnx:coreml"),
        ("onnx:directml", "onnx:directml", "onnx", 0, "onnx:directml"),
    ],
)
def test_names(text: str, name: str, kind: Any, index: int, runtime: str) -> None:
    spec = device.parse(text)
    assert spec == DeviceSpec(name, kind, index)
    assert spec.runtime == runtime
    assert device.parse(spec.name) == spec


def test_auto_is_no_device() -> None:
    assert device.parse("auto") is None
    assert device.parse(" Auto ") is None


@pytest.mark.parametrize(
    "text",
    ["", " ", "gpu", "cuda:", "cuda:-1", "cuda:1.0", "cuda:٣", "cuda:9999", "cuda 1", "cuda:0:1",
     "cpu:0", "mps:0", "onnx:", "onnx:tpu", "onnx:cuda:1", "auto:0", "cpu;cuda", "\ud800", None, 5],
)  # fmt: skip
def test_other_names_are_errors_that_say_which_there_are(text: Any) -> None:
    with pytest.raises(UnknownDevice) as caught:
        device.parse(text)
    assert caught.value.param == "device"
    assert "onnx:directml" in str(caught.value)
    str(caught.value).encode()  # can be sent and printed whatever was given


@given(st.text(max_size=20) | st.text(string.ascii_lowercase + ":0123456789", max_size=8))
def test_any_text_is_a_device_or_an_unknown_one(text: str) -> None:
    try:
        spec = device.parse(text)
    except UnknownDevice as error:
        assert len(str(error)) < 500
    else:
        assert spec is None or device.parse(spec.name) == spec


# what is here


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (BARE, ["cpu"]),
        (LAPTOP, ["cpu", "onnx"]),
        (SERVER, ["cpu", "cuda:0", "cuda:1", "onnx", "onnx:cuda"]),
        (MAC, ["cpu", "mps", "onnx", "onnx:coreml"]),
        (TPU, ["cpu", "xla:0", "xla:1", "xla:2", "xla:3"]),
        (FakeMachine(providers=("DmlExecutionProvider", *ORT)), ["cpu", "onnx", "onnx:directml"]),
        # a library for CUDA is no GPU
        (FakeMachine(providers=("CUDAExecutionProvider", *ORT)), ["cpu", "onnx"]),
        # a GPU without a torch that can use it
        (FakeMachine(torch_build=CPU_TORCH, nvidia=(H100,), driver=13), ["cpu"]),
        (FakeMachine(torch_build=CUDA_TORCH, nvidia=(H100,), driver=12), ["cpu"]),
        (FakeMachine(nvidia=(H100,), driver=13), ["cpu"]),
        # torch itself knows best
        (FakeMachine(torch_build=CUDA_TORCH, torch_says=False, nvidia=(H100,), driver=13), ["cpu"]),
        (FakeMachine(torch_build=CUDA_TORCH, torch_says=True, nvidia=(H100,)), ["cpu", "cuda:0"]),
        (FakeMachine(torch_build=CUDA_TORCH, driver=13), ["cpu"]),
    ],
)
def test_available(machine: FakeMachine, expected: list[str]) -> None:
    assert names(machine) == expected


def test_descriptions() -> None:
    by_name = {info.spec.name: info for info in device.available(SERVER)}
    assert by_name["cuda:1"].title == "Tesla T4"
    assert by_name["cuda:1"].note == "compute capability 7.5"
    assert (by_name["cuda:1"].free, by_name["cuda:1"].total) == (3_000_000_000, 16 * GIB)
    assert by_name["cpu"].title == "A processor"
    assert by_name["cpu"].note == "usable cores: 4"
    assert (by_name["cpu"].free, by_name["cpu"].total) == (8_000_000_000, 16_000_000_000)
    assert by_name["onnx:cuda"].note == "CUDAExecutionProvider"
    assert by_name["onnx:cuda"].total == 80 * GIB
    (mps,) = [info for info in device.available(MAC) if info.spec.kind == "mps"]
    assert (mps.title, mps.total) == ("A processor GPU", 12_000_000_000)
    assert device.available(TPU)[1].title == "XLA TPU"


def test_remarks_say_why_a_gpu_cannot_be_used() -> None:
    assert device.remarks(SERVER) == device.remarks(LAPTOP) == device.remarks(MAC) == ()
    (cpu_build,) = device.remarks(FakeMachine(torch_build=CPU_TORCH, nvidia=(H100,), driver=13))
    assert (
        "NVIDIA H100 is here, but the installed torch 2.13.0+cpu is built for the CPU" in cpu_build
    )
    (old,) = device.remarks(FakeMachine(torch_build=CUDA_TORCH, nvidia=(H100,), driver=12))
    assert "its driver supports CUDA 12 and the installed torch 2.13.0 needs 13.0" in old


# choosing


@pytest.mark.parametrize(
    ("machine", "text", "runtimes", "expected"),
    [
        (SERVER, "auto", ("cuda", "mps", "cpu"), "cuda:0"),
        (MAC, "auto", ("cuda", "mps", "cpu"), "mps"),
        (LAPTOP, "auto", ("cuda", "mps", "cpu"), "cpu"),
        (LAPTOP, "auto", ("cuda", "onnx", "cpu"), "onnx"),
        (SERVER, "auto", ("onnx:cuda", "onnx"), "onnx:cuda"),
        (SERVER, "cuda", ("cpu", "cuda"), "cuda:0"),
        (SERVER, "cuda:1", ("cpu", "cuda"), "cuda:1"),
        (SERVER, "cpu", ("cuda", "cpu"), "cpu"),
        (TPU, "xla:3", ("xla",), "xla:3"),
        (BARE, "auto", ("cpu",), "cpu"),
    ],
)
def test_resolve(machine: FakeMachine, text: str, runtimes: tuple[str, ...], expected: str) -> None:
    assert device.resolve(text, runtimes, machine).name == expected


@pytest.mark.parametrize(
    ("machine", "text"),
    [(LAPTOP, "cuda"), (SERVER, "cuda:2"), (SERVER, "mps"), (TPU, "xla:4"), (LAPTOP, "onnx:cuda")],
)
def test_an_absent_device_is_unknown_and_the_present_ones_are_listed(
    machine: FakeMachine, text: str
) -> None:
    with pytest.raises(UnknownDevice) as caught:
        device.resolve(text, ("cuda", "mps", "xla", "onnx:cuda", "cpu"), machine)
    assert caught.value.param == "device"
    assert f"This machine has {', '.join(names(machine))}." in str(caught.value)


def test_an_absent_device_is_unknown_even_to_an_engine_that_could_not_use_it() -> None:
    with pytest.raises(UnknownDevice):
        device.resolve("cuda", ("cpu",), LAPTOP)


def test_an_absent_gpu_that_is_really_there_says_why() -> None:
    machine = FakeMachine(torch_build=CPU_TORCH, nvidia=(H100,), driver=13)
    with pytest.raises(UnknownDevice, match="NVIDIA H100 is here, but"):
        device.resolve("cuda", ("cuda", "cpu"), machine)


def test_a_device_that_the_engine_cannot_use_names_the_alternatives() -> None:
    with pytest.raises(UnsupportedRuntime) as caught:
        device.resolve("cuda", ("onnx", "cpu"), SERVER)
    message = str(caught.value)
    assert "does not run on cuda:0" in message
    assert "Pick cpu, onnx or auto." in message


def test_an_engine_that_runs_on_nothing_here() -> None:
    with pytest.raises(UnsupportedRuntime, match=r"runs on cuda, mps; this machine has cpu, onnx"):
        device.resolve("auto", ("cuda", "mps"), LAPTOP)
    with pytest.raises(UnsupportedRuntime, match="Pick another engine"):
        device.resolve("cpu", ("cuda", "mps"), LAPTOP)


def test_the_cpu_is_resolved_without_looking_for_gpus() -> None:
    class NoLooking(FakeMachine):
        def gpus(self) -> tuple[Gpu, ...]:
            raise AssertionError("the first look at a GPU takes a while")

    assert device.resolve("auto", ("cpu",), NoLooking()).name == "cpu"
    assert device.resolve("cpu", ("cpu",), NoLooking()).name == "cpu"


# dtypes and memory


@pytest.mark.parametrize(
    ("machine", "name", "dtype", "reason"),
    [
        (SERVER, "cpu", "float32", "processor"),
        (SERVER, "cuda:0", "bfloat16", "compute capability 9.0"),
        (SERVER, "cuda:1", "float16", "compute capability 7.5"),
        (MAC, "mps", "float16", "Apple"),
        (TPU, "xla:0", "bfloat16", "TPU"),
        (FakeMachine(xla_count=1, xla="CPU"), "xla:0", "float32", "processor"),
        (SERVER, "onnx:cuda", "float32", "graph"),
    ],
)
def test_dtypes(
    machine: FakeMachine, name: str, dtype: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    spec = device.parse(name)
    assert spec is not None
    with caplog.at_level(logging.INFO, "vivavoce.device"):
        choice = device.pick_dtype(spec, machine)
    assert choice.name == dtype
    assert reason in choice.reason
    assert f"{name} works in {dtype}: {choice.reason}" in caplog.text


def test_the_dtype_and_memory_of_an_absent_gpu() -> None:
    spec = DeviceSpec("cuda:7", "cuda", 7)
    for question in (device.pick_dtype, device.memory_of):
        with pytest.raises(UnknownDevice, match="cuda:7 is not here"):
            question(spec, SERVER)


@pytest.mark.parametrize(
    ("name", "pool"),
    [("cpu", "cpu"), ("mps", "cpu"), ("onnx", "cpu"), ("onnx:coreml", "cpu"), ("cuda:1", "cuda:1"),
     ("onnx:cuda", "cuda:0"), ("onnx:directml", "onnx:directml"), ("xla:0", "xla:0")],
)  # fmt: skip
def test_whose_memory_a_device_uses(name: str, pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PJRT_DEVICE", raising=False)
    assert device.memory_pool(name) == pool


def test_xla_on_the_cpu_uses_the_hosts_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PJRT_DEVICE", "cpu")
    assert device.memory_pool("xla:0") == "cpu"
    machine = FakeMachine(xla_count=1, xla="CPU")
    assert device.memory_of(DeviceSpec("xla:0", "xla"), machine) == machine.memory
    assert device.memory_of(DeviceSpec("xla:0", "xla"), TPU) == (None, None)
