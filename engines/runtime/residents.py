"""How a family's bound stages are held by the memory manager."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engines.memory.resident import Eviction, Footprint, Kind, Reloadable, Resident, TorchModule
from engines.runtime.eager import EagerRuntime, module_of
from engines.runtime.stage import MapStage, Runtime
from engines.runtime.step import StepStage

if TYPE_CHECKING:
    from torch import nn

    from engines.api import CancelToken

# By the stage's name: a Bound, or the BoundStep of a step stage.
BoundStages = Mapping[str, Any]
ReadStages = Callable[["CancelToken | None"], Iterable["MapStage | StepStage"]]
Progress = Callable[[str, int], None]  # what is being made ready, how many graphs so far


def resident(
    runtime: Runtime, nbytes: int, read: ReadStages, *, progress: Progress | None = None
) -> Resident[BoundStages]:
    """A family's stages on a runtime, as something to lease:

        key = f"{release} on {runtime.device} in {runtime.dtype}"
        with memory.acquire(key, lambda: resident(runtime, nbytes, read), cancel=cancel) as stages:
            m = stages["encode"](ids=ids, noise=noise)["m"]

    Torch on a GPU of its own memory goes back to a host copy when idle; everything else is let go
    and read again.

    Args:
        nbytes: upper estimate of the weights, such as the checkpoint's size.
        read: reads the stages, their modules on the CPU; or, for ONNX Runtime, the declarations.
        progress: told before the first and after every graph that is compiled ahead of use.
    """
    if isinstance(runtime, EagerRuntime):
        return _EagerStages(runtime, nbytes, read)

    def make(cancel: CancelToken | None) -> BoundStages:
        bound = {stage.name: runtime.bind(stage) for stage in read(cancel)}
        graphs = 0
        for name, stage in bound.items():
            if progress is not None:
                progress(name, graphs)
            for _ in stage.warm_up():
                graphs += 1
                if progress is not None:
                    progress(name, graphs)
                if cancel is not None:
                    cancel.raise_if_set()
        return bound

    return Reloadable(runtime.device, nbytes, make)


class _EagerStages:
    """Modules of all stages as one torch module, shared parts of them held once."""

    kind: Kind = "weights"

    def __init__(self, runtime: EagerRuntime, nbytes: int, read: ReadStages) -> None:
        self._runtime = runtime
        self._read = read
        self._stages: tuple[MapStage | StepStage, ...] = ()
        self._modules = TorchModule(runtime.device, nbytes, self._build)

    @property
    def device(self) -> str:
        return self._modules.device

    @property
    def eviction(self) -> Eviction:
        return self._modules.eviction

    def footprint(self) -> Footprint:
        return self._modules.footprint()

    def load(self, cancel: CancelToken | None) -> BoundStages:
        self._modules.load(cancel)
        return {stage.name: self._runtime.bind(stage) for stage in self._stages}

    def offload(self) -> None:
        self._modules.offload()

    def drop(self) -> None:
        self._stages = ()
        self._modules.drop()

    def _build(self, cancel: CancelToken | None) -> nn.Module:
        import torch

        self._stages = tuple(self._read(cancel))
        # in its dtype already here, so that the host copy takes no more than the device's
        return torch.nn.ModuleDict(
            {
                stage.name: module_of(stage).to(getattr(torch, stage.dtype(self._runtime.dtype)))
                for stage in self._stages
            }
        )
