"""What can be resident: the protocol, whatever is reloaded from its file, and torch modules."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    import torch

    from engines.api import CancelToken

log = logging.getLogger("vivavoce.memory")

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Kind = Literal["weights", "kv_cache", "voice_prompt"]
Eviction = Literal["offload", "drop"]

# There a second copy would take the same memory again, or cannot be kept: reload from the file.
DROPPED_ON = ("cpu", "mps", "xla", "onnx")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of a resident: on its device, of the copy kept in host memory, of captured graphs."""

    device: int = 0
    host: int = 0
    graphs: int = 0


class Resident(Protocol[T_co]):
    """Something that takes memory on a device while it is used, and can leave it.

    The manager calls `load`, `offload` and `drop` of one resident one after the other, never
    while its lock is held. `offload` and `drop` may follow a `load` that failed midway, and each
    other; they must leave nothing on the device then too.
    """

    @property
    def kind(self) -> Kind: ...

    @property
    def device(self) -> str:
        """A canonical device name (`DeviceSpec.name`)."""
        ...

    @property
    def eviction(self) -> Eviction:
        """How it leaves its device: "offload" keeps a host copy, "drop" keeps nothing."""
        ...

    def footprint(self) -> Footprint:
        """An upper estimate before the first `load`, exact afterwards; `graphs` stays 0."""
        ...

    def load(self, cancel: CancelToken | None) -> T_co:
        """Bring it to its device and return what a lease hands out.

        Raises:
            VivavoceError: also when `cancel` is set while it loads.
        """
        ...

    def offload(self) -> None:
        """Drop the device copy, keep the host copy. Called where `eviction` is "offload"."""
        ...

    def drop(self) -> None:
        """Let go of everything."""
        ...


def retreat(resident: Resident, *, keep_host: bool) -> bool:
    """Take a resident back to its host copy, or to nothing; False where that failed."""
    try:
        (resident.offload if keep_host else resident.drop)()
    except Exception:
        log.exception("a resident could not be taken off %s", resident.device)
        return False
    return True


class Reloadable(Generic[T]):
    """A resident that is made anew each time: ONNX Runtime sessions, XLA models, KV buffers.

    Args:
        device: canonical device name.
        nbytes: bytes that it takes there.
        make: makes it; is handed the acquirer's cancel token.
        kind: what it is, for the Devices page.
        close: called with the value before it is let go, where dropping the reference is not
            enough.
    """

    eviction: Eviction = "drop"

    def __init__(
        self,
        device: str,
        nbytes: int,
        make: Callable[[CancelToken | None], T],
        *,
        kind: Kind = "weights",
        close: Callable[[T], None] | None = None,
    ) -> None:
        self.device = device
        self.kind = kind
        self._nbytes = nbytes
        self._make = make
        self._close = close
        self._held: list[T] = []

    def footprint(self) -> Footprint:
        return Footprint(device=self._nbytes)

    def load(self, cancel: CancelToken | None) -> T:
        self._held = [self._make(cancel)]
        return self._held[0]

    def drop(self) -> None:
        while self._held:
            value = self._held.pop()
            if self._close is not None:
                self._close(value)

    offload = drop


class TorchModule:
    """A torch module for inference, built on the CPU and used on a device.

    On a GPU with memory of its own the CPU tensors stay as the copy to come back from: they are
    never written, so that leaving the device copies nothing. Elsewhere the module is dropped and
    built again.

    Args:
        device: canonical device name, which torch understands too.
        nbytes: upper estimate of its parameters and buffers, such as the checkpoint's size.
        build: reads it from its file, on the CPU, in the dtype it is used in.
        pin: keep the CPU copy in page-locked memory, from which a GPU loads several times faster.
    """

    kind: Kind = "weights"

    def __init__(
        self,
        device: str,
        nbytes: int,
        build: Callable[[CancelToken | None], torch.nn.Module],
        *,
        pin: bool = False,
    ) -> None:
        self.device = device
        self.eviction: Eviction = "drop" if device.split(":")[0] in DROPPED_ON else "offload"
        self._nbytes = nbytes
        self._build = build
        self._pin = pin and self.eviction == "offload"
        self._module: torch.nn.Module | None = None
        self._host: list[_HostCopy] = []

    def footprint(self) -> Footprint:
        return Footprint(self._nbytes, self._nbytes if self.eviction == "offload" else 0)

    def load(self, cancel: CancelToken | None) -> torch.nn.Module:
        if self._module is None:
            module = self._build(cancel).eval().requires_grad_(False)
            self._nbytes = _unique_bytes(module)
            if self.eviction == "offload":
                self._host = _host_copies(module, self._pin)
            self._module = module
        # leaves first, so that a cancelled request need not wait for the whole model
        for part in reversed(list(self._module.modules())):
            if cancel is not None:
                cancel.raise_if_set()
            part.to(self.device, non_blocking=self._pin)
        return self._module

    def offload(self) -> None:
        self._restore_host()
        _empty_cache(self.device)

    def drop(self) -> None:
        self._module = None
        self._host = []
        _empty_cache(self.device)

    def _restore_host(self) -> None:
        from torch import nn

        parameters: dict[int, nn.Parameter] = {}  # tied weights stay tied
        for copy in self._host:
            tensor = copy.tensor
            if copy.parameter:
                fresh = nn.Parameter(tensor, requires_grad=False)
                tensor = parameters.setdefault(id(tensor), fresh)
            setattr(copy.owner, copy.name, tensor)


@dataclass(frozen=True, slots=True)
class _HostCopy:
    """A parameter's or buffer's CPU tensor and where in the module it belongs."""

    owner: torch.nn.Module
    name: str
    tensor: torch.Tensor
    parameter: bool


def _host_copies(module: torch.nn.Module, pin: bool) -> list[_HostCopy]:
    from torch import nn

    hosts: dict[int, torch.Tensor] = {}

    def host_of(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in hosts:
            data = tensor.detach()
            hosts[id(tensor)] = data.pin_memory() if pin else data
        return hosts[id(tensor)]

    return [
        _HostCopy(owner, name, host_of(tensor), isinstance(tensor, nn.Parameter))
        for owner in module.modules()
        for named in (
            owner.named_parameters(recurse=False, remove_duplicate=False),
            owner.named_buffers(recurse=False, remove_duplicate=False),
        )
        for name, tensor in named
    ]


def _unique_bytes(module: torch.nn.Module) -> int:
    storages = {}
    for tensors in (module.parameters(), module.buffers()):
        for tensor in tensors:
            if tensor.is_mkldnn:  # in oneDNN's own order, behind no storage of torch's
                storages[id(tensor)] = tensor.numel() * tensor.element_size()
            else:
                storage = tensor.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def _empty_cache(device: str) -> None:
    """Hand freed blocks back to the driver: other libraries and our own figures look there."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
    elif device == "mps":
        import torch

        torch.mps.empty_cache()
