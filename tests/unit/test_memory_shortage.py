"""Memory that runs out although the account says there is room; graphs; no budget given."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, TimeoutError

import pytest

from engines.errors import OutOfMemory
from engines.memory import is_out_of_memory
from tests.fake_device import FakeDevice, FakeResident, Gate, House, manager, states, until, used


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.memory.close(timeout=0)


def test_a_load_that_runs_out_is_tried_again_without_the_idle(house: House) -> None:
    house.gpu.capacity = 60  # another program took the rest
    house.visit("idle", 40)
    with house.lease("a", 50) as model:
        assert model.there
    assert states(house.memory) == {"a": "ready"}
    assert house.gpu.used == used(house.memory) == 50
    assert house.memory.log()[-2].reason == "cuda:0 ran out of memory"


def test_a_load_that_runs_out_twice_is_an_error_with_numbers(house: House) -> None:
    house.gpu.capacity = 30
    with pytest.raises(OutOfMemory) as caught:
        house.lease("a", 50)
    message = str(caught.value)
    assert "cuda:0 ran out of memory for a (MemoryError: 25 + 25 bytes are more than 30)" in message
    assert "--memory-budget" in message
    assert house.gpu.used == used(house.memory) == 0
    loads = [e for e in house.memory.log() if e.what == "load"]
    assert loads == []


def test_leased_residents_survive_another_ones_shortage(house: House) -> None:
    house.gpu.capacity = 60
    with house.lease("held", 40) as model:
        with pytest.raises(OutOfMemory):
            house.lease("a", 50)
        assert model.there


def test_work_that_runs_out_is_done_again_once(house: House) -> None:
    house.visit("idle", 90)
    tries: list[int] = []

    def work() -> str:
        tries.append(1)
        house.gpu.take(50)
        house.gpu.give(50)
        return "done"

    assert house.memory.retrying("cuda:0", work) == "done"
    assert len(tries) == 2
    assert states(house.memory) == {}
    assert house.memory.retrying("cuda:0", lambda: None) is None


def test_the_second_try_waits_for_evictions_that_others_began(
    house: House, pool: ThreadPoolExecutor
) -> None:
    gate = Gate()
    house.visit("idle", 90, leave_gate=gate)
    house.memory.idle_ttl = 0
    sweep = pool.submit(house.memory.sweep)
    assert gate.reached.wait(20)
    tries: list[int] = []

    def work() -> None:
        tries.append(house.gpu.used)
        house.gpu.take(50)
        house.gpu.give(50)

    pending = pool.submit(house.memory.retrying, "cuda:0", work)
    until(lambda: tries == [90])
    with pytest.raises(TimeoutError):
        pending.result(0.2)
    gate.open()
    pending.result(20)
    sweep.result(20)
    assert tries == [90, 0]


def test_work_that_fails_otherwise_is_not_done_again(house: House) -> None:
    house.visit("idle", 90)
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise ValueError("a shape is wrong")

    with pytest.raises(ValueError, match="shape"):
        house.memory.retrying("cuda:0", work)
    assert len(tries) == 1
    assert states(house.memory) == {"idle": "ready"}


def test_what_the_first_try_held_is_gone_before_the_second(house: House) -> None:
    """A traceback keeps the frames of the failed try, and with them its tensors, alive."""

    class Buffer:
        def __init__(self) -> None:
            house.gpu.take(60)

        def __del__(self) -> None:
            house.gpu.give(60)

    free_at_start: list[int] = []

    def work() -> None:
        free_at_start.append(house.gpu.capacity - house.gpu.used)
        buffer = Buffer()
        if len(free_at_start) == 1:
            raise MemoryError("no room for the second buffer")
        del buffer

    house.memory.retrying("cuda:0", work)
    assert free_at_start == [100, 100]
    assert house.gpu.used == 0


def test_an_error_for_good_holds_no_frames_of_the_work(house: House) -> None:
    def work() -> None:
        raise MemoryError("no room")

    with pytest.raises(OutOfMemory) as caught:
        house.memory.retrying("cuda:0", work, "this sentence")
    assert caught.value.__context__ is None
    assert "ran out of memory for this sentence" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (KeyError("memory"), False),
        (OutOfMemory("cuda:0 ran out of memory for a"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


# captured graphs


def test_graphs_are_counted_and_reset_before_the_weights_go(house: House) -> None:
    events: list[tuple[str, bool]] = []
    lease = house.lease("a", 40, eviction="offload")
    model = lease.value
    lease.add_graphs(20, lambda: events.append(("graph", model.there)))
    assert used(house.memory) == 60
    assert [(r.bytes, r.host_bytes) for r in house.memory.residents()] == [(60, 40)]
    lease.release()
    house.visit("b", 60)
    assert events == [("graph", True)]
    assert (used(house.memory), used(house.memory, "cpu")) == (60, 40)
    house.visit("a", 40, eviction="offload")
    house.visit("c", 100)
    assert states(house.memory)["a"] == "off"
    assert len(events) == 1  # after the reload there were none


def test_graphs_make_the_idle_go_and_find_no_room_beside_the_leased(house: House) -> None:
    house.visit("idle", 40)
    with house.lease("held", 30), (lease := house.lease("a", 30)):
        lease.add_graphs(40, lambda: None)
        assert states(house.memory) == {"held": "leased", "a": "leased"}
        with pytest.raises(OutOfMemory):
            lease.add_graphs(1, lambda: None, timeout=0)
        assert used(house.memory) == 100
    assert used(house.memory) == 100  # they stay with the resident


def test_a_graph_that_cannot_be_reset_holds_up_nothing(house: House) -> None:
    reset: list[str] = []

    def stuck() -> None:
        raise RuntimeError("capture under way")

    with house.memory.acquire("a", lambda: FakeResident(house.gpu, 40)):
        pass
    lease = house.lease("a")
    lease.add_graphs(10, stuck)
    lease.add_graphs(10, lambda: reset.append("second"))
    lease.release()
    house.visit("b", 90)
    assert reset == ["second"]
    assert house.gpu.used == used(house.memory) == 90


# without a budget: what the device has


def test_without_a_budget_the_device_sets_the_limit() -> None:
    gpu = FakeDevice(100)

    def memory_of(name: str) -> tuple[int | None, int | None]:
        return (gpu.capacity - gpu.used, 100) if name == "cuda:0" else (None, None)

    memory = manager(None, memory_of=memory_of)
    memory.acquire("a", lambda: FakeResident(gpu, 60)).release()
    memory.acquire("b", lambda: FakeResident(gpu, 60)).release()
    assert states(memory) == {"b": "ready"}
    with pytest.raises(OutOfMemory, match="what the device has"):
        memory.acquire("c", lambda: FakeResident(gpu, 101))
    gpu.capacity = 70  # another program takes 30, and gives them back
    with pytest.raises(OutOfMemory, match="close other programs that use cuda:0"):
        memory.acquire("c", lambda: FakeResident(gpu, 80))
    gpu.capacity = 100
    memory.acquire("c", lambda: FakeResident(gpu, 80)).release()
    memory.close()


def test_a_device_is_not_measured_in_the_middle_of_a_load(pool: ThreadPoolExecutor) -> None:
    """Half of a load is on the account but not on the device yet: that half is no room."""
    gpu = FakeDevice(100)
    memory = manager(None, memory_of=lambda name: (gpu.capacity - gpu.used, None))
    resident = FakeResident(gpu, 60, load_gate=Gate())
    pending = pool.submit(memory.acquire, "a", lambda: resident)
    assert resident.load_gate.reached.wait(20)
    assert gpu.used == 30
    with pytest.raises(OutOfMemory):
        memory.acquire("b", lambda: FakeResident(gpu, 60), timeout=0)
    resident.load_gate.open()
    pending.result(20).release()
    memory.close()


def test_a_budget_above_the_device_is_cut_to_it() -> None:
    memory = manager(1000, memory_of=lambda name: (90, 100))
    with pytest.raises(OutOfMemory):
        memory.acquire("a", lambda: FakeResident(FakeDevice(), 101))
    with memory.acquire("b", lambda: FakeResident(FakeDevice(), 100)) as model:
        assert model.there
    memory.close()


def test_where_nothing_is_known_nothing_is_refused() -> None:
    memory = manager(None)
    with memory.acquire("a", lambda: FakeResident(FakeDevice(10**15), 10**14)) as model:
        assert model.there
    assert {u.room for u in memory.usage()} == {None}
    memory.close()
