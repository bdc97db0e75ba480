"""Classes of torch that make things on a device: generators, streams, events, tensor types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from engines.runtime.redirect.mode import mapped
from engines.runtime.redirect.names import Name, Original, within
from engines.runtime.redirect.scope import target as current_target
from engines.runtime.redirect.streams import Event, Stream

if TYPE_CHECKING:
    import torch

Make = Callable[..., Any]  # (target, original, *args, **kwargs)

TENSOR_TYPES = {
    "FloatTensor": "float32",
    "DoubleTensor": "float64",
    "HalfTensor": "float16",
    "BFloat16Tensor": "bfloat16",
    "ByteTensor": "uint8",
    "CharTensor": "int8",
    "ShortTensor": "int16",
    "IntTensor": "int32",
    "LongTensor": "int64",
    "BoolTensor": "bool",
}


def names() -> Iterator[Name]:
    import torch

    yield within(torch.cuda.Stream, "__new__", _cuda_stream)
    yield within(torch.cuda.Event, "__new__", _cuda_event)
    yield within(torch.cuda.device, "__init__", _cuda_device)
    # not through torch's dispatch, which first takes a stream for one of its own
    yield within(torch.Tensor, "record_stream", _record_stream)
    yield Name(torch, "Generator", lambda held: _stand_in(held, _generator))
    yield Name(torch, "Stream", lambda held: _stand_in(held, _stream))
    yield Name(torch, "Event", lambda held: _stand_in(held, _event))
    for name in TENSOR_TYPES:
        yield Name(torch.cuda, name, lambda held: _stand_in(held, _tensor, _is_tensor))


def cuda_dtype(kind: Any) -> torch.dtype | None:
    """The dtype of one of CUDA's tensor types, such as "torch.cuda.FloatTensor"; None for any
    other argument of `Tensor.type`."""
    import torch

    text = (
        kind
        if isinstance(kind, str)
        else f"{kind.__module__}.{kind.__name__}"
        if isinstance(kind, type)
        else ""
    )
    module, _, name = text.rpartition(".")
    if module != "torch.cuda" or name not in TENSOR_TYPES:
        return None
    found = getattr(torch, TENSOR_TYPES[name])
    assert isinstance(found, torch.dtype)
    return found


class _Mirror(type):
    """A class that stands where a compiled one stood, which Python cannot change."""

    original: Any
    is_instance: Callable[[Any, Any], bool]

    def __instancecheck__(cls, thing: Any) -> bool:
        return cls.is_instance(cls.original, thing)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return issubclass(kind, cls.original)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.original, name)


def _stand_in(
    original: Any, make: Make, is_instance: Callable[[Any, Any], bool] | None = None
) -> type:
    def new(_cls: type, *args: Any, **named: Any) -> Any:
        where = current_target()
        return original(*args, **named) if where is None else make(where, original, *args, **named)

    return _Mirror(
        original.__name__,
        (),
        {
            "__new__": new,
            "__module__": original.__module__,
            "__doc__": original.__doc__,
            "original": original,
            "is_instance": staticmethod(
                is_instance or (lambda kind, thing: isinstance(thing, kind))
            ),
        },
    )


def _generator(target: torch.device, original: Original, device: Any = "cpu") -> Any:
    return original(mapped(device, target))


def _stream(target: torch.device, original: Original, device: Any = "cuda", **named: Any) -> Any:
    where = mapped(device, target)
    if _on_accelerator(where):
        return original(where, **named)
    return Stream(where)


def _event(target: torch.device, original: Original, device: Any = "cuda", **named: Any) -> Any:
    where = mapped(device, target)
    return original(where, **named) if _on_accelerator(where) else Event(target)


def _on_accelerator(device: Any) -> bool:
    return str(device).partition(":")[0] not in ("cpu", "meta")


def _cuda_stream(
    target: torch.device,
    original: Original,
    cls: type,
    device: Any = None,
    *args: Any,
    **named: Any,
) -> Any:
    if target.type == "cuda":
        return original(cls, target if device is not None else None, *args, **named)
    return Stream(target)


def _cuda_event(
    target: torch.device, original: Original, cls: type, *args: Any, **named: Any
) -> Any:
    return original(cls, *args, **named) if target.type == "cuda" else Event(target)


def _cuda_device(target: torch.device, original: Original, self: Any, device: Any) -> None:
    """`with torch.cuda.device(1)`: a negative number is no GPU and changes nothing."""
    none = device is None or (isinstance(device, int) and device < 0)
    original(self, target if target.type == "cuda" and not none else -1)


def _record_stream(target: torch.device, original: Original, self: Any, stream: Any) -> None:
    if target.type == "cuda":
        original(self, stream)


def _tensor(target: torch.device, original: Any, *args: Any) -> Any:
    import torch

    return getattr(torch, original.__name__)(*args).to(target)


def _is_tensor(original: Any, thing: Any) -> bool:
    import torch

    where = current_target()
    if where is None:
        return isinstance(thing, original)
    dtype = getattr(torch, TENSOR_TYPES[original.__name__])
    return (
        isinstance(thing, torch.Tensor) and thing.dtype == dtype and thing.device.type == where.type
    )
