"""The budget: who goes, who waits, who is refused, and what the account says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, TimeoutError

import pytest

from engines.api import CancelToken
from engines.errors import Cancelled, OutOfMemory
from engines.memory import Margin, ResidentState
from tests.fake_device import (
    NO_MARGIN,
    FakeDevice,
    FakeResident,
    Gate,
    House,
    manager,
    states,
    until,
    used,
)

GB = 1_000_000_000


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
    house.clock.now += 10_000
    house.memory.sweep()
    assert states(house.memory) == {"b": "off"}  # a host copy goes under pressure alone
    assert house.host.used == 20


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
