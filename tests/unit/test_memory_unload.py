"""Unloading one resident because somebody asked for it."""

from __future__ import annotations

from engines.memory import MemoryManager, ResidentState
from tests.fake_device import FakeDevice, FakeResident, state_of, used_in_all


def test_what_is_idle_goes_and_comes_back(memory: MemoryManager, gpu: FakeDevice) -> None:
    made = FakeResident(gpu, 40)
    memory.acquire("a", lambda: made).release()
    assert memory.unload("a")
    assert gpu.used == used_in_all(memory) == 0
    assert memory.residents() == ()
    assert memory.log()[-1].reason == "asked for"
    with memory.acquire("a", lambda: made) as model:
        assert model.there


def test_what_is_in_use_stays(memory: MemoryManager, gpu: FakeDevice) -> None:
    with memory.acquire("a", lambda: FakeResident(gpu, 40)) as model:
        assert not memory.unload("a")
        assert model.there
    assert memory.unload("a")


def test_what_is_not_there_is_nothing_to_do(memory: MemoryManager) -> None:
    assert not memory.unload("a")


def test_the_copy_in_host_memory_stays_or_goes(memory: MemoryManager, gpu: FakeDevice) -> None:
    host = FakeDevice()
    made = FakeResident(gpu, 40, eviction="offload", host=host)
    memory.acquire("a", lambda: made).release()
    assert memory.unload("a", keep_host=True)
    assert (gpu.used, host.used) == (0, 40)
    assert state_of(memory, "a") is ResidentState.OFF
    assert not memory.unload("a", keep_host=True)
    assert host.used == 40
    assert memory.unload("a")
    assert host.used == used_in_all(memory) == 0
