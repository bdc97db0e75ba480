"""Hugging Face's ZeroGPU: work on CUDA runs inside a function that `spaces.GPU` has wrapped.

The package exists on Spaces only. It looks for wrapped functions when the program starts, so the
wrapping happens at import; elsewhere the function stays as it is.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

from engines.api import AudioChunk, Engine


def _gpu_task(function: Callable[..., Any]) -> Callable[..., Any]:
    if importlib.util.find_spec("spaces") is None:
        return function
    import spaces

    return spaces.GPU(function)


@_gpu_task
def _speak_on_gpu(engine: Engine, *args: Any, **kwargs: Any) -> Iterator[AudioChunk]:
    yield from engine.speak(*args, **kwargs)


def speak(engine: Engine, *args: Any, device: str, **kwargs: Any) -> Iterator[AudioChunk]:
    """`engine.speak`, inside a lent GPU where the machine lends them by the call."""
    if device.startswith("cuda"):
        return _speak_on_gpu(engine, *args, device=device, **kwargs)
    return engine.speak(*args, device=device, **kwargs)
