"""Which idle units leave a device so that another fits: pure functions over the manager's units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from engines.memory.journal import ResidentState
from engines.memory.resident import Footprint, Resident

HOST = "cpu"


class Action(Enum):
    """What an eviction does to a unit."""

    OFFLOAD = "offload"
    DROP = "drop"


@dataclass(eq=False, slots=True)
class Unit:
    """A resident's entry in the manager's table. Guarded by the manager's lock.

    Attributes:
        pool: the device whose memory it takes ("cpu" for a resident on "mps" or "onnx").
        held: bytes counted for it, from the reservation on.
        leases: leases handed out and not yet released.
        wanted: acquirers between look-up and lease; such a unit is not evicted either.
        going: the eviction under way, while OFFLOADING.
        resets: what to call before the device copy goes, such as captured graphs' reset.
    """

    key: str
    group: str | None = None
    resident: Resident | None = None
    pool: str = ""
    state: ResidentState = ResidentState.OFF
    held: Footprint = field(default_factory=Footprint)
    leases: int = 0
    wanted: int = 0
    last_used: float = 0.0
    value: Any = None
    going: Action | None = None
    resets: list[Callable[[], None]] = field(default_factory=list)

    def counted(self, pool: str, held: Footprint | None = None) -> int:
        """Bytes on the account of `pool`, or those that another footprint would put there."""
        held = held or self.held
        on_device = held.device + held.graphs if pool == self.pool else 0
        return on_device + (held.host if pool == HOST else 0)

    def kept_by(self, action: Action) -> Footprint:
        """What stays on the account after an eviction."""
        return Footprint(host=self.held.host) if action is Action.OFFLOAD else Footprint()

    def freed_by(self, action: Action, pool: str) -> int:
        return self.counted(pool) - self.counted(pool, self.kept_by(action))

    @property
    def evictable(self) -> bool:
        if self.wanted:
            return False
        has_host_copy = self.state is ResidentState.OFF and self.held.host > 0
        return self.state is ResidentState.READY or has_host_copy

    @property
    def gentlest(self) -> Action:
        """The eviction after which coming back is cheapest."""
        ready = self.state is ResidentState.READY
        offloads = self.resident is not None and self.resident.eviction == "offload"
        return Action.OFFLOAD if ready and offloads else Action.DROP

    def way_out(self, pool: str) -> Action:
        """The gentlest eviction that frees bytes of that pool."""
        return self.gentlest if self.freed_by(self.gentlest, pool) else Action.DROP


def pick_victims(units: Iterable[Unit], shortfalls: Mapping[str, int]) -> dict[Unit, Action] | None:
    """Choose idle units, least recently used first, whose going covers every shortfall.

    Args:
        units: every unit; those in use are passed over.
        shortfalls: bytes to be freed per pool.

    Returns:
        What to do to which unit; None where all idle units together are too little.
    """
    idle = sorted((unit for unit in units if unit.evictable), key=lambda unit: unit.last_used)
    chosen: dict[Unit, Action] = {}
    for pool, short in shortfalls.items():
        short -= sum(unit.freed_by(action, pool) for unit, action in chosen.items())
        for unit in idle:
            if short <= 0:
                break
            action = unit.way_out(pool)
            before = chosen.get(unit)
            gain = unit.freed_by(action, pool)
            if before is not None:
                gain -= unit.freed_by(before, pool)
            if gain > 0:
                chosen[unit] = action
                short -= gain
        if short > 0:
            return None
    return chosen
