"""Memory over time as a small SVG: what a device has in use, and what of that is ours."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from engines.memory import MemoryManager
from engines.runtime import device as devices

WINDOW = 600.0  # seconds that the plot shows at most
LEAST_WINDOW = 60.0  # and at least, while little was seen
LEAST_STEP = 1.0  # seconds between two samples
WIDTH, HEIGHT = 600, 96
Point = tuple[float, float]  # seconds since 1970, bytes


class Sampler:
    """Remembers how much of each device's memory was in use when somebody looked."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._seen: dict[str, deque[Point]] = {}

    def sample(self, pool: str) -> Sequence[Point]:
        """Look now, unless somebody just did; what was seen within the window."""
        seen = self._seen.setdefault(pool, deque(maxlen=int(WINDOW / LEAST_STEP)))
        now = self._clock()
        if not seen or now - seen[-1][0] >= LEAST_STEP:
            free, total = devices.memory_of_name(pool)
            if free is not None and total is not None:
                seen.append((now, total - free))
        return [point for point in seen if point[0] >= now - WINDOW]


def ours(memory: MemoryManager, pool: str, now: float) -> list[Point]:
    """Bytes of models and caches on a device within the window, as steps."""
    events = memory.log()
    if not events:
        return []
    start = events[-1].wall_time - events[-1].seconds
    points: list[Point] = []
    before = 0.0
    for sample in memory.history():
        if devices.memory_pool(sample.device) != pool:
            continue
        at = start + sample.time
        if at < now - WINDOW:
            before = sample.used
            continue
        points += [(at, points[-1][1] if points else before), (at, sample.used)]
    last = points[-1][1] if points else before
    return [(now - WINDOW, before), *points, (now, last)]


def window(used: Sequence[Point], now: float) -> float:
    """Seconds to show: as long as somebody has looked, within the limits."""
    return min(WINDOW, max(LEAST_WINDOW, now - used[0][0])) if used else LEAST_WINDOW


def svg(used: Sequence[Point], own: Sequence[Point], total: int, now: float) -> str:
    """The plot; `total` bytes are its height, the right edge is `now`."""
    seconds = window(used, now)

    def place(points: Sequence[Point]) -> str:
        return " ".join(
            f"{WIDTH * (1 - (now - at) / seconds):.1f},{HEIGHT * (1 - size / total):.1f}"
            for at, size in points
        )

    area = ""
    if len(used) > 1:
        corners = place([(used[0][0], 0), *used, (used[-1][0], 0)])
        area = f"<polygon class='vv-plot-used' points='{corners}'/>"
    line = f"<polyline class='vv-plot-ours' points='{place(own)}'/>" if own else ""
    grid = "".join(
        f"<line x1='0' x2='{WIDTH}' y1='{HEIGHT * part:.0f}' y2='{HEIGHT * part:.0f}'/>"
        for part in (0.25, 0.5, 0.75)
    )
    return (
        f"<svg class='vv-plot' viewBox='0 0 {WIDTH} {HEIGHT}' preserveAspectRatio='none' "
        f"role='img' aria-label='Memory in use over time'>"
        f"<g class='vv-plot-grid'>{grid}</g>{area}{line}</svg>"
    )
