"""Leases: look-up and load are one step, and nothing inside a lease leaves."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines.api import CancelToken
from engines.errors import BadCheckpoint, Cancelled, DeadlineExceeded
from engines.memory import MemoryManager, ResidentState
from engines.memory.resident import Eviction
from tests.fake_device import FakeClock, FakeDevice, FakeResident, Gate, manager, until


@pytest.fixture
def memory() -> Iterator[MemoryManager]:
    made = manager(100)
    yield made
    made.close(timeout=0)


@pytest.fixture
def gpu() -> FakeDevice:
    return FakeDevice(100)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def state_of(memory: MemoryManager, key: str) -> ResidentState | None:
    return next((r.state for r in memory.residents() if r.name == key), None)


def used(memory: MemoryManager) -> int:
    return sum(usage.used for usage in memory.usage())


def broken() -> None:
    raise BadCheckpoint("The file ends in the middle of a tensor.")


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
    assert gpu.used == used(memory) == 40


def test_keys_are_apart(memory: MemoryManager, gpu: FakeDevice) -> None:
    with (
        memory.acquire("a", lambda: FakeResident(gpu, 40)) as a,
        memory.acquire("b", lambda: FakeResident(gpu, 50)) as b,
    ):
        assert a is not b
        assert used(memory) == gpu.used == 90


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


@pytest.mark.parametrize("eviction", ["drop", "offload"])
def test_a_load_that_fails_midway_leaves_nothing(
    memory: MemoryManager, gpu: FakeDevice, eviction: Eviction
) -> None:
    host = FakeDevice()
    with pytest.raises(BadCheckpoint):
        memory.acquire(
            "a", lambda: FakeResident(gpu, 40, eviction=eviction, host=host, break_load=broken)
        )
    assert gpu.used == host.used == used(memory) == 0
    assert memory.residents() == ()
    with memory.acquire("a", lambda: FakeResident(gpu, 100)) as model:  # the whole budget is free
        assert model.there
    assert [e.what for e in memory.log()] == ["fail", "load"]


def test_a_factory_that_fails_leaves_nothing(memory: MemoryManager, gpu: FakeDevice) -> None:
    def factory() -> FakeResident:
        raise BadCheckpoint("There is no such file.")

    with pytest.raises(BadCheckpoint):
        memory.acquire("a", factory)
    assert memory.residents() == ()
    with memory.acquire("a", lambda: FakeResident(gpu, 10)) as model:
        assert model.there


def test_after_a_failed_load_those_who_waited_try_for_themselves(
    memory: MemoryManager, gpu: FakeDevice, pool: ThreadPoolExecutor
) -> None:
    bad = FakeResident(gpu, 40, load_gate=Gate(), break_load=broken)
    first = pool.submit(memory.acquire, "a", lambda: bad)
    assert bad.load_gate.reached.wait(20)
    good = FakeResident(gpu, 40)
    others = [pool.submit(memory.acquire, "a", lambda: good) for _ in range(3)]
    bad.load_gate.open()
    with pytest.raises(BadCheckpoint):
        first.result(20)
    assert {other.result(20).value for other in others} == {good.model}
    assert good.loads == 1
    assert gpu.used == used(memory) == 40


def test_cancel_while_loading(
    memory: MemoryManager, gpu: FakeDevice, pool: ThreadPoolExecutor
) -> None:
    resident = FakeResident(gpu, 40, load_gate=Gate())
    token = CancelToken()
    pending = pool.submit(memory.acquire, "a", lambda: resident, cancel=token)
    assert resident.load_gate.reached.wait(20)
    token.cancel(DeadlineExceeded("Too late."))
    with pytest.raises(DeadlineExceeded):
        pending.result(20)
    assert gpu.used == used(memory) == 0
    assert memory.residents() == ()


def test_one_cancelled_loader_does_not_cancel_those_who_wait(
    memory: MemoryManager, gpu: FakeDevice, pool: ThreadPoolExecutor
) -> None:
    resident = FakeResident(gpu, 40, load_gate=Gate())
    token = CancelToken()
    first = pool.submit(memory.acquire, "a", lambda: resident, cancel=token)
    assert resident.load_gate.reached.wait(20)
    second = pool.submit(memory.acquire, "a", lambda: FakeResident(gpu, 40))
    token.cancel()
    with pytest.raises(Cancelled):
        first.result(20)
    with second.result(20) as model:
        assert model.there


def test_cancel_while_another_loads(
    memory: MemoryManager, gpu: FakeDevice, pool: ThreadPoolExecutor
) -> None:
    resident = FakeResident(gpu, 40, load_gate=Gate())
    first = pool.submit(memory.acquire, "a", lambda: resident)
    assert resident.load_gate.reached.wait(20)
    token = CancelToken()
    second = pool.submit(memory.acquire, "a", lambda: resident, cancel=token)
    token.cancel()
    with pytest.raises(Cancelled):
        second.result(20)
    resident.load_gate.open()
    with first.result(20) as model:
        assert model.there
    assert [r.leases for r in memory.residents()] == [0]


def test_a_load_that_ignores_its_cancelling_stays_for_the_next(
    memory: MemoryManager, gpu: FakeDevice
) -> None:
    token = CancelToken()
    resident = FakeResident(gpu, 40, break_load=token.cancel)
    with pytest.raises(Cancelled):
        memory.acquire("a", lambda: resident, cancel=token)
    with memory.acquire("a", lambda: pytest.fail("it is there already")) as model:
        assert model.there


def test_a_set_token_starts_nothing(memory: MemoryManager, gpu: FakeDevice) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        memory.acquire("a", lambda: pytest.fail("not wanted"), cancel=token)
    assert memory.residents() == ()


def test_cancel_of_a_reload_keeps_the_host_copy(
    memory: MemoryManager, gpu: FakeDevice, pool: ThreadPoolExecutor
) -> None:
    host = FakeDevice()
    resident = FakeResident(gpu, 40, eviction="offload", host=host)
    memory.acquire("a", lambda: resident).release()
    memory.idle_ttl = 0
    memory.sweep()
    until(lambda: state_of(memory, "a") is ResidentState.OFF)
    memory.idle_ttl = 1000
    resident.load_gate, token = Gate(), CancelToken()
    pending = pool.submit(memory.acquire, "a", lambda: resident, cancel=token)
    assert resident.load_gate.reached.wait(20)
    token.cancel()
    with pytest.raises(Cancelled):
        pending.result(20)
    assert (gpu.used, host.used, used(memory)) == (0, 40, 40)
    resident.load_gate = None
    with memory.acquire("a", lambda: pytest.fail("its copy is there")) as model:
        assert model.there
    assert memory.log()[-1].reason == "from the host copy"


def test_close_frees_what_is_idle_and_ends_the_janitor(gpu: FakeDevice) -> None:
    before = set(threading.enumerate())
    memory, host = manager(100), FakeDevice()
    assert set(threading.enumerate()) <= before  # none before the first resident
    memory.acquire("a", lambda: FakeResident(gpu, 40)).release()
    memory.acquire("b", lambda: FakeResident(gpu, 40, eviction="offload", host=host)).release()
    (janitor,) = set(threading.enumerate()) - before
    memory.close()
    assert gpu.used == host.used == used(memory) == 0
    assert memory.residents() == ()
    assert not janitor.is_alive()


def test_close_drops_host_copies_too(gpu: FakeDevice) -> None:
    memory, host = manager(100), FakeDevice()
    memory.acquire("a", lambda: FakeResident(gpu, 40, eviction="offload", host=host)).release()
    memory.idle_ttl = 0
    memory.sweep()
    until(lambda: gpu.used == 0)
    assert host.used == 40
    memory.close()
    assert host.used == used(memory) == 0


def test_close_with_a_lease_held_frees_on_release(gpu: FakeDevice) -> None:
    memory = manager(100)
    lease = memory.acquire("a", lambda: FakeResident(gpu, 40))
    memory.acquire("b", lambda: FakeResident(gpu, 10)).release()
    memory.close(timeout=0)
    assert lease.value.there
    assert gpu.used == 40
    with pytest.raises(Cancelled, match="shutting down"):
        memory.acquire("a", lambda: FakeResident(gpu, 40))
    lease.release()
    assert gpu.used == used(memory) == 0
    memory.close()


def test_close_waits_for_a_lease(gpu: FakeDevice, pool: ThreadPoolExecutor) -> None:
    memory = manager(100)
    lease = memory.acquire("a", lambda: FakeResident(gpu, 40))
    closing = pool.submit(memory.close, 20)
    until(lambda: _refused(memory, gpu))
    assert not closing.done()
    lease.release()
    closing.result(20)
    assert gpu.used == 0


def _refused(memory: MemoryManager, gpu: FakeDevice) -> bool:
    try:
        memory.acquire("probe", lambda: FakeResident(gpu, 1)).release()
    except Cancelled:
        return True
    return False


def test_close_during_a_load_frees_what_came_of_it(
    gpu: FakeDevice, pool: ThreadPoolExecutor
) -> None:
    memory = manager(100)
    resident = FakeResident(gpu, 40, load_gate=Gate())
    pending = pool.submit(memory.acquire, "a", lambda: resident)
    assert resident.load_gate.reached.wait(20)
    memory.close(timeout=0)
    resident.load_gate.open()
    with pytest.raises(Cancelled):
        pending.result(20)
    assert gpu.used == used(memory) == 0


def test_close_during_an_offload_drops_the_host_copy(
    gpu: FakeDevice, pool: ThreadPoolExecutor
) -> None:
    memory, host = manager(100), FakeDevice()
    resident = FakeResident(gpu, 40, eviction="offload", host=host, leave_gate=Gate())
    memory.acquire("a", lambda: resident).release()
    memory.idle_ttl = 0
    sweep = pool.submit(memory.sweep)
    assert resident.leave_gate.reached.wait(20)
    memory.close(timeout=0)
    resident.leave_gate.open()
    sweep.result(20)
    until(lambda: host.used == 0)
    until(lambda: used(memory) == 0)


def test_a_resident_that_fails_to_leave_is_let_go(memory: MemoryManager, gpu: FakeDevice) -> None:
    def stuck() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    memory.idle_ttl = 0
    memory.acquire(
        "a", lambda: FakeResident(gpu, 40, eviction="offload", break_leaving=stuck)
    ).release()
    memory.sweep()
    until(lambda: memory.residents() == ())
    assert used(memory) == 0
    with memory.acquire("a", lambda: FakeResident(gpu, 40)) as model:  # and the janitor lives
        assert model.there


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
