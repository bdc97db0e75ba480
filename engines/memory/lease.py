"""A lease: the right to use a resident, which stays where it is until the lease is released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from engines.memory.journal import ResidentState
from engines.memory.policy import Unit
from engines.memory.table import Table

if TYPE_CHECKING:
    from engines.api import CancelToken

T = TypeVar("T")


class Lease(Generic[T]):
    """Made by `MemoryManager.acquire`; use it in a `with` statement, which gives the value."""

    def __init__(self, table: Table, unit: Unit) -> None:
        self._table = table
        self._unit: Unit | None = unit
        self._value: list[T] = [unit.value]

    @property
    def value(self) -> T:
        """What the resident's `load` returned. Not to be kept beyond the lease.

        Raises:
            RuntimeError: the lease was released.
        """
        self._held_unit()
        return self._value[0]

    def add_graphs(
        self,
        nbytes: int,
        reset: Callable[[], None],
        *,
        cancel: CancelToken | None = None,
        timeout: float | None = None,
    ) -> None:
        """Count memory that captured graphs take, and have them reset before the device copy goes.

        Graphs hold the addresses of the weights, so they are useless once those have moved.

        Args:
            nbytes: bytes of the graphs' pool on the resident's device; call before capturing.
            reset: called once, from any thread, when the resident leaves its device; it must not
                wait for whoever acquires.
            timeout: seconds to wait for room that others hold.

        Raises:
            OutOfMemory: there is no room for them.
            Cancelled: `cancel` was set while it waited.
            RuntimeError: the lease was released.
        """
        unit, table = self._held_unit(), self._table
        table.reserve(
            unit,
            lambda held: replace(held, graphs=held.graphs + nbytes),
            cancel,
            table.deadline(timeout),
        )
        with table.changed:
            unit.resets.append(reset)
            table.journal.note("grow", unit.key, nbytes, "captured graphs", unit.pool)

    def release(self) -> None:
        """Give the lease back; a second call does nothing."""
        self._table.changed.whole(self._give_back)
        self._table.free_if_closed()

    def _give_back(self) -> None:
        if self._unit is None:
            return
        unit, self._unit = self._unit, None
        self._value.clear()  # a released lease must not keep an evicted model alive
        unit.leases -= 1
        if not unit.leases:
            unit.state = ResidentState.READY
        unit.last_used = self._table.clock()
        self._table.settle(unit)

    def _held_unit(self) -> Unit:
        if self._unit is None:
            raise RuntimeError("this lease was released; acquire the resident again")
        return self._unit

    def __enter__(self) -> T:
        return self.value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
