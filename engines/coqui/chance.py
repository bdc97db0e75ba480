"""The library draws from the process's own random numbers: lent to it, one at a time."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import Any

_lending = threading.Lock()
_GLANCE = 0.05  # seconds between two looks at the cancel token


@contextlib.contextmanager
def seeded(seed: int, device: str, cancel: Any) -> Iterator[None]:
    """Within, what is drawn at random follows from the seed; what others draw does not change.

    Args:
        cancel: ends the wait for another that draws.

    Raises:
        VivavoceError: the reason for which `cancel` was set.
    """
    import numpy as np
    import torch

    while not _lending.acquire(timeout=_GLANCE):
        cancel.raise_if_set()
    try:
        own = None if device == "cpu" else torch.get_device_module(torch.device(device))
        before = (
            random.getstate(),
            np.random.get_state(),
            torch.get_rng_state(),
            None if own is None else own.get_rng_state(),
        )
        try:
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
            torch.set_rng_state(before[2])
            if own is not None:
                own.set_rng_state(before[3])
    finally:
        _lending.release()
