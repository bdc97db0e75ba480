"""What stands for CUDA's streams and events on a device that works in one order anyway."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def wait_for(device: torch.device) -> None:
    """Until all that was given to a device is done."""
    import torch

    if device.type not in ("cpu", "meta"):
        torch.get_device_module(device).synchronize()


class Stream:
    """The one stream of a device."""

    stream_id = 0
    cuda_stream = 0
    priority = 0

    def __init__(self, device: Any) -> None:
        import torch

        self.device = torch.device(device)
        self.device_index = self.device.index or 0

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # isinstance(stream, torch.cuda.Stream)
        import torch

        return torch.cuda.Stream

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        wait_for(self.device)

    def wait_stream(self, stream: Any) -> None:
        pass

    def wait_event(self, event: Any) -> None:
        pass

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event(self.device)
        event.record(self)
        return event

    def __eq__(self, other: object) -> bool:
        return type(other) is Stream and other.device == self.device

    def __hash__(self) -> int:
        return hash(self.device)


class Event:
    """A moment in a device's work, measured by the host's clock."""

    cuda_event = 0
    event_id = 0

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._at: int | None = None  # ns

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        import torch

        return torch.cuda.Event

    def record(self, stream: Any = None) -> None:  # noqa: ARG002 - there is one stream only
        wait_for(self.device)
        self._at = time.perf_counter_ns()

    def wait(self, stream: Any = None) -> None:
        pass

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        wait_for(self.device)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to a later one."""
        if self._at is None or end_event._at is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        return (end_event._at - self._at) / 1e6
