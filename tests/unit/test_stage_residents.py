"""Bound stages under the memory manager: they leave their device when idle and come back."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from engines.api import CancelToken
from engines.errors import Cancelled
from engines.memory import MemoryManager
from engines.runtime.buckets import BucketTable
from engines.runtime.eager import EagerRuntime
from engines.runtime.padding import Padded
from engines.runtime.residents import resident
from engines.runtime.stage import Bound, MapStage
from tests import toy_stages as toy
from tests.fake_device import manager


@pytest.fixture
def memory() -> Iterator[MemoryManager]:
    made = manager(10_000_000)
    yield made
    made.close(timeout=0)


@dataclass
class Reader:
    """Reads the toys, and counts."""

    times: int = 0
    read: list[weakref.ref] = field(default_factory=list)

    def __call__(self, cancel: CancelToken | None) -> Iterable[MapStage]:
        self.times += 1
        stages = (toy.encoder(), toy.decoder())
        self.read += [weakref.ref(stage.module) for stage in stages]
        return stages


def test_on_the_cpu_they_are_dropped_and_read_again(memory: MemoryManager) -> None:
    reader, runtime = Reader(), EagerRuntime("cpu")

    def speak() -> np.ndarray:
        with memory.acquire("toy", lambda: resident(runtime, 10_000, reader)) as stages:
            assert set(stages) == {"encode", "decode"}
            return stages["decode"](**toy.frames(7))["wav"]

    first = speak()
    (info,) = memory.residents()
    weights = sum(
        parameter.nbytes
        for stage in (toy.encoder(), toy.decoder())
        for parameter in stage.module.parameters()
    )
    assert (info.bytes, info.host_bytes, info.device) == (weights, 0, "cpu")
    speak()
    assert reader.times == 1
    assert memory.unload("toy")
    gc.collect()
    assert [module() for module in reader.read] == [None, None]
    assert np.array_equal(speak(), first)
    assert reader.times == 2


def test_on_a_device_of_its_own_they_go_back_to_the_host_copy(memory: MemoryManager) -> None:
    """Torch's "meta" device stands in for a GPU: a copy back from it would fail."""
    reader, runtime = Reader(), EagerRuntime("meta", "bfloat16")
    for _ in range(2):
        with memory.acquire("toy", lambda: resident(runtime, 10_000, reader)) as stages:
            weights = [p for s in stages.values() for p in s.stage.module.parameters()]
            assert {(p.device.type, p.dtype) for p in weights} == {("meta", torch.bfloat16)}
            modules = [s.stage.module for s in stages.values()]
        assert memory.unload("toy", keep_host=True)
        weights = [p for module in modules for p in module.parameters()]
        assert {(p.device.type, p.dtype) for p in weights} == {("cpu", torch.bfloat16)}
    assert reader.times == 1


def test_parts_that_stages_share_are_held_once(memory: MemoryManager) -> None:
    module = toy.decoder().module

    def read(cancel: CancelToken | None) -> Iterable[MapStage]:
        one = toy.decoder()
        ports = (one.inputs, one.outputs, one.out_len, one.lengths)
        return [MapStage(name, module, *ports) for name in ("decode", "render")]

    with memory.acquire("toy", lambda: resident(EagerRuntime("cpu"), 1, read)):
        (info,) = memory.residents()
    assert info.bytes == sum(p.nbytes for p in module.parameters())


class Compiling:
    """A runtime that has to be warmed up."""

    device = "xla:0"
    dtype = "float32"

    def __init__(self, table: BucketTable) -> None:
        self._table = table
        self.ran: list[tuple[int, ...]] = []

    def bind(self, stage: MapStage) -> Bound:
        def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
            self.ran.append(arrays[0].shape)
            sizes = stage.out_sizes({stage.axes()[0]: arrays[0].shape[-1]})
            return [np.zeros(port.size(sizes), port.dtype) for port in stage.outputs]

        return Padded(stage, self._table, run)


def test_every_graph_is_made_ready_while_it_loads(memory: MemoryManager) -> None:
    runtime, told = Compiling(toy.TABLE), []

    def progress(name: str, graphs: int) -> None:
        told.append((name, graphs))

    made = resident(runtime, 10_000, Reader(), progress=progress)
    with memory.acquire("toy", lambda: made) as stages:
        warm = set(runtime.ran)
        stages["encode"](**toy.text(5))
        assert set(runtime.ran) == warm
    assert told == [*(("encode", n) for n in range(4)), *(("decode", n) for n in range(3, 7))]
    assert memory.residents()[0].device == "xla:0"


def test_cancelled_between_two_graphs_nothing_stays(memory: MemoryManager) -> None:
    runtime, cancel = Compiling(toy.TABLE), CancelToken()

    def progress(name: str, graphs: int) -> None:
        if graphs == 2:
            cancel.cancel()

    with pytest.raises(Cancelled):
        memory.acquire(
            "toy", lambda: resident(runtime, 1, Reader(), progress=progress), cancel=cancel
        )
    assert len(runtime.ran) == 2
    assert memory.residents() == ()
