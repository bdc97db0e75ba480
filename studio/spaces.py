"""Hugging Face's ZeroGPU: work on CUDA runs inside a function that `spaces.GPU` has wrapped.

The package exists on Spaces only. It looks for wrapped functions when the program starts, so the
wrapping happens at import; elsewhere the function stays as it is. What passes into the function
travels to a forked process, so the engine is named there instead of sent.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

from engines.api import AudioChunk, Engine

_engines: dict[str, Engine] = {}


def _gpu_task(function: Callable[..., Any]) -> Callable[..., Any]:
    if importlib.util.find_spec("spaces") is None:
        return function
    import spaces

    return spaces.GPU(function)


@_gpu_task
def _speak_on_gpu(engine: str, *args: Any, **kwargs: Any) -> Iterator[AudioChunk]:
    yield from _engines[engine].speak(*args, **kwargs)


def speak(engine: Engine, *args: Any, device: str, **kwargs: Any) -> Iterator[AudioChunk]:
    """`engine.speak`, inside a lent GPU where the machine lends them by the call."""
    if not device.startswith("cuda"):
        return engine.speak(*args, device=device, **kwargs)
    _engines[engine.capability.name] = engine
    return _speak_on_gpu(engine.capability.name, *args, device=device, **kwargs)
