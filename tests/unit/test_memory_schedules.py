"""A thousand random schedules of real threads: nothing leaks, nothing leaves a lease."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator

import pytest

from engines.api import CancelToken
from engines.errors import BadCheckpoint, Cancelled, OutOfMemory
from engines.memory import MemoryManager
from tests.fake_device import FakeDevice, FakeModel, FakeResident, manager

BUDGET = 100
THREADS = 3
STEPS = 5
EXPECTED = (OutOfMemory, Cancelled, BadCheckpoint, KeyError)


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Threads take turns every few bytecodes instead of every 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Schedule:
    """One random run, told by its seed alone as far as threads allow."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.gpu, self.host = FakeDevice(BUDGET), FakeDevice(BUDGET)
        ttl = self.random.choice((0.0, 0.001, float("inf")))
        self.memory = manager(BUDGET, idle_ttl=ttl, patience=0.005)
        self.unexpected: list[BaseException] = []
        self.made: list[FakeResident] = []
        self.kv = self.memory.kv_pool("kv", "cuda:0", FakeModelBuffer, lambda bucket: bucket)

    def run(self) -> None:
        seeds = [self.random.random() for _ in range(THREADS)]
        threads = [threading.Thread(target=self._work, args=(seed,)) for seed in seeds]
        for thread in threads:
            thread.start()
        if self.random.random() < 0.2:  # shutdown in the middle of it
            self.memory.close(timeout=0)
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), "a thread is stuck"
        self.memory.close(timeout=5)

    def _work(self, seed: float) -> None:
        chance = random.Random(seed)
        for _ in range(STEPS):
            try:
                self._step(chance)
            except EXPECTED:
                pass
            except BaseException as error:
                self.unexpected.append(error)

    def _step(self, chance: random.Random) -> None:
        kind = chance.random()
        if kind < 0.1:
            self.memory.sweep()
        elif kind < 0.25:
            with self.kv.take(chance.choice((10, 20))) as buffer:
                assert not buffer.taken
                buffer.taken = True
                buffer.taken = False
        else:
            self._use(chance)

    def _use(self, chance: random.Random) -> None:
        key, token = chance.choice("abc"), CancelToken()
        nbytes = {"a": 60, "b": 45, "c": 30}[key]
        trouble = chance.random()

        def break_load() -> None:
            if trouble < 0.1:
                raise BadCheckpoint("broken")
            if trouble < 0.2:
                token.cancel()
            if 0.2 <= trouble < 0.21:
                raise MemoryError("elsewhere")

        def factory() -> FakeResident:
            resident = FakeResident(
                self.gpu,
                nbytes,
                eviction="offload" if key != "b" else "drop",
                host=self.host,
                name=key,
                break_load=break_load,
                actual=nbytes - 7 if key == "c" else None,
            )
            self.made.append(resident)
            return resident

        with self.memory.acquire(key, factory, cancel=token) as model:
            assert model.name == key
            assert model.there
            if trouble > 0.9:
                raise KeyError("inside a lease")
            assert model.there

    def check(self) -> None:
        assert self.unexpected == []
        assert self.memory.residents() == ()
        assert {usage.used for usage in self.memory.usage()} == {0}
        assert self.gpu.used == self.host.used == 0
        assert all(resident.on_device == resident.on_host == 0 for resident in self.made)
        # the account never promised room that was not there
        assert self.gpu.refused == self.host.refused == 0


class FakeModelBuffer(FakeModel):
    def __init__(self, bucket: int) -> None:
        super().__init__(f"{bucket}")
        self.taken = False


@pytest.mark.usefixtures("many_switches")
@pytest.mark.parametrize("block", range(10))
def test_no_leak_over_a_thousand_schedules(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        schedule = Schedule(seed)
        schedule.run()
        try:
            schedule.check()
        except AssertionError as error:
            raise AssertionError(f"schedule {seed}") from error


@pytest.mark.usefixtures("many_switches")
def test_the_schedules_try_what_they_should() -> None:
    """The runs above prove nothing if all they do is fail early."""
    seen: set[str] = set()
    for seed in range(60):
        schedule = Schedule(seed)
        schedule.run()
        seen |= {event.what for event in schedule.memory.log()}
        seen |= {_short(event.reason) for event in schedule.memory.log()}
    assert seen >= {
        "load", "offload", "drop", "fail", "room", "idle", "shutdown",
        "from its source", "from the host copy",
    }  # fmt: skip


def _short(reason: str) -> str:
    return reason if reason.startswith("from") else reason.split()[0]


def test_one_manager_through_many_leases_keeps_nothing() -> None:
    memory: MemoryManager = manager(BUDGET)
    gpu = FakeDevice(BUDGET)
    chance = random.Random(1)
    for _ in range(2000):
        key = f"voice {chance.randrange(1000)}"
        memory.acquire(key, lambda: FakeResident(gpu, 20)).release()
    assert len(memory.residents()) == 5
    assert len(memory._table.units) == 5
    memory.close()
    assert memory._table.units == {}
    assert gpu.used == 0
