"""Devices: what is here, what a name means, in which dtype to work, how much memory there is."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from engines.errors import UnknownDevice, UnsupportedRuntime
from engines.runtime.nvidia import Gpu
from engines.runtime.probe import FreeTotal, Machine, this_machine

log = logging.getLogger("vivavoce.device")

Kind = Literal["cpu", "cuda", "mps", "xla", "onnx"]
Dtype = Literal["float32", "float16", "bfloat16"]

FORMS = "auto, cpu, cuda, cuda:1, mps, xla, xla:1, onnx, onnx:cuda, onnx:coreml, onnx:directml"
ONNX_PROVIDERS = {
    "onnx": "CPUExecutionProvider",
    "onnx:cuda": "CUDAExecutionProvider",
    "onnx:coreml": "CoreMLExecutionProvider",
    "onnx:directml": "DmlExecutionProvider",
}
BFLOAT16_CAPABILITY = (8, 0)  # Ampere


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device by its canonical name: "cpu", "cuda:0", "mps", "xla:0", "onnx", "onnx:cuda" …"""

    name: str
    kind: Kind
    index: int = 0

    @property
    def runtime(self) -> str:
        """The name without the number: "cpu", "cuda", "mps", "xla", "onnx", "onnx:cuda" …"""
        return self.name if self.kind == "onnx" else self.kind


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device that is here; `total` and `free` bytes, None where that is unknown."""

    spec: DeviceSpec
    title: str
    total: int | None
    free: int | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class DtypeChoice:
    """The dtype that models work in on a device, and why."""

    name: Dtype
    reason: str


def available(machine: Machine | None = None) -> tuple[DeviceInfo, ...]:
    """Every device that can be used here, the CPU first."""
    machine = machine or this_machine()
    return tuple(_describe(spec, machine) for spec in _present(machine))


def remarks(machine: Machine | None = None) -> tuple[str, ...]:
    """Hardware that is here but cannot be used, and what to do about it."""
    machine = machine or this_machine()
    gpus, torch = machine.gpus(), machine.torch()
    if not gpus or torch is None or _torch_uses_cuda(machine):
        return ()
    name = gpus[0].name
    if torch.cuda is None:
        return (
            f"{name} is here, but the installed torch {torch.version} is built for the CPU only: "
            "install a CUDA build of torch.",
        )
    return (
        f"{name} is here, but its driver supports CUDA {machine.cuda_driver()} and the installed "
        f"torch {torch.version} needs {torch.cuda}: update the driver.",
    )


def parse(text: str) -> DeviceSpec | None:
    """What a device's name means, whether or not it is here; None for "auto".

    Raises:
        UnknownDevice: no device has a name of that form.
    """
    name = text.strip().lower() if isinstance(text, str) else ""
    if name == "auto":
        return None
    if name in ("cpu", "mps"):
        return DeviceSpec(name, "cpu" if name == "cpu" else "mps")
    if name in ONNX_PROVIDERS:
        return DeviceSpec(name, "onnx")
    numbered = re.fullmatch(r"(cuda|xla)(?::([0-9]{1,3}))?", name)
    if numbered:
        index = int(numbered[2] or 0)
        kind: Kind = "cuda" if numbered[1] == "cuda" else "xla"
        return DeviceSpec(f"{kind}:{index}", kind, index)
    raise UnknownDevice(
        f"The device was {text!r:.80}.",
        f"Names of devices are {FORMS}.",
        "List those that are here with `python app.py devices`.",
        param="device",
    )


def resolve(text: str, runtimes: Sequence[str], machine: Machine | None = None) -> DeviceSpec:
    """The device to work on.

    Args:
        text: what `parse` takes; "auto" picks the first of `runtimes` that is here.
        runtimes: what the engine runs on, best first.

    Raises:
        UnknownDevice: no device has that name, or it is not here.
        UnsupportedRuntime: it is here, but the engine does not run on it; or on none that is here.
    """
    machine = machine or this_machine()
    spec = parse(text)
    for runtime in runtimes:
        for found in _of_kind(runtime.split(":")[0], machine):
            if found.runtime == runtime and spec in (None, found):
                return found
    present = _present(machine)
    here = ", ".join(found.name for found in present)
    if spec is not None and spec not in present:
        raise UnknownDevice(
            f"The device {spec.name} is not here.",
            " ".join((f"This machine has {here}.", *remarks(machine))),
            "Pick one of these, or auto.",
            param="device",
        )
    others = [found.name for found in present if found.runtime in runtimes]
    raise UnsupportedRuntime(
        f"This engine does not run on {spec.name if spec else 'any device of this machine'}.",
        f"It runs on {', '.join(runtimes)}; this machine has {here}.",
        f"Pick {', '.join(others)} or auto." if others else "Pick another engine.",
        param="device",
    )


def pick_dtype(spec: DeviceSpec, machine: Machine | None = None) -> DtypeChoice:
    """The dtype that models work in on a device; the choice is logged with its reason.

    Raises:
        UnknownDevice: it is a GPU that is not here.
    """
    choice = _dtype(spec, machine or this_machine())
    log.info("%s works in %s: %s", spec.name, choice.name, choice.reason)
    return choice


def memory_of(spec: DeviceSpec, machine: Machine | None = None) -> FreeTotal:
    """Free and total bytes of a device, None where unknown.

    Raises:
        UnknownDevice: it is a GPU that is not here.
    """
    machine = machine or this_machine()
    if spec.kind == "mps":
        return machine.mps_memory()
    pool = _pool(spec, machine)
    if pool == "cpu":
        return machine.host_memory()
    if pool.startswith("cuda:"):
        return machine.gpu_memory(_gpu(spec.index, machine).index)
    return None, None


def memory_of_name(name: str) -> FreeTotal:
    """`memory_of` for a canonical name."""
    return memory_of(_named(name))


def memory_pool(name: str) -> str:
    """The device whose memory a device uses: "cpu" for mps and onnx, "cuda:0" for onnx:cuda."""
    return _pool(_named(name), this_machine())


def _named(name: str) -> DeviceSpec:
    spec = parse(name)
    assert spec is not None, "auto has no memory of its own"
    return spec


def _pool(spec: DeviceSpec, machine: Machine) -> str:
    if spec.kind == "xla":
        return "cpu" if machine.xla_platform() == "CPU" else spec.name
    shared = {"mps": "cpu", "onnx": "cpu", "onnx:coreml": "cpu", "onnx:cuda": "cuda:0"}
    return shared.get(spec.name, spec.name)


def _present(machine: Machine) -> tuple[DeviceSpec, ...]:
    return tuple(spec for kind in get_args(Kind) for spec in _of_kind(kind, machine))


def _of_kind(kind: str, machine: Machine) -> tuple[DeviceSpec, ...]:
    """Devices of a kind that are here. Only that kind is looked for: the first look at a GPU takes
    a while."""
    if kind == "cuda" and _torch_uses_cuda(machine):
        return tuple(DeviceSpec(f"cuda:{gpu.index}", "cuda", gpu.index) for gpu in machine.gpus())
    if kind == "mps" and machine.mps():
        return (DeviceSpec("mps", "mps"),)
    if kind == "xla":
        return tuple(DeviceSpec(f"xla:{i}", "xla", i) for i in range(machine.xla_devices()))
    if kind == "onnx":
        providers = machine.onnx_providers()
        return tuple(
            DeviceSpec(name, "onnx")
            for name, provider in ONNX_PROVIDERS.items()
            if provider in providers and (name != "onnx:cuda" or machine.gpus())
        )
    return (DeviceSpec("cpu", "cpu"),) if kind == "cpu" else ()


def _torch_uses_cuda(machine: Machine) -> bool:
    if (seen := machine.torch_sees_cuda()) is not None:
        return seen
    torch = machine.torch()
    if torch is None or torch.cuda is None or not machine.gpus():
        return False
    return machine.cuda_driver() >= int(torch.cuda.split(".")[0])


def _gpu(index: int, machine: Machine) -> Gpu:
    gpus = machine.gpus()
    if index >= len(gpus):
        raise UnknownDevice(
            f"The device cuda:{index} is not here.",
            f"This machine has {len(gpus)} GPUs.",
            "List its devices with `python app.py devices`.",
            param="device",
        )
    return gpus[index]


def _describe(spec: DeviceSpec, machine: Machine) -> DeviceInfo:
    free, total = memory_of(spec, machine)
    title, note = spec.name, ""
    if spec.kind == "cpu":
        title, note = machine.cpu_name(), f"usable cores: {machine.cores()}"
    elif spec.kind == "cuda":
        gpu = _gpu(spec.index, machine)
        title, note = gpu.name, "compute capability {}.{}".format(*gpu.capability)
    elif spec.kind == "mps":
        title, note = f"{machine.cpu_name()} GPU", "shares the host's memory"
    elif spec.kind == "xla":
        title, note = f"XLA {machine.xla_platform()}".strip(), "through torch_xla"
    else:
        title, note = "ONNX Runtime", ONNX_PROVIDERS[spec.name]
    return DeviceInfo(spec, title, total, free, note)


def _dtype(spec: DeviceSpec, machine: Machine) -> DtypeChoice:
    if spec.kind == "cuda":
        capability = _gpu(spec.index, machine).capability
        shown = "compute capability {}.{}".format(*capability)
        if capability >= BFLOAT16_CAPABILITY:
            return DtypeChoice(
                "bfloat16", f"{shown} has bfloat16 units, whose range never overflows"
            )
        return DtypeChoice("float16", f"{shown} has no bfloat16 units")
    if spec.kind == "mps":
        return DtypeChoice("float16", "Apple GPUs run it at full speed, in half the memory")
    if spec.kind == "xla" and machine.xla_platform() == "TPU":
        return DtypeChoice("bfloat16", "the native type of TPUs")
    if spec.kind == "onnx":
        return DtypeChoice("float32", "the type of the exported graphs' inputs and outputs")
    return DtypeChoice("float32", "the one type that is fast and exact on every processor")
