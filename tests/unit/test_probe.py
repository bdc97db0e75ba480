"""What this machine is asked: its files, its control groups, NVIDIA's driver."""

from __future__ import annotations

import ctypes
import importlib.machinery
import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.runtime import cgroup, device, nvidia
from engines.runtime.cgroup import MemoryLimit
from engines.runtime.nvidia import Gpu
from engines.runtime.probe import ThisMachine, TorchBuild

ROOT = Path(__file__).resolve().parents[2]
GIB = 1024**3
H100 = Gpu(0, "NVIDIA H100", 80 * GIB, (9, 0), "0000:01:00.0")
T4 = Gpu(1, "Tesla T4", 16 * GIB, (7, 5), "0000:02:00.0")


def test_this_machine_is_described_without_importing_anything_heavy() -> None:
    code = (
        "import sys, json; from engines.runtime import device; from engines.memory import "
        "MemoryManager; MemoryManager(); found = device.available(); "
        "print(json.dumps([[i.spec.name, i.title, i.total, i.free] for i in found])); "
        "heavy = {'torch', 'onnxruntime', 'numpy', 'torch_xla'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = {name: rest for name, *rest in json.loads(run.stdout)}
    title, total, free = found["cpu"]
    assert title
    assert 0 < free <= total


def test_probing_agrees_with_torch_and_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    unasked = ThisMachine()
    build, providers, before = unasked.torch(), unasked.onnx_providers(), names_here(unasked)
    monkeypatch.undo()
    import onnxruntime
    import torch

    assert build == TorchBuild(torch.__version__, torch.version.cuda)
    known = set(device.ONNX_PROVIDERS.values())
    assert set(providers) == known & set(onnxruntime.get_available_providers())
    assert before == names_here(ThisMachine())


def names_here(machine: ThisMachine) -> list[str]:
    return [info.spec.name for info in device.available(machine)]


def pretend_module(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_a_module_that_is_half_imported_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    module = pretend_module(monkeypatch, "torch")  # with nothing in it yet
    module.__spec__._initializing = True  # type: ignore[union-attr]
    machine = ThisMachine()
    assert machine.torch_sees_cuda() is None
    assert machine.mps() is False or sys.platform == "darwin"


def test_a_gpu_that_only_torch_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    card = types.SimpleNamespace(name="AMD Instinct", total_memory=64 * GIB, major=9, minor=4)
    cuda = types.SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: False,
        device_count=lambda: 1,
        get_device_properties=lambda index: card,
    )
    pretend_module(monkeypatch, "torch", cuda=cuda)
    monkeypatch.setattr(nvidia, "open_driver", lambda: None)
    machine = ThisMachine()
    assert machine.gpus() == (Gpu(0, "AMD Instinct", 64 * GIB, (9, 4), ""),)
    assert machine.gpu_memory(0) == (None, 64 * GIB)


def test_blocks_that_torch_keeps_count_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = types.SimpleNamespace(
        is_initialized=lambda: True,
        mem_get_info=lambda index: (10, 100),
        memory_reserved=lambda index: 50,
        memory_allocated=lambda index: 30,
    )
    pretend_module(monkeypatch, "torch", cuda=cuda)
    assert ThisMachine().gpu_memory(0) == (30, 100)


# the NVIDIA driver


class FakeDriver:
    """libcuda and libnvidia-ml for some GPUs, called as ctypes would call them."""

    def __init__(self, cards: list[Gpu], failing: dict[str, int] | None = None) -> None:
        self._cards = cards
        self._failing = failing or {}
        self._functions: dict[str, Callable[..., None]] = {
            "cuInit": lambda flags: None,
            "cuDriverGetVersion": lambda version: fill(version, 13020),
            "cuDeviceGetCount": lambda count: fill(count, len(cards)),
            "cuDeviceGet": lambda device, index: fill(device, index),
            "cuDeviceGetName": lambda name, _, device: fill(name, self._card(device).name),
            "cuDeviceTotalMem_v2": lambda total, device: fill(total, self._card(device).total),
            "cuDeviceGetAttribute": lambda value, attribute, device: fill(
                value, self._card(device).capability[attribute - 75]
            ),
            "cuDeviceGetPCIBusId": lambda bus, _, device: fill(bus, self._card(device).bus_id),
            "nvmlInit_v2": lambda: None,
            "nvmlDeviceGetHandleByPciBusId_v2": lambda bus, handle: fill(
                handle, 1 + [card.bus_id.encode() for card in cards].index(bus)
            ),
            "nvmlDeviceGetMemoryInfo": self._memory,
        }

    def __getattr__(self, function: str) -> Any:
        def call(*arguments: Any) -> int:
            if function in self._failing:
                return self._failing[function]
            self._functions[function](*arguments)
            return 0

        return call

    def _card(self, device: ctypes.c_int) -> Gpu:
        return self._cards[device.value]

    def _memory(self, handle: ctypes.c_void_p, reference: Any) -> None:
        assert handle.value is not None
        memory = reference._obj
        memory.total = self._cards[handle.value - 1].total
        memory.free = memory.total // 4


def fill(target: Any, value: int | str) -> None:
    """Write through a reference or into a buffer."""
    if isinstance(value, str):
        target.value = value.encode()
    else:
        target._obj.value = value


def test_the_driver_is_asked() -> None:
    driver = nvidia.open_driver(lambda name: FakeDriver([H100, T4]))
    assert driver == nvidia.Driver(13, (H100, T4))


def test_no_driver_and_a_driver_that_refuses() -> None:
    def absent(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    assert nvidia.open_driver(absent) is None
    assert nvidia.free_memory(H100, absent) is None
    no_device = FakeDriver([H100], {"cuInit": 100})
    assert nvidia.open_driver(lambda name: no_device) is None
    assert nvidia.open_driver(lambda name: object()) is None
    no_permission = FakeDriver([H100], {"nvmlDeviceGetMemoryInfo": 4})
    assert nvidia.free_memory(H100, lambda name: no_permission) is None


def test_free_memory_goes_by_the_bus_id_and_never_above_a_slices_size() -> None:
    swapped = FakeDriver([T4, H100])  # NVML numbers by bus, CUDA by speed
    assert nvidia.free_memory(H100, lambda name: swapped) == 20 * GIB
    assert nvidia.free_memory(T4, lambda name: swapped) == 4 * GIB
    slice_of_it = Gpu(0, "NVIDIA H100 MIG 1g.10gb", 10 * GIB, (9, 0), H100.bus_id)
    assert nvidia.free_memory(slice_of_it, lambda name: swapped) == 10 * GIB


def test_a_containers_limit_caps_the_hosts_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole_total = ThisMachine().host_memory()
    assert whole_total is not None
    monkeypatch.setattr(cgroup, "memory_limit", lambda: MemoryLimit(GIB // 2, GIB // 8))
    free, total = ThisMachine().host_memory()
    assert total == GIB // 2
    assert free is not None
    assert free <= GIB // 2 - GIB // 8
    monkeypatch.setattr(cgroup, "memory_limit", lambda: MemoryLimit(GIB // 2, GIB))
    assert ThisMachine().host_memory() == (0, GIB // 2)
    monkeypatch.setattr(cgroup, "memory_limit", lambda: MemoryLimit(whole_total * 2, 0))
    assert ThisMachine().host_memory()[1] == whole_total
