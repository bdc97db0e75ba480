"""NVIDIA's driver through ctypes: which GPUs there are and how much of their memory is free.

`cuInit` makes no context, so that asking costs no GPU memory. Free memory comes from NVML, since
the driver's own call needs a context; the two number GPUs differently and meet in the PCI bus id.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger("vivavoce.device")

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
NVML = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"

# CUdevice_attribute
COMPUTE_CAPABILITY_MAJOR = 75
COMPUTE_CAPABILITY_MINOR = 76


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU in the driver's order, which is torch's; `total` bytes."""

    index: int
    name: str
    total: int
    capability: tuple[int, int]
    bus_id: str


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver's GPUs and the major version of CUDA that it supports."""

    cuda_major: int
    gpus: tuple[Gpu, ...]


class NvmlMemory(ctypes.Structure):
    """nvmlMemory_t"""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class _CallFailed(Exception):
    pass


def _call(library: Any, function: str, *arguments: Any) -> None:
    status = getattr(library, function)(*arguments)
    if status != 0:
        raise _CallFailed(f"{function} returned {status}")


def open_driver(load: Callable[[str], Any] = ctypes.CDLL) -> Driver | None:
    """Ask the driver; None where there is none or it refuses, with the reason in the log.

    Args:
        load: opens a shared library by name.
    """
    try:
        cuda = load(DRIVER)
        _call(cuda, "cuInit", 0)
        version, count = ctypes.c_int(), ctypes.c_int()
        _call(cuda, "cuDriverGetVersion", ctypes.byref(version))
        _call(cuda, "cuDeviceGetCount", ctypes.byref(count))
        gpus = tuple(_gpu(cuda, index) for index in range(count.value))
    except OSError:
        return None  # no driver on this machine
    except (_CallFailed, AttributeError) as error:
        log.info("the NVIDIA driver shows no GPU: %s", error)
        return None
    return Driver(version.value // 1000, gpus)


def _gpu(cuda: Any, index: int) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    total = ctypes.c_size_t()
    name, bus_id = ctypes.create_string_buffer(256), ctypes.create_string_buffer(64)
    _call(cuda, "cuDeviceGet", ctypes.byref(device), index)
    _call(cuda, "cuDeviceGetName", name, len(name), device)
    _call(cuda, "cuDeviceTotalMem_v2", ctypes.byref(total), device)
    for value, attribute in ((major, COMPUTE_CAPABILITY_MAJOR), (minor, COMPUTE_CAPABILITY_MINOR)):
        _call(cuda, "cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
    _call(cuda, "cuDeviceGetPCIBusId", bus_id, len(bus_id), device)
    return Gpu(
        index,
        name.value.decode(errors="replace"),
        total.value,
        (major.value, minor.value),
        bus_id.value.decode(),
    )


def free_memory(gpu: Gpu, load: Callable[[str], Any] = ctypes.CDLL) -> int | None:
    """Free bytes of a GPU; None where NVML is absent or refuses.

    Args:
        load: opens a shared library by name.
    """
    memory, handle = NvmlMemory(), ctypes.c_void_p()
    try:
        nvml = load(NVML)
        _call(nvml, "nvmlInit_v2")
        bus_id = gpu.bus_id.encode()
        _call(nvml, "nvmlDeviceGetHandleByPciBusId_v2", bus_id, ctypes.byref(handle))
        _call(nvml, "nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
    except (OSError, _CallFailed, AttributeError) as error:
        log.debug("free memory of %s is unknown: %s", gpu.name, error)
        return None
    # a slice of a GPU (MIG) has less than the whole has free
    return min(int(memory.free), gpu.total)
