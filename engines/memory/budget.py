"""How much may be on a device, how a lack of room is recognised, and how it is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from engines.errors import OutOfMemory, VivavoceError

# What allocators say: torch (CUDA, CPU on Linux and Windows), ONNX Runtime, XLA, C++, cuBLAS.
OUT_OF_MEMORY_SIGNS = (
    "out of memory",
    "allocate memory",
    "not enough memory",
    "resource_exhausted",
    "bad_alloc",
    "alloc_failed",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Does this mean that a device or the host had no room? Libraries agree on no one type."""
    if isinstance(error, VivavoceError):
        return False
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return any(sign in text for sign in OUT_OF_MEMORY_SIGNS)


def size(nbytes: int) -> str:
    """Bytes as people read them: "0 MB", "812 MB", "3.2 GB"."""
    if nbytes < 1_000_000_000:
        return f"{math.ceil(nbytes / 1_000_000)} MB"
    return f"{nbytes / 1_000_000_000:.1f} GB"


@dataclass(frozen=True, slots=True)
class Margin:
    """Workspace beside what is counted: activations, allocator rounding, library handles."""

    factor: float = 1.1
    floor: int = 800_000_000  # bytes

    def room_in(self, capacity: int) -> int:
        """Bytes that may be counted so that they and their workspace fit `capacity`."""
        return max(0, math.floor((capacity - self.floor) / self.factor))


class Budget:
    """The most that each device may hold.

    Args:
        limit: bytes per device, as the user set them; None takes what the device has free.
        margin: workspace kept out of it.
        memory_of: free and total bytes of a device, None where unknown.
    """

    def __init__(
        self,
        limit: int | None,
        margin: Margin,
        memory_of: Callable[[str], tuple[int | None, int | None]],
    ) -> None:
        self.limit = limit
        self.margin = margin
        self._memory_of = memory_of
        self._capacities: dict[str, int | None] = {}

    def capacity(self, device: str, settled: int | None) -> int | None:
        """Bytes of the device that Vivavoce may use, workspace included; None where unknown.

        Args:
            settled: bytes of ours that lie there now; None while a load or an eviction is under
                way, when a look at the device would show neither the old nor the new figure.
        """
        if device not in self._capacities or (self.limit is None and settled is not None):
            free, total = self._memory_of(device)
            bounds = [bound for bound in (self.limit, total) if bound is not None]
            if self.limit is None and free is not None:
                bounds.append(free + (settled or 0))
            self._capacities[device] = min(bounds, default=None)
        return self._capacities[device]

    def room(self, device: str, settled: int | None) -> int | None:
        """Bytes that may be counted on the device; None where that is unknown."""
        capacity = self.capacity(device, settled)
        return None if capacity is None else self.margin.room_in(capacity)

    def too_large(self, name: str, device: str, needed: int) -> OutOfMemory:
        """The error for something that does not fit an otherwise empty device."""
        return OutOfMemory(
            f"{name} needs {size(needed)} on {device}.",
            self._allowance(device),
            f"Raise --memory-budget, close other programs that use {device}, "
            "or pick a smaller model or another device.",
        )

    def no_room(self, name: str, device: str, needed: int, users: str) -> OutOfMemory:
        """The error for something that would fit if others were not at work."""
        return OutOfMemory(
            f"{name} needs {size(needed)} on {device}, which is in use: {users}.",
            self._allowance(device),
            "Try again when the speech in work is done, or raise --memory-budget.",
        )

    def exhausted(self, name: str, device: str, used: int, message: str) -> OutOfMemory:
        """The error for a device that had no room though the account said it had."""
        return OutOfMemory(
            f"{device} ran out of memory for {name} ({message}), "
            f"also after everything idle had left it; {size(used)} are in use by Vivavoce.",
            self._allowance(device),
            f"Close other programs that use {device}, lower --memory-budget so that less is kept, "
            "or pick a smaller model or another device.",
        )

    def _allowance(self, device: str) -> str:
        capacity = self._capacities.get(device)
        if capacity is None:
            return ""
        source = "--memory-budget" if capacity == self.limit else "what the device has"
        return (
            f"Vivavoce may use {size(capacity)} there ({source}), of which "
            f"{size(self.margin.room_in(capacity))} hold models and caches "
            "and the rest is working space."
        )
