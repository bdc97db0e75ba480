"""The memory manager: get or load a resident, lease it, let the idle go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from engines.memory.budget import Budget, Margin
from engines.memory.journal import (
    DeviceUsage,
    Journal,
    MemoryEvent,
    MemorySample,
    ResidentInfo,
    ResidentState,
)
from engines.memory.kv_pool import KvPool
from engines.memory.lease import Lease
from engines.memory.loader import Loader
from engines.memory.policy import HOST, Action, Unit
from engines.memory.resident import Resident
from engines.memory.table import POLL, Table
from engines.runtime import device as devices

if TYPE_CHECKING:
    from engines.api import CancelToken

T = TypeVar("T")

LONGEST_NAP = 3600.0  # seconds; a lock cannot wait for an infinite time to live
BUSY = (ResidentState.LOADING, ResidentState.OFFLOADING)


class MemoryManager:
    """Keeps models and caches on their devices while they are used, within a budget.

    Args:
        budget: bytes per device, workspace included; None takes what the device has free.
        idle_ttl: seconds after its last use at which a resident leaves its device.
        clock: seconds, monotonic; the janitor's naps are real time whatever it says.
        patience: seconds that an acquirer waits for room that others hold, unless it says.
        margin: workspace beside what is counted.
        memory_of: free and total bytes of a device by name, None where unknown.
        pool_of: the device whose memory a device uses.
    """

    def __init__(
        self,
        budget: int | None = None,
        idle_ttl: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        *,
        patience: float = 30.0,
        margin: Margin | None = None,
        memory_of: Callable[[str], tuple[int | None, int | None]] = devices.memory_of_name,
        pool_of: Callable[[str], str] = devices.memory_pool,
    ) -> None:
        self.budget = budget
        self.idle_ttl = idle_ttl
        self._clock = clock
        self._journal = Journal(clock)
        accounts = Budget(budget, margin or Margin(), memory_of)
        self._table = Table(accounts, self._journal, clock, patience)
        self._loader = Loader(self._table, pool_of)
        self._numbered = 0
        self._janitor: threading.Thread | None = None

    # acquiring

    def acquire(
        self,
        key: str,
        factory: Callable[[], Resident[T]],
        *,
        cancel: CancelToken | None = None,
        timeout: float | None = None,
    ) -> Lease[T]:
        """Lease the resident of that key; load it first where it is not on its device.

        Look-up and lease are one step: no eviction comes between. Acquirers of one key that come
        while it loads wait and share it; if that load fails, the next of them tries for itself.

        Args:
            key: names it, here and to people; one key, one device and dtype.
            factory: describes the resident when the key is new; loads nothing.
            cancel: ends waiting, and loading where the resident looks at it.
            timeout: seconds to wait for room that others hold; 0 for not at all.

        Raises:
            OutOfMemory: it is larger than the budget, or others held the room for too long, or
                the device ran out even after everything idle had left it.
            Cancelled: the manager is closed, or `cancel` was set.
            VivavoceError: what the load raised.
        """
        with self._table.changed:
            self._table.refuse(cancel)
            unit = self._table.units.get(key) or self._new_unit(key, None)
            unit.wanted += 1
        return self._lease(unit, factory, cancel, timeout)

    def acquire_any(
        self,
        group: str,
        factory: Callable[[], Resident[T]],
        *,
        cancel: CancelToken | None = None,
        timeout: float | None = None,
    ) -> Lease[T]:
        """Lease an idle resident of a group, or a new one, to this caller alone.

        Arguments and errors as for `acquire`.
        """
        with self._table.changed:
            self._table.refuse(cancel)
            idle = [u for u in self._table.units.values() if u.group == group and u.evictable]
            # the one used last, so that what only a busy hour needed grows old and goes
            unit = max(idle, key=lambda u: u.last_used, default=None)
            if unit is None:
                self._numbered += 1
                unit = self._new_unit(f"{group} #{self._numbered}", group)
            unit.wanted += 1
        return self._lease(unit, factory, cancel, timeout)

    def kv_pool(
        self, name: str, device: str, make: Callable[[int], T], nbytes: Callable[[int], int]
    ) -> KvPool[T]:
        """A pool of KV buffers for one model on one device.

        Args:
            make: a buffer of a bucket's size, on the device.
            nbytes: its bytes.
        """
        return KvPool(self, name, device, make, nbytes)

    def retrying(self, device: str, work: Callable[[], T], name: str = "the request") -> T:
        """Do `work`; if the device runs out of memory, evict what is idle there and do it again.

        Args:
            work: may run twice.
            name: what it is, for the error.

        Raises:
            OutOfMemory: it ran out the second time too.
        """
        return self._loader.retrying(device, work, name)

    def _new_unit(self, key: str, group: str | None) -> Unit:
        unit = self._table.units[key] = Unit(key, group)
        if self._janitor is None:
            self._janitor = threading.Thread(
                target=self._keep_sweeping, name="memory-janitor", daemon=True
            )
            self._janitor.start()
        return unit

    def _lease(
        self,
        unit: Unit,
        factory: Callable[[], Resident[T]],
        cancel: CancelToken | None,
        timeout: float | None,
    ) -> Lease[T]:
        """Grant a lease of a unit that the caller has marked as wanted."""
        table = self._table
        deadline = table.deadline(timeout)
        try:
            while True:
                with table.changed:
                    table.wait_while(lambda: unit.state in BUSY, cancel)
                    if unit.state is not ResidentState.OFF:
                        unit.state = ResidentState.LEASED
                        unit.leases += 1
                        return Lease(table, unit)
                    unit.state = ResidentState.LOADING
                self._loader.load(unit, factory, cancel, deadline)
        finally:
            with table.changed:
                unit.wanted -= 1
                table.settle(unit)
            table.free_if_closed()

    # leaving

    def unload(self, key: str, *, keep_host: bool = False) -> bool:
        """Bring one resident off its device now, because somebody asked for it.

        Args:
            keep_host: keep the copy in host memory from which it comes back quickly, where it has
                one; otherwise nothing of it stays.

        Returns:
            False where there is nothing to do: it is not loaded, or it is in use.
        """
        table = self._table
        with table.changed:
            unit = table.units.get(key)
            if unit is None or not unit.evictable:
                return False
            if keep_host and unit.state is not ResidentState.READY:
                return False
            going = {unit: unit.gentlest if keep_host else Action.DROP}
            table.mark(going)
        table.evict(going, "asked for")
        return True

    def sweep(self) -> None:
        """Evict what has been idle for `idle_ttl`; the janitor does it whenever something is."""
        table = self._table
        with table.changed:
            due = {
                unit: unit.gentlest
                for unit in table.units.values()
                if unit.state is ResidentState.READY
                and unit.evictable
                and self._clock() - unit.last_used >= self.idle_ttl
            }
            table.mark(due)
        table.evict(due, f"idle for {self.idle_ttl:g} s")

    def _keep_sweeping(self) -> None:
        table = self._table
        while not table.closed:
            self.sweep()
            with table.changed:
                ready = (u for u in table.units.values() if u.state is ResidentState.READY)
                oldest = min((u.last_used for u in ready if u.evictable), default=None)
                nap = None if oldest is None else oldest + self.idle_ttl - self._clock()
                if not table.closed and (nap is None or nap > 0):
                    table.changed.wait(None if nap is None else min(nap, LONGEST_NAP))

    def close(self, timeout: float = 10.0) -> None:
        """Refuse new leases, free everything idle, wait for what is leased.

        Args:
            timeout: seconds to wait; what is still leased then is freed when it is released.
        """
        table, deadline = self._table, self._clock() + timeout
        with table.changed:
            table.closed = True
            table.changed.notify_all()
        table.free_idle(None, "shutdown")
        with table.changed:
            while table.units and self._clock() < deadline:
                table.changed.wait(POLL)
        if self._janitor is not None:
            self._janitor.join(timeout)

    # what it tells about itself

    def residents(self) -> tuple[ResidentInfo, ...]:
        """What is or was just on a device, or has a copy in host memory; the oldest first."""
        with self._table.changed:
            now = self._clock()
            return tuple(
                ResidentInfo(
                    name=unit.key,
                    kind=unit.resident.kind,
                    state=unit.state,
                    device=unit.resident.device,
                    bytes=unit.held.device + unit.held.graphs,
                    host_bytes=unit.held.host,
                    leases=unit.leases,
                    idle_seconds=0.0 if unit.leases else max(0.0, now - unit.last_used),
                )
                for unit in self._table.units.values()
                if unit.resident is not None
            )

    def usage(self) -> tuple[DeviceUsage, ...]:
        """The account of every device that holds something of ours, host memory first."""
        with self._table.changed:
            pools = dict.fromkeys((HOST, *(u.pool for u in self._table.units.values() if u.pool)))
            return tuple(
                DeviceUsage(pool, self._table.used(pool), self._table.room(pool)) for pool in pools
            )

    def log(self) -> tuple[MemoryEvent, ...]:
        """The last few hundred events, oldest first."""
        with self._table.changed:
            return self._journal.events()

    def history(self) -> tuple[MemorySample, ...]:
        """Bytes in use over time, a sample per change and device, oldest first."""
        with self._table.changed:
            return self._journal.samples()
