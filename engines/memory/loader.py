"""Loading a unit: room first, then the load, tried again once where memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from engines.errors import OutOfMemory
from engines.memory.budget import is_out_of_memory
from engines.memory.journal import EventKind, ResidentState
from engines.memory.policy import Unit
from engines.memory.resident import Footprint, Resident, retreat
from engines.memory.table import Table

if TYPE_CHECKING:
    from engines.api import CancelToken

T = TypeVar("T")


class Loader:
    """Loads for a table.

    Args:
        pool_of: the device whose memory a device uses.
    """

    def __init__(self, table: Table, pool_of: Callable[[str], str]) -> None:
        self._table = table
        self._pool_of = pool_of

    def load(
        self,
        unit: Unit,
        factory: Callable[[], Resident[T]],
        cancel: CancelToken | None,
        deadline: float,
    ) -> None:
        """Take a unit, LOADING by the caller's hand, to READY; or back to OFF with what it held.

        Raises:
            OutOfMemory: there is no room.
            Cancelled: the manager was closed, or the token set.
            Exception: what the resident's load raised.
        """
        before, table = unit.held, self._table
        try:
            resident: Resident[T] = unit.resident or factory()
            with table.changed:
                unit.resident, unit.pool = resident, self._pool_of(resident.device)
            table.reserve(unit, lambda _: resident.footprint(), cancel, deadline)
            value = self.retrying(
                resident.device, lambda: _load_whole(resident, before, cancel), unit.key
            )
            # an estimate until now, exact from here on
            table.reserve(unit, lambda _: resident.footprint(), cancel, deadline)
        except BaseException as error:
            self._failed(unit, before, error)
            raise
        with table.changed:
            unit.value, unit.state, unit.last_used = value, ResidentState.READY, table.clock()
            source = "from the host copy" if before.host else "from its source"
            table.journal.note("load", unit.key, unit.held.device, source, unit.pool)
            table.settle(unit)

    def _failed(self, unit: Unit, before: Footprint, error: BaseException) -> None:
        resident = unit.resident
        if resident is not None and not retreat(resident, keep_host=before.host > 0):
            before = Footprint()
        what: EventKind = "refuse" if isinstance(error, OutOfMemory) else "fail"
        with self._table.changed:
            if before == Footprint():
                unit.resident = None
            unit.held, unit.state = before, ResidentState.OFF
            self._table.journal.note(what, unit.key, 0, f"{error!s:.300}", unit.pool)
            self._table.settle(unit)

    def retrying(self, device: str, work: Callable[[], T], name: str) -> T:
        """`MemoryManager.retrying`."""
        done, message = _attempt(work)
        if done:
            return done[0]
        pool = self._pool_of(device)
        self._table.free_idle(pool, f"{device} ran out of memory")
        self._table.await_evictions(pool)
        gc.collect()
        done, message = _attempt(work)
        if done:
            return done[0]
        with self._table.changed:
            raise self._table.budget.exhausted(name, pool, self._table.used(pool), message)


def _attempt(work: Callable[[], T]) -> tuple[list[T], str]:
    """The result of `work`, or nothing and the message where memory ran out.

    The error itself must not leave this function: its traceback holds the frames, and with them
    the tensors, that have to go before there is room.
    """
    try:
        return [work()], ""
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return [], f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _load_whole(resident: Resident[T], before: Footprint, cancel: CancelToken | None) -> T:
    """Load it, or leave of it what was there before, so that a second try starts clean."""
    try:
        return resident.load(cancel)
    except BaseException:
        retreat(resident, keep_host=before.host > 0)
        raise
