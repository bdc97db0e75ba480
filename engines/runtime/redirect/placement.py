"""Where files are loaded to, what is autocast, what is the default device."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engines.runtime.redirect import scope
from engines.runtime.redirect.mode import mapped
from engines.runtime.redirect.names import Name, Original, within

if TYPE_CHECKING:
    import torch

_HOST = ("cpu", "meta")


def names() -> Iterator[Name]:
    import torch

    # the package has a function of that name
    parallel = importlib.import_module("torch.nn.parallel.data_parallel")

    yield within(torch.serialization, "default_restore_location", _restore)
    yield within(torch.jit, "load", _load_scripted)
    yield within(torch.storage._StorageBase, "to", _storage_to)
    yield within(torch._C._nn, "_parse_to", _parse_to)
    yield within(torch, "set_default_device", _set_default_device)
    yield within(torch, "set_default_tensor_type", _set_default_tensor_type)
    yield within(parallel, "_get_available_device_type", _parallel_over)
    yield within(torch.amp.autocast_mode.autocast, "__init__", _autocast)
    yield within(torch.amp.GradScaler, "__init__", _scaler)
    for name in ("get_autocast_dtype", "set_autocast_dtype", "is_autocast_enabled"):
        yield within(torch, name, _of_device_type)
    yield within(torch, "set_autocast_enabled", _set_autocast_enabled)
    for name in ("get_autocast_gpu_dtype", "set_autocast_gpu_dtype"):
        yield within(torch, name, _gpu_dtype)
    yield within(torch.amp, "is_autocast_available", _of_device_type)


def _restore(target: torch.device, original: Original, storage: Any, location: str) -> Any:
    """A storage that was saved on any accelerator, which need not be here."""
    on_host = str(location).partition(":")[0] in _HOST
    return original(storage, location if on_host else str(target))


def _load_scripted(
    target: torch.device,
    original: Original,
    f: Any,
    map_location: Any = None,
    *args: Any,
    **named: Any,
) -> Any:
    # torch would take an archive's constants to the device that they were saved on
    where = target if map_location is None else mapped(map_location, target)
    return original(f, where, *args, **named)


def _storage_to(target: torch.device, original: Original, self: Any, **named: Any) -> Any:
    return original(self, **{**named, "device": mapped(named.get("device"), target)})


def _parse_to(target: torch.device, original: Original, *args: Any, **named: Any) -> Any:
    """What `nn.Module.to` was asked for: device, dtype, non_blocking, memory_format."""
    if "device" in named:
        named["device"] = mapped(named["device"], target)
    return original(*(mapped(each, target) for each in args[:1]), *args[1:], **named)


def _set_default_device(target: torch.device, original: Original, device: Any) -> None:
    _restore_default_on_exit(original)
    original(mapped(device, target))


def _set_default_tensor_type(target: torch.device, original: Original, kind: Any) -> None:
    import torch

    from engines.runtime.redirect.classes import cuda_dtype

    dtype = cuda_dtype(kind)
    if dtype is None:
        original(kind)
        return
    replacement: Any = torch.set_default_device
    _restore_default_on_exit(replacement.__wrapped__)
    torch.set_default_dtype(dtype)
    torch.set_default_device(target)


def _restore_default_on_exit(set_default: Original) -> None:
    """The default device, which within a scope may be one that the code did not ask for."""
    import torch

    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    before = None if context is None else context.device
    undo = contextlib.ExitStack()
    undo.callback(set_default, before)
    entered = scope.innermost()
    assert entered is not None
    entered.undo_on_exit(undo)


def _parallel_over(target: torch.device, original: Original) -> str | None:
    return original() if target.type == "cuda" else None  # DataParallel then just calls its module


def _autocast(
    target: torch.device, original: Original, self: Any, device_type: str, *args: Any, **named: Any
) -> None:
    if device_type != "cuda" or target.type == "cuda":
        original(self, device_type, *args, **named)
    elif target.type == "meta":  # which has no autocast: nothing is computed there
        original(self, "cpu", enabled=False)
    else:
        original(self, target.type, *args, **named)


def _scaler(
    target: torch.device,
    original: Original,
    self: Any,
    device: str = "cuda",
    *args: Any,
    **named: Any,
) -> None:
    original(self, target.type if device == "cuda" else device, *args, **named)


def _of_device_type(
    target: torch.device, original: Original, device_type: str = "cuda", *args: Any
) -> Any:
    return original(target.type if device_type == "cuda" else device_type, *args)


def _set_autocast_enabled(target: torch.device, original: Original, *args: Any) -> None:
    device_type, enabled = args if len(args) == 2 else ("cuda", *args)
    original(target.type if device_type == "cuda" else device_type, enabled)


def _gpu_dtype(target: torch.device, original: Original, *dtype: Any) -> Any:
    import torch

    if target.type == "cuda":
        return original(*dtype)
    if dtype:
        return torch.set_autocast_dtype(target.type, *dtype)
    return torch.get_autocast_dtype(target.type)
