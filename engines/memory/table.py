"""The table of units: the one lock, the accounts, the evictions.

Everything slow (loading, offloading, hooks) runs outside the lock, in the thread of whoever needs
it; a unit in LOADING or OFFLOADING belongs to that thread, and all others wait for it to change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from engines.errors import Cancelled, OutOfMemory
from engines.memory.budget import Budget, size
from engines.memory.guard import Guard
from engines.memory.journal import Journal, ResidentState
from engines.memory.policy import HOST, Action, Unit, pick_victims
from engines.memory.resident import Footprint, retreat

if TYPE_CHECKING:
    from engines.api import CancelToken

POLL = 0.1  # seconds between looks at a cancel token, which cannot notify

log = logging.getLogger("vivavoce.memory")


class Table:
    """Units by key. Methods marked "locked" are called with `changed` held, all others without.

    Args:
        budget: room per pool.
        journal: is told what happens.
        clock: seconds, monotonic.
        patience: seconds to wait for room that others hold, where the caller does not say.
    """

    def __init__(
        self, budget: Budget, journal: Journal, clock: Callable[[], float], patience: float
    ) -> None:
        self.changed = Guard()
        self.units: dict[str, Unit] = {}
        self.closed = False
        self.budget = budget
        self.journal = journal
        self.clock = clock
        self._patience = patience

    # waiting

    def deadline(self, timeout: float | None) -> float:
        return self.clock() + (self._patience if timeout is None else timeout)

    def refuse(self, cancel: CancelToken | None) -> None:
        """Locked. Raise if the manager is closed or the token is set."""
        if self.closed:
            raise Cancelled("The program is shutting down, so no model is loaded any more.")
        if cancel is not None:
            cancel.raise_if_set()

    def wait_while(self, predicate: Callable[[], bool], cancel: CancelToken | None) -> None:
        """Locked. Wait for a change that makes the predicate false."""
        self.refuse(cancel)
        while predicate():
            self.changed.wait(POLL)
            self.refuse(cancel)

    def settle(self, unit: Unit) -> None:
        """Locked. After any change to a unit: forget it if it is empty, tell all who wait."""
        empty = unit.state is ResidentState.OFF and unit.held == Footprint()
        if empty and not unit.wanted:
            self.units.pop(unit.key, None)
        for pool in {unit.pool, HOST} - {""}:
            self.journal.sample(pool, self.used(pool))
        self.changed.notify_all()

    # accounts

    def used(self, pool: str) -> int:
        """Locked. Bytes counted on a pool, reservations and what is about to leave included."""
        return sum(unit.counted(pool) for unit in self.units.values())

    def _staying(self, pool: str) -> int:
        """Bytes counted on a pool once the evictions under way are done."""
        leaving = (
            unit.freed_by(unit.going, pool)
            for unit in self.units.values()
            if unit.going is not None
        )
        return self.used(pool) - sum(leaving)

    def room(self, pool: str) -> int | None:
        """Locked. Bytes that may be counted on a pool; None where that is unknown."""
        moving = any(
            unit.counted(pool)
            for unit in self.units.values()
            if unit.state in (ResidentState.LOADING, ResidentState.OFFLOADING)
        )
        return self.budget.room(pool, None if moving else self.used(pool))

    def reserve(
        self,
        unit: Unit,
        change: Callable[[Footprint], Footprint],
        cancel: CancelToken | None,
        deadline: float,
    ) -> None:
        """Count a new footprint for a unit, and wait until that much is really free.

        Whoever evicts gets the room: the bytes are on its account from the moment at which the
        victims are chosen.

        Raises:
            OutOfMemory: the footprint alone is too large, or there was no room by the deadline.
            Cancelled: the manager was closed, or the token set, before there was room.
        """
        while True:
            with self.changed:
                target = change(unit.held)
                shortfalls = self._shortfalls(unit, target)
                victims = pick_victims(self.units.values(), shortfalls)
                if victims is not None:
                    self.mark(victims)
                    unit.held = target
                    self.settle(unit)
                    break
                if self.clock() >= deadline:
                    pool = max(shortfalls, key=lambda pool: shortfalls[pool])
                    raise self._no_room(unit, target, pool)
                self.changed.wait(POLL)
                self.refuse(cancel)
        self.evict(victims, f"room for {unit.key}")
        for pool in shortfalls:
            self.await_evictions(pool)

    def _shortfalls(self, unit: Unit, target: Footprint) -> dict[str, int]:
        """Bytes that others have to leave per pool where the unit grows; negative where none."""
        shortfalls = {}
        for pool in dict.fromkeys((unit.pool, HOST)):
            needed = unit.counted(pool, target)
            room = self.room(pool) if needed > unit.counted(pool) else None
            if room is None:
                continue
            if needed > room:
                raise self.budget.too_large(unit.key, pool, needed)
            shortfalls[pool] = self._staying(pool) - unit.counted(pool) + needed - room
        return shortfalls

    def _no_room(self, unit: Unit, target: Footprint, pool: str) -> OutOfMemory:
        users = [
            f"{other.key} ({size(other.counted(pool))})"
            for other in self.units.values()
            if other is not unit and other.counted(pool)
        ]
        needed = unit.counted(pool, target)
        return self.budget.no_room(unit.key, pool, needed, ", ".join(users[:5]))

    # leaving

    def mark(self, victims: Mapping[Unit, Action]) -> None:
        """Locked. Nobody can lease these any more; the caller goes on to `evict` them."""
        for unit, action in victims.items():
            unit.state, unit.going = ResidentState.OFFLOADING, action

    def evict(self, victims: Mapping[Unit, Action], reason: str) -> None:
        """Bring marked units off their device, one after the other, in this thread."""
        for unit, action in victims.items():
            assert unit.resident is not None
            unit.value = None
            for reset in unit.resets:
                try:
                    reset()
                except Exception:
                    log.exception("a captured graph of %s could not be reset", unit.key)
            unit.resets.clear()
            kept = unit.kept_by(action)
            if not retreat(unit.resident, keep_host=action is Action.OFFLOAD):
                # what is left of it is unknown: let go of it, the next load starts afresh
                kept = Footprint()
            self._evicted(unit, action, kept, reason)
        if victims:
            self.free_if_closed()

    def _evicted(self, unit: Unit, action: Action, kept: Footprint, reason: str) -> None:
        with self.changed:
            freed = sum(unit.counted(p) - unit.counted(p, kept) for p in {unit.pool, HOST})
            self.journal.note(action.value, unit.key, freed, reason, unit.pool)
            if kept == Footprint():
                unit.resident = None
            unit.held, unit.state, unit.going = kept, ResidentState.OFF, None
            self.settle(unit)

    def await_evictions(self, pool: str) -> None:
        """Wait until those evictions from a pool that are under way now are done."""
        with self.changed:
            leaving = [
                unit
                for unit in self.units.values()
                if unit.going is not None and unit.freed_by(unit.going, pool)
            ]
            while any(unit.going is not None for unit in leaving):
                self.changed.wait()

    def free_idle(self, pool: str | None, reason: str) -> None:
        """Evict everything idle from a pool; from everywhere, host copies too, for None."""
        with self.changed:
            victims = {
                unit: Action.DROP if pool is None else unit.way_out(pool)
                for unit in self.units.values()
                if unit.evictable and (pool is None or unit.counted(pool))
            }
            self.mark(victims)
        self.evict(victims, reason)

    def free_if_closed(self) -> None:
        """What is given back after the manager closed goes at once."""
        if self.closed:
            self.free_idle(None, "shutdown")
