"""Single modules as stages of their own, and stages that are bound when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from engines.runtime.stage import Bound, MapStage, Port
from tests.parity.replay import Arrays, Case
from tests.parity.runtimes import Runtime


class Part(nn.Module):
    """A part of a model behind the calling convention of stages."""

    def __init__(self, owner: nn.Module, call: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self.owner = owner
        self._call = call

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        found = self._call(self.owner, *inputs) if self._call else self.owner(*inputs)
        return found if isinstance(found, tuple) else (found,)


class Chosen(nn.Module):
    """Some of what a module returns."""

    def __init__(self, owner: nn.Module, kept: Sequence[int]) -> None:
        super().__init__()
        self.owner = owner
        self._kept = tuple(kept)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        found = self.owner(*inputs)
        return tuple(found[index] for index in self._kept)


class Parts:
    """Runs modules on a runtime. Each is bound once for cases of the same sizes and variant."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._bound: dict[object, Bound] = {}

    def run(
        self, case: Case, module: nn.Module, inputs: Arrays, *names: str, variant: object = None
    ) -> Arrays:
        """One module as a stage whose every axis has the size of the case.

        Args:
            names: of what the module returns, in its order; those are kept that the case expects.
        """
        ports = tuple(Port(key, str(each.dtype), each.shape) for key, each in inputs.items())
        kept = [index for index, name in enumerate(names) if name in case.expected]
        expected = {names[index]: case.expected[names[index]] for index in kept}
        outputs = tuple(Port(name, str(each.dtype), each.shape) for name, each in expected.items())
        key = (case.checkpoint, case.stage, ports, outputs, variant)
        if key not in self._bound:
            name = case.stage.replace(".", "_")
            chosen = module if len(kept) == len(names) else Chosen(module, kept)
            self._bound[key] = self._runtime.bind(MapStage(name, chosen, ports, outputs))
        return self._bound[key](**inputs)


class Lazy(dict[str, Bound]):
    """Stages that are bound when first asked for."""

    def __init__(self, bind: Callable[[str], Bound]) -> None:
        super().__init__()
        self._bind = bind

    def __missing__(self, stage: str) -> Bound:
        self[stage] = self._bind(stage)
        return self[stage]
