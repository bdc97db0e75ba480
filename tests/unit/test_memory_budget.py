"""The budget: who goes, who waits, who is refused, and what the account says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines.api import CancelToken
from engines.errors import Cancelled, OutOfMemory
from engines.memory import Lease, Margin, MemoryManager, ResidentState, is_out_of_memory
from tests.fake_device import (
    NO_MARGIN,
    FakeClock,
    FakeDevice,
    FakeResident,
    Gate,
    manager,
    until,
)

GB = 1_000_000_000


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


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


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.memory.close(timeout=0)


def test_the_least_recently_used_goes_first(house: House) -> None:
    house.visit("a")
    house.visit("b")
    house.visit("a")
    house.visit("c")
    assert states(house.memory) == {"a": "ready", "c": "ready"}
    assert house.gpu.peak <= 100
    drop = next(e for e in house.memory.log() if e.what == "drop")
    assert (drop.name, drop.bytes, drop.reason, drop.device) == ("b", 40, "room for c", "cuda:0")


def test_no_more_goes_than_has_to(house: House) -> None:
    for key in "abcd":
        house.visit(key, 25)
    house.visit("e", 50)
    assert states(house.memory) == {"c": "ready", "d": "ready", "e": "ready"}


def test_nothing_goes_when_that_would_not_be_enough(house: House) -> None:
    house.visit("idle", 30)
    with house.lease("held", 60), pytest.raises(OutOfMemory):
        house.lease("wanted", 50, timeout=0)
    assert states(house.memory) == {"idle": "ready", "held": "ready"}


def test_offloading_keeps_a_copy_that_the_host_account_counts(house: House) -> None:
    house.visit("a", 60, eviction="offload")
    assert (used(house.memory), used(house.memory, "cpu")) == (60, 60)
    house.visit("b", 60)
    assert (house.gpu.used, house.host.used) == (60, 60)
    assert (used(house.memory), used(house.memory, "cpu")) == (60, 60)
    assert states(house.memory) == {"a": "off", "b": "ready"}
    house.visit("a", 60, eviction="offload")
    assert states(house.memory) == {"a": "ready"}
    assert house.memory.log()[-1].reason == "from the host copy"


def test_host_copies_go_when_the_host_runs_short(house: House) -> None:
    house.visit("a", 60, eviction="offload")
    house.visit("b", 60)  # a is offloaded, its copy stays
    house.visit("on the host", 60, device="cpu")
    assert states(house.memory) == {"b": "ready", "on the host": "ready"}
    assert used(house.memory, "cpu") == 60


def test_a_resident_with_a_host_copy_is_dropped_whole_when_the_host_runs_short(
    house: House,
) -> None:
    house.visit("a", 60, eviction="offload")
    house.visit("on the host", 60, device="cpu")
    assert states(house.memory) == {"on the host": "ready"}
    assert (house.gpu.used, house.host.used) == (0, 60)
    assert (used(house.memory), used(house.memory, "cpu")) == (0, 60)


def test_unified_memory_is_one_account(house: House) -> None:
    house.visit("a", 60, device="cpu")
    house.visit("b", 60, device="mps")
    assert states(house.memory) == {"b": "ready"}
    assert {r.device for r in house.memory.residents()} == {"mps"}
    assert used(house.memory, "cpu") == 60


def test_devices_have_budgets_of_their_own(house: House) -> None:
    house.visit("a", 90, device="cuda:0")
    house.gpu.capacity = 1000
    house.visit("b", 90, device="cuda:1")
    assert states(house.memory) == {"a": "ready", "b": "ready"}


def test_what_is_larger_than_the_budget_is_refused_at_once(house: House) -> None:
    house.visit("idle", 50)
    with house.lease("held", 50), pytest.raises(OutOfMemory):
        house.lease("huge", 101)  # without waiting for anyone
    assert states(house.memory) == {"idle": "ready", "held": "ready"}
    assert house.memory.log()[-1].what == "refuse"


def test_a_refusal_names_sizes_and_the_option() -> None:
    memory = manager(8 * GB, margin=Margin())
    gpu = FakeDevice()
    with pytest.raises(OutOfMemory) as caught:
        memory.acquire("f5 decoder", lambda: FakeResident(gpu, 7 * GB))
    message = str(caught.value)
    assert "f5 decoder needs 7.0 GB on cuda:0" in message
    assert "may use 8.0 GB there (--memory-budget), of which 6.5 GB hold models" in message
    assert "Raise --memory-budget" in message
    memory.close()


def test_the_margin_is_a_tenth_and_800_mb() -> None:
    room = (8 * GB - 800_000_000) * 10 // 11
    memory, gpu = manager(8 * GB, margin=Margin()), FakeDevice()
    with pytest.raises(OutOfMemory):
        memory.acquire("a", lambda: FakeResident(gpu, room + 1))
    with memory.acquire("b", lambda: FakeResident(gpu, room)) as model:
        assert model.there
    assert [u.room for u in memory.usage() if u.device == "cuda:0"] == [room]
    memory.close()


def test_a_budget_that_the_margin_eats_up_holds_nothing() -> None:
    memory = manager(500_000_000, margin=Margin())
    with pytest.raises(OutOfMemory, match="0 MB hold models"):
        memory.acquire("a", lambda: FakeResident(FakeDevice(), 1))
    memory.close()


def test_who_finds_no_room_waits_for_a_release(house: House, pool: ThreadPoolExecutor) -> None:
    held = house.lease("held", 80)
    pending = pool.submit(house.lease, "wanted", 50)
    until(lambda: states(house.memory).get("wanted") == "loading")
    assert not pending.done()
    assert house.gpu.used == 80
    held.release()
    with pending.result(20) as model:
        assert model.there
    assert house.gpu.peak == 80


def test_who_waits_in_vain_is_told_who_holds_the_room(house: House) -> None:
    with house.lease("held", 80):
        with pytest.raises(OutOfMemory, match=r"in use: held \(1 MB\)"):
            house.lease("wanted", 50, timeout=0)
        assert used(house.memory) == 80
    house.visit("wanted", 50)


def test_the_wait_ends_by_the_clock(house: House, pool: ThreadPoolExecutor) -> None:
    with house.lease("held", 80):
        pending = pool.submit(house.lease, "wanted", 50, timeout=7)
        until(lambda: states(house.memory).get("wanted") == "loading")
        house.clock.now += 6.9
        with pytest.raises(TimeoutError):
            pending.result(0.3)
        house.clock.now += 0.2
        with pytest.raises(OutOfMemory):
            pending.result(20)


def test_cancel_and_close_while_waiting_for_room(house: House, pool: ThreadPoolExecutor) -> None:
    lease, token = house.lease("held", 80), CancelToken()
    cancelled = pool.submit(house.lease, "one", 50, cancel=token)
    until(lambda: states(house.memory).get("one") == "loading")
    token.cancel()
    with pytest.raises(Cancelled):
        cancelled.result(20)
    closed = pool.submit(house.lease, "two", 50)
    until(lambda: states(house.memory).get("two") == "loading")
    house.memory.close(timeout=0)
    with pytest.raises(Cancelled):
        closed.result(20)
    lease.release()
    assert used(house.memory) == house.gpu.used == 0


def test_a_load_starts_only_when_its_room_is_really_free(
    house: House, pool: ThreadPoolExecutor
) -> None:
    """Two evictions under way free 80 bytes; neither newcomer may load before its 40 are there."""
    gates = Gate(), Gate()
    house.visit("a", 50, leave_gate=gates[0])
    house.visit("b", 50, leave_gate=gates[1])
    one = pool.submit(house.lease, "one", 40)
    assert gates[0].reached.wait(20)
    two = pool.submit(house.lease, "two", 40)
    assert gates[1].reached.wait(20)
    assert not one.done()
    assert not two.done()
    three = pool.submit(house.lease, "three", 10)  # fits beside one and two, but not before
    gates[1].open()
    until(lambda: house.gpu.used <= 60)
    assert not three.done()
    gates[0].open()
    for pending in (one, two, three):
        assert pending.result(20).value.there
    assert house.gpu.peak == 100


def test_who_evicts_gets_the_room(house: House, pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    house.visit("idle", 90, leave_gate=gate)
    evictor = pool.submit(house.lease, "evictor", 90)
    assert gate.reached.wait(20)
    with pytest.raises(OutOfMemory):
        house.lease("thief", 90, timeout=0)
    gate.open()
    assert evictor.result(20).value.there


def test_an_estimate_that_was_too_high_is_corrected(house: House) -> None:
    with house.lease("a", 80, actual=30):
        assert used(house.memory) == 30
        with house.lease("b", 70):
            assert house.gpu.used == 100


def test_an_estimate_that_was_too_low_makes_the_idle_go(house: House) -> None:
    house.gpu.capacity = 1000
    house.visit("idle", 50)
    with house.lease("a", 30, actual=70):
        assert states(house.memory) == {"a": "leased"}
        assert used(house.memory) == house.gpu.used == 70


def test_an_estimate_that_was_far_too_low_is_refused_afterwards(house: House) -> None:
    house.gpu.capacity = 1000
    with pytest.raises(OutOfMemory):
        house.lease("a", 30, actual=101)
    assert used(house.memory) == house.gpu.used == 0
    with house.lease("held", 60), pytest.raises(OutOfMemory):
        house.lease("a", 30, actual=70, timeout=0)
    assert used(house.memory) == house.gpu.used == 60


# memory that runs out although the account says there is room


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
    house.visit("b", 61)
    assert len(events) == 1  # the reload had no graphs


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


# time to live


def test_the_idle_leave_after_their_time_and_not_before(house: House) -> None:
    house.memory.idle_ttl = 600
    house.visit("a", 20)
    house.visit("b", 20, eviction="offload")
    house.clock.now += 598.5
    house.memory.sweep()
    assert states(house.memory) == {"a": "ready", "b": "ready"}
    house.clock.now += 0.5
    house.memory.sweep()
    until(lambda: states(house.memory) == {"b": "ready"})
    house.clock.now += 10_000
    house.memory.sweep()
    until(lambda: states(house.memory) == {"b": "off"})
    assert house.host.used == 20  # a copy in host memory goes under pressure alone


def test_an_endless_time_to_live(house: House) -> None:
    house.visit("a")
    house.clock.now += 1e12
    house.memory.sweep()
    assert states(house.memory) == {"a": "ready"}


# what it tells


def test_snapshots(house: House) -> None:
    lease = house.lease("a", 40, eviction="offload")
    house.clock.now += 5
    (info,) = house.memory.residents()
    assert (info.name, info.kind, info.device, info.state) == (
        "a",
        "weights",
        "cuda:0",
        ResidentState.LEASED,
    )
    assert (info.bytes, info.host_bytes, info.leases, info.idle_seconds) == (40, 40, 1, 0.0)
    lease.release()
    house.clock.now += 5
    assert house.memory.residents()[0].idle_seconds == 5.0
    (event,) = house.memory.log()
    assert (event.what, event.bytes, event.seconds) == ("load", 40, 1.0)
    assert event.wall_time > 1.6e9
    assert {(s.device, s.used) for s in house.memory.history()} >= {("cuda:0", 40), ("cpu", 40)}
    assert house.memory.budget == 100


def test_log_and_history_are_bounded(house: House) -> None:
    for turn in range(1200):
        house.visit("a" if turn % 2 else "b", 60 + turn % 3)
    assert len(house.memory.log()) == 500
    history = house.memory.history()
    assert len(history) <= 2000
    assert [s.time for s in history] == sorted(s.time for s in history)
    assert history[-1].used == used(house.memory, history[-1].device)


def test_snapshots_from_another_thread_while_it_works(house: House) -> None:
    stop, failures = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            try:
                for look in (house.memory.residents, house.memory.log, house.memory.history):
                    look()
                assert used(house.memory) <= 180  # reservations beside what is leaving
            except Exception as error:
                failures.append(error)
                return

    watcher = threading.Thread(target=look)
    watcher.start()
    for turn in range(300):
        house.visit("abc"[turn % 3], 60)
    stop.set()
    watcher.join(20)
    assert failures == []


def test_margins() -> None:
    assert NO_MARGIN.room_in(100) == 100
    assert Margin().room_in(800_000_000) == 0
    assert Margin(factor=2, floor=10).room_in(101) == 45
