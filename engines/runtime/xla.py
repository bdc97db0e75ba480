"""Stages on torch_xla: one compiled graph for each bucket, none after the warm-up."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from engines.errors import StorageError
from engines.runtime import threads
from engines.runtime.buckets import MOST, BucketTable, combinations
from engines.runtime.eager import module_of, to_dtype
from engines.runtime.padding import Padded
from engines.runtime.sequences import BoundStep
from engines.runtime.stage import BATCH, Bound, MapStage
from engines.runtime.step import NEW, StepStage
from engines.runtime.xla_step import Compiled, XlaSteps, copy_into_larger

if TYPE_CHECKING:
    import torch

log = logging.getLogger("vivavoce.xla")

# Tracing is global state of the library: one thread at a time. It also guards the set-up below.
_tracing = threading.Lock()
_prepared = False


class XlaRuntime:
    """Compiles each stage once for every combination of its axes' buckets.

    A graph is kept by what it computes, not by whose weights it takes: a model that left the device
    and comes back compiles nothing.

    Args:
        device: "xla:0" …
        dtype: what floats are computed in; the modules' weights are brought to it.
        buckets: of every dynamic axis.
        cache: folder for compiled graphs, made and kept private; not used on the CPU, for which
            torch_xla writes such files but cannot read them.
        budget: graphs that a map stage may have; a step stage has one for each bucket.

    Attributes:
        recompiled: graphs that were compiled though their sizes had run before; 0 unless a stage's
            graph depends on values.

    Raises:
        StorageError: the cache folder cannot be made, or is not this user's.
    """

    def __init__(
        self,
        device: str,
        dtype: str = "float32",
        *,
        buckets: BucketTable,
        cache: Path,
        budget: int = MOST,
    ) -> None:
        _prepare(cache)
        self.device = device
        self.dtype = dtype
        self.recompiled = 0
        self._buckets = buckets
        self._budget = budget

    @overload
    def bind(self, stage: MapStage) -> Bound: ...
    @overload
    def bind(self, stage: StepStage) -> BoundStep: ...
    def bind(self, stage: MapStage | StepStage) -> Bound | BoundStep:
        """Move the stage's module to the device; the graphs are compiled by `warm_up`.

        Raises:
            ValueError: an axis has no buckets, or there would be more graphs than the budget.
        """
        if isinstance(stage, StepStage):
            return self._bind_steps(stage)
        graphs = len(list(combinations(stage, self._buckets)))
        if graphs > self._budget:
            raise ValueError(
                f"stage {stage.name} would need {graphs} graphs for {', '.join(stage.axes())}, "
                f"more than {self._budget}: give it fewer buckets or fewer axes"
            )
        run = self._compiled(stage, graphs)
        return Padded(stage, self._buckets, lambda arrays: run(arrays, []))

    def _bind_steps(self, stage: StepStage) -> BoundStep:
        face = stage.face()
        list(combinations(face, self._buckets))  # an axis without buckets is an error here
        rows, kept = len(self._buckets[BATCH].sizes), len(stage.sizes.sizes)
        # each has at most 8 for every number of rows, which is the bound of buckets
        step = self._compiled(face, rows * (len(self._buckets[NEW].sizes) + kept))
        copy = self._watched(f"{stage.name} growing", copy_into_larger, rows * kept, self.dtype)
        steps = XlaSteps(stage, self.device, self.dtype, step, copy)
        return BoundStep(stage, steps, self._buckets)

    def _compiled(self, stage: MapStage, graphs: int) -> Compiled:
        """A stage's module on the device, which runs compiled."""
        import torch

        module = module_of(stage).to(getattr(torch, stage.dtype(self.dtype))).eval()
        with _tracing:
            module.to(self.device)

        def trace(*inputs: torch.Tensor) -> list[torch.Tensor]:
            count = len(stage.inputs)
            scalars = [
                each if port.shape else each.reshape(())
                for each, port in zip(inputs[:count], stage.inputs, strict=True)
            ]
            # what a step gives behind its outputs is its carry, which stays on the device
            outputs = module(*scalars, *inputs[count:])[: len(stage.outputs)]
            return [
                each.to(getattr(torch, port.dtype))
                for each, port in zip(outputs, stage.outputs, strict=True)
            ]

        return self._watched(stage.name, trace, graphs, stage.dtype(self.dtype))

    def _watched(
        self,
        name: str,
        trace: Callable[..., list[torch.Tensor]],
        graphs: int,
        dtype: str,
    ) -> Compiled:
        """Runs a function compiled, and says when that compiles."""
        import torch
        import torch_xla

        def own(*inputs: torch.Tensor) -> list[torch.Tensor]:
            return trace(*inputs)  # graphs are counted by function, and several stages share one

        compiled = torch_xla.compile(own, full_graph=True, name=name, max_different_graphs=graphs)
        seen: set[tuple[tuple[int, ...], ...]] = set()

        def run(arrays: list[np.ndarray], kept: list[torch.Tensor]) -> list[np.ndarray]:
            shapes = (*(each.shape for each in arrays), *(tuple(each.shape) for each in kept))
            with _tracing, torch.no_grad():
                start, before = time.perf_counter(), compile_count()
                # a scalar of value 0 or 1 would become part of the graph, an array never does
                inputs = (torch.from_numpy(np.atleast_1d(array)) for array in arrays)
                sent = [to_dtype(each, dtype).to(self.device) for each in inputs]
                outputs = compiled(*sent, *kept)
                fresh = compile_count() - before
                results = [each.cpu().numpy() for each in outputs]  # waits here
            sizes = shapes[: len(arrays)] or shapes
            if fresh and shapes in seen:
                self.recompiled += fresh
                log.error("%s was compiled again at %s: it depends on values", name, sizes)
            elif fresh:
                log.info("%s at %s: %.1f s", name, sizes, time.perf_counter() - start)
            seen.add(shapes)
            return results

        return run


def compile_count() -> int:
    """Graphs that this process has compiled so far."""
    import torch_xla.debug.metrics as metrics

    data = metrics.metric_data("CompileTime")
    return 0 if data is None else int(data[0])


def _prepare(cache: Path) -> None:
    """Give torch_xla its threads and its cache, once, before it looks at its device."""
    global _prepared
    with _tracing:
        if _prepared:
            return
        import torch_xla.runtime

        # what XLA's CPU client reads when it starts; it would take every core of the host
        os.environ.setdefault("NPROC", str(threads.count()))
        # asked by name: to ask the library would start the device, too early for a cache
        if os.environ.get("PJRT_DEVICE", "").upper() == "CPU":
            log.info("compiled graphs are not kept: torch_xla cannot read them back on the CPU")
        else:
            _make_private(cache)
            torch_xla.runtime.initialize_cache(str(cache), readonly=False)
        _prepared = True


def _make_private(folder: Path) -> None:
    """A folder of this user alone: what lies in it is run."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
            raise PermissionError("it belongs to somebody else or is a link")
        folder.chmod(0o700)
    except OSError as error:
        raise StorageError(
            f"The folder {folder} for compiled graphs cannot be used: {error}.",
            "It has to be a folder of this user alone.",
            "Remove it or correct its rights.",
        ) from error
