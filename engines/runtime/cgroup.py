"""Limits that a container or a service manager sets on this process (Linux control groups)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NO_LIMIT = 1 << 60  # version 1 writes a number near 2**63 where there is none


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """Bytes that the group may use, and that it uses beside what the kernel can reclaim."""

    limit: int
    used: int


def memory_limit(root: Path = Path("/")) -> MemoryLimit | None:
    """The limit that leaves this process the least memory; None where there is none.

    Args:
        root: where /proc and /sys are looked for.
    """
    limits = []
    for group in _groups(root, "memory"):
        limit = _number(group / "memory.max") or _number(group / "memory.limit_in_bytes")
        used = _number(group / "memory.current") or _number(group / "memory.usage_in_bytes")
        if limit is not None and used is not None and limit < NO_LIMIT:
            limits.append(MemoryLimit(limit, max(0, used - _reclaimable(group))))
    return min(limits, key=lambda found: found.limit - found.used, default=None)


def cpu_limit(root: Path = Path("/")) -> float | None:
    """Cores that this process may keep busy at once, such as 1.5; None where there is no quota."""
    quotas = []
    for group in _groups(root, "cpu"):
        words = _text(group / "cpu.max").split() or [
            _text(group / "cpu.cfs_quota_us"),
            _text(group / "cpu.cfs_period_us"),
        ]
        if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal():
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the process's group and of those around it, version 2 and version 1."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controller
        else:
            continue
        # a container may see the host's path but only its own group, mounted as the root
        folder = mount / path.lstrip("/")
        while folder != mount:
            yield folder
            folder = folder.parent
        yield mount


def _reclaimable(group: Path) -> int:
    """Bytes of cached files that the kernel gives back under pressure."""
    for line in _text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdecimal():
            return int(value)
    return 0


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:  # absent, or not ours to read
        return ""


def whole_cores(limit: float) -> int:
    """Threads worth starting under a CPU quota: more would be stopped for part of each period."""
    return max(1, math.floor(limit))
