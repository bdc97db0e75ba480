"""A device, residents and a machine that tests can look into, block and break."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engines.api import CancelToken
from engines.memory import Footprint, Lease, Margin, MemoryManager, ResidentState
from engines.memory.resident import Eviction, Kind
from engines.runtime.nvidia import Gpu
from engines.runtime.probe import FreeTotal, TorchBuild

NO_MARGIN = Margin(factor=1.0, floor=0)


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Interruption(CancelToken):
    """Never set; lets a test act at a given look at it, that is: between two steps of another."""

    def __init__(self, look: int, action: Callable[[], None]) -> None:
        super().__init__()
        self._looks_left = look
        self._action = action

    def raise_if_set(self) -> None:
        self._looks_left -= 1
        if self._looks_left == 0:
            self._action()


class FakeDevice:
    """Memory that really runs out: `take` raises MemoryError.

    `peak` is the highest use, `refused` counts what there was no room for.
    """

    def __init__(self, capacity: int = 10**12) -> None:
        self.capacity = capacity
        self.used = 0
        self.peak = 0
        self.refused = 0
        self._lock = threading.Lock()

    def take(self, nbytes: int) -> None:
        with self._lock:
            if self.used + nbytes > self.capacity:
                self.refused += 1
                raise MemoryError(f"{self.used} + {nbytes} bytes are more than {self.capacity}")
            self.used += nbytes
            self.peak = max(self.peak, self.used)

    def give(self, nbytes: int) -> None:
        with self._lock:
            assert nbytes <= self.used
            self.used -= nbytes


class FakeModel:
    """What a lease of a FakeResident hands out. `there` is False once it has left its device."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.there = True


class Gate:
    """Where a test can stop a thread: `reached` says that one has come, `open` lets it pass."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def pass_through(self, cancel: CancelToken | None = None) -> None:
        self.reached.set()
        give_up = time.monotonic() + 20
        while not self._open.wait(0.005):
            assert time.monotonic() < give_up, "nobody opened the gate"
            if cancel is not None:
                cancel.raise_if_set()

    def open(self) -> None:
        self._open.set()


@dataclass
class FakeResident:
    """A resident that takes bytes of fake devices in two halves, between which it can be broken.

    `actual` is the size that shows once it is loaded, where `nbytes` was a bad estimate.
    """

    memory: FakeDevice
    nbytes: int
    device: str = "cuda:0"
    eviction: Eviction = "drop"
    kind: Kind = "weights"
    host: FakeDevice = field(default_factory=FakeDevice)
    name: str = "model"
    actual: int | None = None
    load_gate: Gate | None = None
    leave_gate: Gate | None = None
    break_load: Callable[[], None] = lambda: None
    break_leaving: Callable[[], None] = lambda: None
    loads: int = 0
    leaves: int = 0
    on_device: int = 0
    on_host: int = 0
    model: FakeModel | None = None

    def footprint(self) -> Footprint:
        return Footprint(self.nbytes, self.nbytes if self.eviction == "offload" else 0)

    def load(self, cancel: CancelToken | None) -> FakeModel:
        assert self.on_device == 0, "loaded twice"
        self.loads += 1
        nbytes = self.nbytes if self.actual is None else self.actual
        if self.eviction == "offload" and not self.on_host:
            self.host.take(nbytes)
            self.on_host = nbytes
        self._take(nbytes // 2)
        if self.load_gate is not None:
            self.load_gate.pass_through(cancel)
        if cancel is not None:
            cancel.raise_if_set()
        self.break_load()
        self._take(nbytes - nbytes // 2)
        self.nbytes = nbytes
        self.model = FakeModel(self.name)
        return self.model

    def _take(self, nbytes: int) -> None:
        self.memory.take(nbytes)
        self.on_device += nbytes

    def offload(self) -> None:
        self.leaves += 1
        if self.leave_gate is not None:
            self.leave_gate.pass_through()
        if self.model is not None:
            self.model.there = False
            self.model = None
        self.memory.give(self.on_device)
        self.on_device = 0
        self.break_leaving()

    def drop(self) -> None:
        self.host.give(self.on_host)
        self.on_host = 0
        self.offload()


def manager(
    budget: int | None = None,
    *,
    idle_ttl: float = float("inf"),
    patience: float = 20.0,
    clock: Callable[[], float] = time.monotonic,
    margin: Margin = NO_MARGIN,
    memory_of: Callable[[str], FreeTotal] = lambda name: (None, None),
) -> MemoryManager:
    """A manager of devices that exist by name alone; "mps" shares the memory of "cpu"."""
    return MemoryManager(
        budget,
        idle_ttl,
        clock,
        patience=patience,
        margin=margin,
        memory_of=memory_of,
        pool_of=lambda name: "cpu" if name == "mps" else name,
    )


def used(memory: MemoryManager, device: str = "cuda:0") -> int:
    return sum(usage.used for usage in memory.usage() if usage.device == device)


def states(memory: MemoryManager) -> dict[str, str]:
    return {r.name: r.state.value for r in memory.residents()}


class House:
    """A manager with one fake GPU and host memory, both as large as the budget."""

    def __init__(self, budget: int = 100, **options: object) -> None:
        self.clock = FakeClock()
        self.gpu, self.host = FakeDevice(budget), FakeDevice(budget)
        self.memory = manager(budget, clock=self.clock, **options)  # type: ignore[arg-type]

    def lease(self, key: str, nbytes: int = 40, **options: object) -> Lease:
        self.clock.now += 1
        timeout = options.pop("timeout", None)
        cancel = options.pop("cancel", None)
        memory = self.host if options.get("device") in ("cpu", "mps") else self.gpu
        return self.memory.acquire(
            key,
            lambda: FakeResident(memory, nbytes, host=self.host, name=key, **options),  # type: ignore[arg-type]
            timeout=timeout,  # type: ignore[arg-type]
            cancel=cancel,  # type: ignore[arg-type]
        )

    def visit(self, key: str, nbytes: int = 40, **options: object) -> None:
        self.lease(key, nbytes, **options).release()


@dataclass
class FakeMachine:
    """A machine for `engines.runtime.device`; by default a plain CPU with nothing installed."""

    name: str = "A processor"
    core_count: int = 4
    memory: FreeTotal = (8_000_000_000, 16_000_000_000)
    torch_build: TorchBuild | None = None
    torch_says: bool | None = None
    nvidia: tuple[Gpu, ...] = ()
    driver: int = 0
    free_on_gpu: int | None = 3_000_000_000
    has_mps: bool = False
    xla_count: int = 0
    xla: str = ""
    providers: tuple[str, ...] = ()

    def cpu_name(self) -> str:
        return self.name

    def cores(self) -> int:
        return self.core_count

    def host_memory(self) -> FreeTotal:
        return self.memory

    def torch(self) -> TorchBuild | None:
        return self.torch_build

    def torch_sees_cuda(self) -> bool | None:
        return self.torch_says

    def gpus(self) -> tuple[Gpu, ...]:
        return self.nvidia

    def cuda_driver(self) -> int:
        return self.driver

    def gpu_memory(self, index: int) -> FreeTotal:
        return self.free_on_gpu, self.nvidia[index].total

    def mps(self) -> bool:
        return self.has_mps

    def mps_memory(self) -> FreeTotal:
        return self.memory[0], 12_000_000_000

    def xla_devices(self) -> int:
        return self.xla_count

    def xla_platform(self) -> str:
        return self.xla

    def onnx_providers(self) -> tuple[str, ...]:
        return self.providers


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread to get somewhere."""
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up, "it never came to that"
        time.sleep(0.002)


def state_of(memory: MemoryManager, key: str) -> ResidentState | None:
    return next((r.state for r in memory.residents() if r.name == key), None)


def used_in_all(memory: MemoryManager) -> int:
    return sum(usage.used for usage in memory.usage())
