"""What this machine has, asked without importing torch or ONNX Runtime.

Their files are read as text, NVIDIA's driver is called through ctypes. Where a library is imported
already, and so costs nothing more, it is asked itself.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

from engines.runtime import cgroup, nvidia, threads
from engines.runtime.nvidia import Gpu

FreeTotal = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """The installed torch; `cuda` is the CUDA version that it was built with, if any."""

    version: str
    cuda: str | None


class Machine(Protocol):
    """Everything that `engines.runtime.device` asks; tests bring machines of their own."""

    def cpu_name(self) -> str: ...

    def cores(self) -> int:
        """Cores that this process may keep busy."""
        ...

    def host_memory(self) -> FreeTotal:
        """Free and total bytes that this process may use."""
        ...

    def torch(self) -> TorchBuild | None:
        """None where torch is not installed."""
        ...

    def torch_sees_cuda(self) -> bool | None:
        """What torch itself says; None while it is not imported."""
        ...

    def gpus(self) -> tuple[Gpu, ...]:
        """GPUs that the driver shows, whether or not torch can use them."""
        ...

    def cuda_driver(self) -> int:
        """Major version of CUDA that the driver supports; 0 without one."""
        ...

    def gpu_memory(self, index: int) -> FreeTotal: ...

    def mps(self) -> bool:
        """Can torch use an Apple GPU here?"""
        ...

    def mps_memory(self) -> FreeTotal: ...

    def xla_devices(self) -> int: ...

    def xla_platform(self) -> str:
        """ "CPU", "TPU" …; empty where it is not known."""
        ...

    def onnx_providers(self) -> tuple[str, ...]:
        """ONNX Runtime's execution providers; empty where it is not installed."""
        ...


class ThisMachine:
    """The machine that the program runs on. What cannot change is asked once."""

    def cpu_name(self) -> str:
        try:
            found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        except OSError:
            found = None
        return found[1] if found else platform.processor() or platform.machine()

    def cores(self) -> int:
        return threads.usable_cores()

    def host_memory(self) -> FreeTotal:
        import psutil

        memory = psutil.virtual_memory()
        limit = cgroup.memory_limit()
        if limit is None or limit.limit >= memory.total:
            return memory.available, memory.total
        return min(memory.available, max(0, limit.limit - limit.used)), limit.limit

    def torch(self) -> TorchBuild | None:
        return self._torch

    @cached_property
    def _torch(self) -> TorchBuild | None:
        folder = _package_folder("torch")
        if folder is None:
            return None
        text = (folder / "version.py").read_text()
        version = re.search(r"^__version__ *= *['\"]([^'\"]+)", text, re.M)
        cuda = re.search(r"^cuda\b[^=]*= *['\"]([^'\"]+)", text, re.M)
        return TorchBuild(version[1] if version else "unknown", cuda[1] if cuda else None)

    @cached_property
    def _driver(self) -> nvidia.Driver | None:
        return nvidia.open_driver()

    def torch_sees_cuda(self) -> bool | None:
        torch = _imported("torch")
        return None if torch is None else bool(torch.cuda.is_available())

    def gpus(self) -> tuple[Gpu, ...]:
        if self._driver is not None:
            return self._driver.gpus
        # a GPU that only torch knows: AMD's, or one that is lent by the call
        torch = _imported("torch")
        if torch is None or not torch.cuda.is_available():
            return ()
        found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return tuple(
            Gpu(index, gpu.name, gpu.total_memory, (gpu.major, gpu.minor), bus_id="")
            for index, gpu in enumerate(found)
        )

    def cuda_driver(self) -> int:
        return self._driver.cuda_major if self._driver else 0

    def gpu_memory(self, index: int) -> FreeTotal:
        torch = _imported("torch")
        if torch is not None and torch.cuda.is_initialized():
            free, total = torch.cuda.mem_get_info(index)
            # torch keeps freed blocks; they are as good as free to us
            cached = torch.cuda.memory_reserved(index) - torch.cuda.memory_allocated(index)
            return free + cached, total
        gpu = self.gpus()[index]
        return nvidia.free_memory(gpu) if gpu.bus_id else None, gpu.total

    def mps(self) -> bool:
        torch = _imported("torch")
        if torch is not None:
            return bool(torch.backends.mps.is_available())
        apple = sys.platform == "darwin" and platform.machine() == "arm64"
        return apple and self._torch is not None

    def mps_memory(self) -> FreeTotal:
        free, total = self.host_memory()
        torch = _imported("torch")
        if torch is not None:
            total = torch.mps.recommended_max_memory()
        return free, total

    def xla_devices(self) -> int:
        torch_xla = _imported("torch_xla")
        if torch_xla is not None:
            return int(torch_xla.device_count())
        return 1 if self._has_torch_xla else 0

    @cached_property
    def _has_torch_xla(self) -> bool:
        return _package_folder("torch_xla") is not None

    def xla_platform(self) -> str:
        return os.environ.get("PJRT_DEVICE", "").upper()

    def onnx_providers(self) -> tuple[str, ...]:
        onnxruntime = _imported("onnxruntime")
        if onnxruntime is not None:
            return tuple(onnxruntime.get_available_providers())
        return self._onnx_files

    @cached_property
    def _onnx_files(self) -> tuple[str, ...]:
        """Providers beside the CPU's are libraries of their own, or built in on one system."""
        folder = _package_folder("onnxruntime")
        if folder is None:
            return ()
        present = {
            "CUDAExecutionProvider": any(folder.glob("capi/*onnxruntime_providers_cuda.*")),
            "DmlExecutionProvider": any(folder.glob("capi/DirectML.dll")),
            "CoreMLExecutionProvider": sys.platform == "darwin",
            "CPUExecutionProvider": True,
        }
        return tuple(name for name, there in present.items() if there)


def _imported(name: str) -> Any:
    """A module that is imported already and to the end; None otherwise."""
    module = sys.modules.get(name)
    # another thread may be in the middle of the import, which takes seconds for torch
    half_way = module is not None and getattr(module.__spec__, "_initializing", False)
    return None if half_way else module


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


@cache
def this_machine() -> Machine:
    return ThisMachine()
