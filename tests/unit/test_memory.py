"""Leases: look-up and load are one step, and nothing inside a lease leaves."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines.memory import Lease, MemoryManager, ResidentState
from engines.memory.guard import Guard
from tests.fake_device import (
    FakeClock,
    FakeDevice,
    FakeResident,
    Gate,
    Interruption,
    manager,
    state_of,
    until,
    used_in_all,
)


def test_a_key_is_loaded_once_and_found_again(memory: MemoryManager, gpu: FakeDevice) -> None:
    made: list[FakeResident] = []

    def factory() -> FakeResident:
        made.append(FakeResident(gpu, 40))
        return made[-1]

    with memory.acquire("a", factory) as first:
        assert first.there
    with memory.acquire("a", factory) as again:
        assert again is first
    assert len(made) == 1
    assert made[0].loads == 1
    assert gpu.used == used_in_all(memory) == 40


def test_keys_are_apart(memory: MemoryManager, gpu: FakeDevice) -> None:
    with (
        memory.acquire("a", lambda: FakeResident(gpu, 40)) as a,
        memory.acquire("b", lambda: FakeResident(gpu, 50)) as b,
    ):
        assert a is not b
        assert used_in_all(memory) == gpu.used == 90


def test_two_acquires_at_once_are_one_load(
    memory: MemoryManager, gpu: FakeDevice, pool: ThreadPoolExecutor
) -> None:
    resident = FakeResident(gpu, 40, load_gate=Gate())
    leases = [pool.submit(memory.acquire, "a", lambda: resident) for _ in range(8)]
    assert resident.load_gate.reached.wait(20)
    assert state_of(memory, "a") is ResidentState.LOADING
    assert not any(lease.done() for lease in leases)
    resident.load_gate.open()
    values = {lease.result(20).value for lease in leases}
    assert len(values) == 1
    assert resident.loads == 1
    assert [r.leases for r in memory.residents()] == [8]


def test_the_five_states_in_their_order(
    memory: MemoryManager, gpu: FakeDevice, pool: ThreadPoolExecutor
) -> None:
    resident = FakeResident(gpu, 40, eviction="offload", load_gate=Gate(), leave_gate=Gate())
    pending = pool.submit(memory.acquire, "a", lambda: resident)
    assert resident.load_gate.reached.wait(20)
    assert state_of(memory, "a") is ResidentState.LOADING
    resident.load_gate.open()
    lease = pending.result(20)
    assert state_of(memory, "a") is ResidentState.LEASED
    lease.release()
    assert state_of(memory, "a") is ResidentState.READY
    memory.idle_ttl = 0
    sweep = pool.submit(memory.sweep)
    assert resident.leave_gate.reached.wait(20)
    assert state_of(memory, "a") is ResidentState.OFFLOADING
    resident.leave_gate.open()
    sweep.result(20)
    until(lambda: state_of(memory, "a") is ResidentState.OFF)


def test_it_stays_leased_until_the_last_lease_is_back(
    memory: MemoryManager, gpu: FakeDevice
) -> None:
    memory.idle_ttl = 0
    one = memory.acquire("a", lambda: FakeResident(gpu, 40))
    two = memory.acquire("a", lambda: FakeResident(gpu, 40))
    one.release()
    memory.sweep()
    assert two.value.there
    assert state_of(memory, "a") is ResidentState.LEASED
    two.release()
    memory.sweep()
    until(lambda: gpu.used == 0)


def test_an_exception_inside_a_lease_gives_it_back(memory: MemoryManager, gpu: FakeDevice) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        memory.acquire("a", lambda: FakeResident(gpu, 40)),
    ):
        _ = 1 / 0
    assert [(r.leases, r.state) for r in memory.residents()] == [(0, ResidentState.READY)]


def test_a_second_release_takes_nothing_from_other_leases(
    memory: MemoryManager, gpu: FakeDevice
) -> None:
    one = memory.acquire("a", lambda: FakeResident(gpu, 40))
    two = memory.acquire("a", lambda: FakeResident(gpu, 40))
    one.release()
    one.release()
    assert [r.leases for r in memory.residents()] == [1]
    two.release()
    assert [r.leases for r in memory.residents()] == [0]


def test_a_released_lease_refuses_its_value(memory: MemoryManager, gpu: FakeDevice) -> None:
    lease = memory.acquire("a", lambda: FakeResident(gpu, 40))
    lease.release()
    with pytest.raises(RuntimeError, match="released"):
        _ = lease.value
    with pytest.raises(RuntimeError, match="released"):
        lease.add_graphs(1, lambda: None)


def test_a_released_lease_keeps_no_evicted_model_alive(
    memory: MemoryManager, gpu: FakeDevice
) -> None:
    memory.idle_ttl = 0
    lease = memory.acquire("a", lambda: FakeResident(gpu, 40))
    model = weakref.ref(lease.value)
    lease.release()
    memory.sweep()
    until(lambda: not memory.residents())
    gc.collect()
    assert model() is None


def test_acquire_during_expiry_waits_and_loads_again(
    memory: MemoryManager, gpu: FakeDevice, pool: ThreadPoolExecutor
) -> None:
    resident = FakeResident(gpu, 40, leave_gate=Gate())
    with memory.acquire("a", lambda: resident) as first:
        pass
    memory.idle_ttl = 0
    sweep = pool.submit(memory.sweep)
    assert resident.leave_gate.reached.wait(20)
    memory.idle_ttl = 1000
    fresh = FakeResident(gpu, 40)
    pending = pool.submit(memory.acquire, "a", lambda: fresh)
    assert not pending.done()
    resident.leave_gate.open()
    sweep.result(20)
    with pending.result(20) as second:
        assert second.there
        assert not first.there
    assert gpu.peak == 40


def test_expiry_between_look_up_and_lease_evicts_nothing(
    memory: MemoryManager, gpu: FakeDevice
) -> None:
    resident = FakeResident(gpu, 40)
    memory.acquire("a", lambda: resident).release()
    swept: list[float] = []

    def expire() -> None:
        swept.append(memory.idle_ttl)
        memory.idle_ttl = 0
        memory.sweep()
        memory.idle_ttl = swept[0]

    with memory.acquire("a", lambda: resident, cancel=Interruption(2, expire)) as model:
        assert len(swept) == 1
        assert model.there
        assert resident.loads == 1


def test_expiry_during_a_lease_evicts_nothing(gpu: FakeDevice) -> None:
    clock = FakeClock()
    memory = manager(100, idle_ttl=10, clock=clock)
    with memory.acquire("a", lambda: FakeResident(gpu, 40)) as model:
        clock.now += 1000
        memory.sweep()
        assert model.there
    clock.now += 9
    memory.sweep()
    assert model.there  # the time to live counts from the release
    clock.now += 1
    memory.sweep()
    until(lambda: not model.there)
    memory.close()


def test_the_janitor_evicts_by_itself(gpu: FakeDevice) -> None:
    memory = manager(100, idle_ttl=0.05)
    with memory.acquire("a", lambda: FakeResident(gpu, 40)) as model:
        pass
    until(lambda: not model.there)
    until(lambda: memory.residents() == ())
    assert "idle for 0.05 s" in memory.log()[-1].reason
    with memory.acquire("a", lambda: FakeResident(gpu, 40)) as model:
        assert model.there
    until(lambda: not model.there)
    memory.close()


def test_an_offloaded_model_is_not_kept_alive_by_the_table(
    memory: MemoryManager, gpu: FakeDevice
) -> None:
    lease = memory.acquire("a", lambda: FakeResident(gpu, 40, eviction="offload"))
    model = weakref.ref(lease.value)
    lease.release()
    memory.idle_ttl = 0
    memory.sweep()
    until(lambda: state_of(memory, "a") is ResidentState.OFF)
    gc.collect()
    assert model() is None


def test_the_janitor_outlives_an_endless_time_to_live(gpu: FakeDevice) -> None:
    memory = manager(100, idle_ttl=float("inf"))
    memory.acquire("a", lambda: FakeResident(gpu, 40)).release()
    memory.acquire("b", lambda: FakeResident(gpu, 40)).release()
    memory.idle_ttl = 0
    memory.acquire("b", lambda: FakeResident(gpu, 40)).release()  # whose release wakes it
    until(lambda: gpu.used == 0)
    memory.close()


def test_a_finaliser_may_release_inside_the_managers_own_critical_section(
    gpu: FakeDevice,
) -> None:
    """The garbage collector runs anywhere; the clock, which is read under the lock, plays it."""
    leases: list[Lease] = []
    depths: list[int] = []

    def clock() -> float:
        while leases:
            depths.append(memory._table.changed._depth)
            leases.pop().release()
        return 0.0

    memory = manager(100, clock=clock)
    held = [memory.acquire("a", lambda: FakeResident(gpu, 40)) for _ in range(3)]
    leases.extend(held)
    with memory.acquire("b", lambda: FakeResident(gpu, 40)):
        assert 1 in depths
        assert {r.name: r.leases for r in memory.residents()} == {"a": 0, "b": 1}
    memory.close()
    assert gpu.used == 0


def test_what_is_put_off_is_done_before_others_get_in() -> None:
    guard, done = Guard(), []
    with guard:
        guard.whole(lambda: done.append("put off"))
        assert done == []
    assert done == ["put off"]
    guard.whole(lambda: done.append("at once"))
    assert done == ["put off", "at once"]
    with guard:
        guard.whole(lambda: done.append("before the wait"))
        guard.wait(0.001)
        assert done[-1] == "before the wait"
