"""Choosing victims: a pure function, tried with every kind of table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engines.memory.journal import ResidentState
from engines.memory.policy import HOST, Action, Unit, pick_victims
from engines.memory.resident import Footprint
from tests.fake_device import FakeDevice, FakeResident

POOLS = ("cuda:0", "cuda:1", HOST)


@st.composite
def units(draw: st.DrawFn) -> list[Unit]:
    made = []
    for number in range(draw(st.integers(0, 7))):
        pool = draw(st.sampled_from(POOLS))
        offloads = pool != HOST and draw(st.booleans())
        state = draw(st.sampled_from(ResidentState))
        nbytes = draw(st.integers(0, 50))
        on_device = 0 if state is ResidentState.OFF else nbytes
        unit = Unit(f"unit {number}")
        unit.pool, unit.state = pool, state
        unit.resident = FakeResident(
            FakeDevice(), nbytes, eviction="offload" if offloads else "drop"
        )
        unit.held = Footprint(on_device, nbytes if offloads else 0, on_device // 3)
        unit.leases = 1 if state is ResidentState.LEASED else 0
        unit.wanted = draw(st.integers(0, 1))
        unit.last_used = draw(st.integers(0, 5))
        made.append(unit)
    return made


shortfalls = st.dictionaries(st.sampled_from(POOLS), st.integers(-20, 120))


def freed(chosen: dict[Unit, Action], pool: str) -> int:
    return sum(unit.freed_by(action, pool) for unit, action in chosen.items())


@given(units(), shortfalls)
def test_victims_are_idle_cover_every_shortfall_and_are_worth_it(
    table: list[Unit], short: dict[str, int]
) -> None:
    chosen = pick_victims(table, short)
    if chosen is None:
        return
    for unit, action in chosen.items():
        assert unit.evictable
        assert action is Action.DROP or unit.resident.eviction == "offload"
        assert any(unit.freed_by(action, pool) > 0 for pool in short)
    for pool, needed in short.items():
        assert freed(chosen, pool) >= needed


@given(units(), shortfalls)
def test_none_means_that_all_the_idle_together_are_too_little(
    table: list[Unit], short: dict[str, int]
) -> None:
    everything = {unit: Action.DROP for unit in table if unit.evictable}
    enough = all(freed(everything, pool) >= needed for pool, needed in short.items())
    assert (pick_victims(table, short) is not None) == enough


@given(units(), st.sampled_from(POOLS), st.integers(1, 100))
def test_nobody_goes_while_one_idle_for_longer_stays(
    table: list[Unit], pool: str, needed: int
) -> None:
    chosen = pick_victims(table, {pool: needed})
    if not chosen:
        return
    youngest = max(unit.last_used for unit in chosen)
    for unit in table:
        if unit.evictable and unit.counted(pool) and unit.last_used < youngest:
            assert unit in chosen


@given(units(), st.sampled_from(POOLS), st.integers(1, 100))
def test_the_last_victim_was_needed(table: list[Unit], pool: str, needed: int) -> None:
    chosen = pick_victims(table, {pool: needed})
    if chosen:
        *others, _last = chosen.items()
        assert freed(dict(others), pool) < needed


@given(units())
def test_where_nothing_is_short_nobody_goes(table: list[Unit]) -> None:
    assert pick_victims(table, {}) == {}
    assert pick_victims(table, {"cuda:0": 0, HOST: -5}) == {}


def test_an_offload_becomes_a_drop_where_the_host_is_short_too() -> None:
    unit = Unit("a", pool="cuda:0", state=ResidentState.READY, held=Footprint(40, 40))
    unit.resident = FakeResident(FakeDevice(), 40, eviction="offload")
    assert pick_victims([unit], {"cuda:0": 10}) == {unit: Action.OFFLOAD}
    assert pick_victims([unit], {"cuda:0": 10, HOST: 10}) == {unit: Action.DROP}
    assert pick_victims([unit], {HOST: 10, "cuda:0": 10}) == {unit: Action.DROP}


def test_a_drop_never_becomes_an_offload_again() -> None:
    one = Unit("a", pool="cuda:0", state=ResidentState.READY, held=Footprint(40, 40))
    one.resident = FakeResident(FakeDevice(), 40, eviction="offload")
    two = Unit("b", pool="cuda:0", state=ResidentState.READY, held=Footprint(40), last_used=1)
    two.resident = FakeResident(FakeDevice(), 40)
    assert pick_victims([one, two], {HOST: 10, "cuda:0": 60}) == {
        one: Action.DROP,
        two: Action.DROP,
    }
