"""What is caught where torch dispatches: factory functions, and methods of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from engines.runtime.redirect import scope

if TYPE_CHECKING:
    import torch
    from torch.overrides import TorchFunctionMode

Handler = Callable[["torch.device", tuple[Any, ...], dict[str, Any]], Any]


def mapped(device: Any, target: torch.device) -> Any:
    """A device as torch takes it: `target` for one of CUDA's and for a bare number, any other
    one as it is."""
    import torch

    if isinstance(device, torch.device):
        return target if device.type == "cuda" else device
    if isinstance(device, str):
        return target if device.partition(":")[0] == "cuda" else device
    if isinstance(device, int) and not isinstance(device, bool):
        return target
    return device


def mode_for(entered: scope.redirect) -> TorchFunctionMode:
    make: Any = _mode_class()
    return make(entered)


@cache
def _mode_class() -> type[TorchFunctionMode]:
    import torch
    from torch.overrides import TorchFunctionMode

    handlers = _handlers()

    class Redirected(TorchFunctionMode):
        def __init__(self, entered: scope.redirect) -> None:
            super().__init__()
            self._scope = entered

        def __torch_function__(
            self,
            func: Any,
            types: Any,
            args: tuple[Any, ...] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            named = dict(kwargs) if kwargs else {}
            if scope.innermost() is not self._scope:
                return func(*args, **named)
            if self._scope.watch is not None:
                self._scope.watch()
            target = self._scope.target
            handler = handlers.get(func)
            if handler is not None:
                return handler(target, args, named)
            if named:
                if named.get("device") is not None:
                    named["device"] = mapped(named["device"], target)
                if named.get("pin_memory") and target.type != "cuda":
                    named["pin_memory"] = False
            if any(type(each) is torch.device for each in args):
                args = tuple(
                    mapped(each, target) if type(each) is torch.device else each for each in args
                )
            return func(*args, **named)

    return Redirected


def _handlers() -> dict[Any, Handler]:
    """Methods of which more than a `device=` has to be looked at."""
    import torch

    tensor = torch.Tensor

    def to(target: torch.device, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if named.get("device") is not None:
            named["device"] = mapped(named["device"], target)
        return tensor.to(
            *args[:1], *(mapped(each, target) for each in args[1:2]), *args[2:], **named
        )

    def cuda(target: torch.device, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        named.pop("device", None)
        if len(args) > 2:  # (tensor, device, non_blocking)
            named["non_blocking"] = args[2]
        return tensor.to(args[0], target, **named)

    def kind(target: torch.device, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        from engines.runtime.redirect.classes import cuda_dtype

        wanted = args[1] if len(args) > 1 else named.get("dtype")
        dtype = cuda_dtype(wanted)
        return tensor.type(*args, **named) if dtype is None else args[0].to(target, dtype)

    def pin_memory(target: torch.device, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return tensor.pin_memory(*args, **named) if target.type == "cuda" else args[0]

    return {
        tensor.to: to,
        tensor.cuda: cuda,
        tensor.type: kind,
        tensor.pin_memory: pin_memory,
    }
