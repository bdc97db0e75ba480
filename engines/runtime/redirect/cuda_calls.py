"""`torch.cuda` as seen from within a scope: one device, which is the target."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from engines.runtime.redirect.mode import mapped
from engines.runtime.redirect.names import Name, Original, within
from engines.runtime.redirect.streams import Stream, wait_for

if TYPE_CHECKING:
    import torch

_NOTHING = (  # what need not be done elsewhere
    *("init", "ipc_collect", "set_stream", "set_device", "set_per_process_memory_fraction"),
    *("reset_peak_memory_stats", "reset_max_memory_allocated", "reset_max_memory_cached"),
    *("reset_accumulated_memory_stats", "reset_peak_host_memory_stats"),
    *("reset_accumulated_host_memory_stats", "set_sync_debug_mode"),
)
_TAKE_NUMBERS = ("manual_seed", "manual_seed_all", "set_sync_debug_mode")  # that are no devices
_ALLOCATED = (
    *("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved"),
    *("memory_cached", "max_memory_cached"),
)
_ANSWERS: dict[str, Any] = {
    "is_available": True,
    "is_initialized": True,
    "device_count": 1,
    "current_device": 0,
    # no compute capability: code that asks for one takes its simplest path
    "get_device_capability": (0, 0),
    "is_tf32_supported": False,
    "is_current_stream_capturing": False,
    "can_device_access_peer": False,
    "get_sync_debug_mode": 0,
    "get_arch_list": [],
    "memory_stats": {},
    "memory_summary": "",
    "memory_snapshot": [],
}


def names() -> Iterator[Name]:
    import torch

    cuda = torch.cuda
    for name in _NOTHING:
        yield within(cuda, name, _set_device if name == "set_device" else _answer(None))
    for name, value in _ANSWERS.items():
        yield within(cuda, name, _answer(value))
    for name in _ALLOCATED:
        yield within(cuda, name, _or_elsewhere(_allocated))
    for name, instead in {
        "synchronize": _synchronize,
        "empty_cache": _empty_cache,
        "mem_get_info": _free_and_total,
        "get_device_name": lambda target: target.type,
        "get_device_properties": _properties,
        "is_bf16_supported": _has_bfloat16,
        "current_stream": Stream,
        "default_stream": Stream,
        "manual_seed": _manual_seed,
        "manual_seed_all": _manual_seed,
        "seed": _seed,
        "seed_all": _seed,
        "initial_seed": _initial_seed,
        "get_rng_state": _rng_state,
        "get_rng_state_all": lambda target: [_rng_state(target)],
        "set_rng_state": _set_rng_state,
        "set_rng_state_all": lambda target, states: _set_rng_state(target, states[0]),
    }.items():
        yield within(cuda, name, _or_elsewhere(instead))
    yield within(cuda, "stream", _stream)
    for name, value in {"range_push": 0, "range_pop": 0, "mark": None}.items():
        yield within(cuda.nvtx, name, _answer(value))


def _answer(value: Any) -> Any:
    def instead(target: torch.device, original: Original, *args: Any, **named: Any) -> Any:
        if target.type == "cuda":
            return original(*_on(target, original, args), **_named_on(target, named))
        return value.copy() if isinstance(value, (list, dict)) else value

    return instead


def _or_elsewhere(elsewhere: Any) -> Any:
    """On a GPU the function itself, with the target for a device; else `elsewhere(target, …)`,
    which takes the arguments that are no device."""

    def instead(target: torch.device, original: Original, *args: Any, **named: Any) -> Any:
        if target.type == "cuda":
            return original(*_on(target, original, args), **_named_on(target, named))
        named.pop("device", None)
        takes = elsewhere.__code__.co_argcount - 1 if hasattr(elsewhere, "__code__") else 0
        return elsewhere(target, *args[:takes], **named)

    return instead


def _on(target: torch.device, original: Original, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Positional arguments, the target for every device among them."""
    if original.__name__ in _TAKE_NUMBERS:
        return args
    return tuple(mapped(each, target) for each in args)


def _named_on(target: torch.device, named: dict[str, Any]) -> dict[str, Any]:
    return {k: mapped(v, target) if k == "device" else v for k, v in named.items()}


def _set_device(target: torch.device, original: Original, device: Any) -> None:
    """The scope's device is the current one already, whichever was asked for."""


def _stream(target: torch.device, original: Original, stream: Any) -> Any:
    return original(stream) if target.type == "cuda" else contextlib.nullcontext(stream)


def _synchronize(target: torch.device) -> None:
    wait_for(target)


def _empty_cache(target: torch.device) -> None:
    import torch

    if target.type not in ("cpu", "meta"):
        torch.get_device_module(target).empty_cache()


def _allocated(target: torch.device) -> int:
    """Bytes; the CPU's allocations are not counted by torch."""
    import torch

    return torch.mps.current_allocated_memory() if target.type == "mps" else 0


def _free_and_total(target: torch.device) -> tuple[int, int]:
    """Bytes; of a device without memory of its own, the host's."""
    from engines.runtime.device import memory_of_name

    free, total = memory_of_name(target.type if target.type in ("cpu", "mps") else "cpu")
    return free or 0, total or 0


def _properties(target: torch.device) -> SimpleNamespace:
    return SimpleNamespace(
        name=target.type,
        major=0,
        minor=0,
        total_memory=_free_and_total(target)[1],
        multi_processor_count=1,
        warp_size=1,
    )


def _has_bfloat16(target: torch.device) -> bool:
    import torch

    return target.type != "mps" or torch.backends.mps.is_macos_or_newer(14, 0)


def _manual_seed(target: torch.device, seed: int) -> None:
    import torch

    if target.type == "mps":
        torch.mps.manual_seed(int(seed))
    else:
        torch.default_generator.manual_seed(int(seed))


def _seed(target: torch.device) -> None:
    import torch

    if target.type == "mps":
        torch.mps.seed()
    else:
        torch.default_generator.seed()


def _initial_seed(target: torch.device) -> int:
    import torch

    generator = torch.mps._get_default_mps_generator() if target.type == "mps" else None
    return (generator or torch.default_generator).initial_seed()


def _rng_state(target: torch.device) -> torch.Tensor:
    import torch

    return torch.mps.get_rng_state() if target.type == "mps" else torch.get_rng_state()


def _set_rng_state(target: torch.device, new_state: torch.Tensor) -> None:
    import torch

    (torch.mps.set_rng_state if target.type == "mps" else torch.set_rng_state)(new_state)
