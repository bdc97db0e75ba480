"""Loads that fail or are cancelled, residents that fail to leave, shutdown."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, TimeoutError

import pytest

from engines.api import CancelToken
from engines.errors import BadCheckpoint, Cancelled, DeadlineExceeded
from engines.memory import MemoryManager, ResidentState
from engines.memory.resident import Eviction
from tests.fake_device import (
    FakeClock,
    FakeDevice,
    FakeResident,
    Gate,
    manager,
    state_of,
    until,
    used_in_all,
)


def broken() -> None:
    raise BadCheckpoint("The file ends in the middle of a tensor.")


@pytest.mark.parametrize("eviction", ["drop", "offload"])
def test_a_load_that_fails_midway_leaves_nothing(
    memory: MemoryManager, gpu: FakeDevice, eviction: Eviction
) -> None:
    host = FakeDevice()
    with pytest.raises(BadCheckpoint):
        memory.acquire(
            "a", lambda: FakeResident(gpu, 40, eviction=eviction, host=host, break_load=broken)
        )
    assert gpu.used == host.used == used_in_all(memory) == 0
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
    assert gpu.used == used_in_all(memory) == 40


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
    assert gpu.used == used_in_all(memory) == 0
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


def test_what_a_cancelled_request_loaded_is_fresh_not_expired(gpu: FakeDevice) -> None:
    clock, token = FakeClock(), CancelToken()
    memory = manager(100, idle_ttl=10, clock=clock)
    with pytest.raises(Cancelled):
        memory.acquire("a", lambda: FakeResident(gpu, 40, break_load=token.cancel), cancel=token)
    clock.now += 9
    memory.sweep()
    assert gpu.used == 40
    clock.now += 1
    memory.sweep()
    until(lambda: gpu.used == 0)
    memory.close()


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
    assert (gpu.used, host.used, used_in_all(memory)) == (0, 40, 40)
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
    assert gpu.used == host.used == used_in_all(memory) == 0
    assert memory.residents() == ()
    assert not janitor.is_alive()


def test_close_wakes_a_janitor_that_has_nothing_to_do() -> None:
    before = set(threading.enumerate())
    memory = manager(100)
    with pytest.raises(BadCheckpoint):
        memory.acquire("a", broken)
    (janitor,) = set(threading.enumerate()) - before
    until(lambda: len(memory._table.changed._condition._waiters) == 1)  # it sleeps for good
    memory.close(timeout=5)
    assert not janitor.is_alive()


def test_close_drops_host_copies_too(gpu: FakeDevice) -> None:
    memory, host = manager(100), FakeDevice()
    memory.acquire("a", lambda: FakeResident(gpu, 40, eviction="offload", host=host)).release()
    memory.idle_ttl = 0
    memory.sweep()
    until(lambda: gpu.used == 0)
    assert host.used == 40
    memory.close()
    assert host.used == used_in_all(memory) == 0


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
    assert gpu.used == used_in_all(memory) == 0
    memory.close()


def test_close_waits_for_a_lease(gpu: FakeDevice, pool: ThreadPoolExecutor) -> None:
    memory = manager(100)
    lease = memory.acquire("a", lambda: FakeResident(gpu, 40))
    closing = pool.submit(memory.close, 20)
    until(lambda: _refused(memory, gpu))
    with pytest.raises(TimeoutError):
        closing.result(0.2)
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
    assert gpu.used == used_in_all(memory) == 0


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
    until(lambda: used_in_all(memory) == 0)


def test_a_resident_that_fails_to_leave_is_let_go(memory: MemoryManager, gpu: FakeDevice) -> None:
    def stuck() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    memory.idle_ttl = 0
    memory.acquire(
        "a", lambda: FakeResident(gpu, 40, eviction="offload", break_leaving=stuck)
    ).release()
    memory.sweep()
    until(lambda: memory.residents() == ())
    assert used_in_all(memory) == 0
    with memory.acquire("a", lambda: FakeResident(gpu, 40)) as model:  # and the janitor lives
        assert model.there
