"""Stages on torch_xla: what the CPU computes, from graphs that are all compiled by the warm-up."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_xla.runtime

from engines.errors import StorageError
from engines.memory import MemoryManager
from engines.runtime import threads, xla
from engines.runtime.buckets import MOST, Buckets, TooLong, geometric
from engines.runtime.eager import EagerRuntime
from engines.runtime.residents import resident
from engines.runtime.stage import Bound, MapStage, Port
from engines.runtime.xla import XlaRuntime, compile_count
from tests import toy_stages as toy

pytestmark = pytest.mark.timeout(300)

Inputs = Callable[[int], Mapping[str, np.ndarray]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house") / "xla"


@pytest.fixture(scope="module")
def runtime(cache: Path) -> XlaRuntime:
    return XlaRuntime("xla:0", buckets=toy.TABLE, cache=cache)


@pytest.fixture(scope="module")
def bound(runtime: XlaRuntime) -> Mapping[str, Bound]:
    """Both toys, warm."""
    made = {stage.name: runtime.bind(stage) for stage in (toy.encoder(), toy.decoder())}
    for each in made.values():
        before = compile_count()
        sizes = list(each.warm_up())
        assert len(sizes) == 3
        assert compile_count() - before == len(sizes), "one graph for each bucket"
    return made


@pytest.fixture(autouse=True)
def nothing_compiles_twice(runtime: XlaRuntime) -> Iterator[None]:
    yield
    assert runtime.recompiled == 0


@pytest.mark.parametrize(
    ("stage", "inputs"),
    [
        pytest.param(toy.encoder(), toy.text, id="encode"),
        pytest.param(toy.decoder(), toy.frames, id="decode"),
    ],
)
def test_every_bucket_computes_what_torch_does(
    stage: MapStage, inputs: Inputs, bound: Mapping[str, Bound]
) -> None:
    exact = EagerRuntime("cpu").bind(stage)
    for length in (1, 2, 7, 8, 9, 12, 13, 18):
        expected, made = exact(**inputs(length)), bound[stage.name](**inputs(length))
        for name, reference in expected.items():
            assert made[name].dtype == reference.dtype
            np.testing.assert_allclose(made[name], reference, rtol=1e-4, atol=1e-5)


def test_nothing_is_compiled_after_the_warm_up(bound: Mapping[str, Bound]) -> None:
    """200 sentences of every length, with scalars of every kind: 0 and 1 must be no constants."""
    before = compile_count()
    for i in range(200):
        sentence = {**toy.text(1 + i % 18, seed=i), "noise_scale": (0.0, 1.0, 0.667, -1.0)[i % 4]}
        made = bound["encode"](**sentence)
        z = np.repeat(made["m"], 2, axis=2)
        wav = bound["decode"](z=z)["wav"]
        assert wav.shape[-1] == toy.HOP * z.shape[-1]
    assert compile_count() == before


def test_longer_than_every_bucket_is_refused_and_not_compiled(bound: Mapping[str, Bound]) -> None:
    before = compile_count()
    assert bound["encode"].longest("T_text") == 18
    with pytest.raises(TooLong, match="At most 18"):
        bound["encode"](**toy.text(19))
    assert compile_count() == before


def test_threads_take_turns(bound: Mapping[str, Bound]) -> None:
    expected = [bound["decode"](**toy.frames(n))["wav"] for n in range(1, 13)]
    made: list[np.ndarray | None] = [None] * 12

    def work(index: int) -> None:
        made[index] = bound["decode"](**toy.frames(index + 1))["wav"]

    workers = [threading.Thread(target=work, args=(index,)) for index in range(12)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for one, other in zip(expected, made, strict=True):
        assert np.array_equal(one, other)


def test_it_has_the_threads_of_every_runtime(runtime: XlaRuntime) -> None:
    assert os.environ["NPROC"] == str(threads.count())


def test_coming_back_compiles_nothing(runtime: XlaRuntime) -> None:
    memory = MemoryManager(idle_ttl=1e9)

    def speak(seed: int) -> np.ndarray:
        def read(_: object) -> list[MapStage]:
            return [toy.decoder(seed)]

        with memory.acquire(f"toy {seed}", lambda: resident(runtime, 10_000, read)) as stages:
            return stages["decode"](**toy.frames(20))["wav"]

    first = speak(5)
    before = compile_count()
    assert memory.unload("toy 5")
    assert np.array_equal(speak(5), first)
    assert not np.array_equal(speak(6), first), "weights are no part of a graph"
    assert compile_count() == before
    memory.close()


def test_bfloat16_stays_near(cache: Path) -> None:
    short = XlaRuntime("xla:0", "bfloat16", buckets=toy.TABLE, cache=cache).bind(toy.decoder())
    exact = EagerRuntime("cpu").bind(toy.decoder())(**toy.frames(20))["wav"]
    made = short(**toy.frames(20))["wav"]
    assert made.dtype == np.float32
    assert 0 < np.abs(made - exact).max() < 3e-2


# what a stage may not do


class Odd(torch.nn.Module):
    """Reads a value while it is traced, or lets a value decide what is computed."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.calls = 0

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        if self.how == "item":
            return (x * x.sum().item(),)
        self.calls += 1
        for _ in range(self.calls):
            x = x + 1
        return (x,)


def odd(how: str) -> MapStage:
    port = Port("x", "float32", ("T",))
    return MapStage(how, Odd(how), (port,), (replace(port, name="y"),))


def test_reading_a_value_in_forward_is_refused(runtime: XlaRuntime, cache: Path) -> None:
    own = XlaRuntime("xla:0", buckets={"T": Buckets([3])}, cache=cache)
    with pytest.raises(RuntimeError):
        list(own.bind(odd("item")).warm_up())
    works_on = own.bind(odd("count"))(x=np.ones(2))["y"]
    assert works_on.tolist() == [2, 2]


def test_a_graph_that_depends_on_values_is_noticed(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = XlaRuntime("xla:0", buckets={"T": Buckets([5, 6])}, cache=cache)
    bound = own.bind(odd("count"))
    x = np.ones(5, np.float32)
    bound(x=x)
    assert own.recompiled == 0
    with caplog.at_level(logging.ERROR, "vivavoce.xla"):
        bound(x=x)
    assert own.recompiled == 1
    assert "count was compiled again at ((5,),)" in caplog.text
    with pytest.raises(RuntimeError, match=r"Maximum number of different graphs.*2"):
        bound(x=x)


def test_the_graph_budget(cache: Path) -> None:
    ports = (Port("x", "float32", ("T_a", "T_b")),)
    stage = MapStage("wide", torch.nn.Identity(), ports, ports)
    table = {"T_a": Buckets([1, 2, 3]), "T_b": geometric(4, 60)}
    with pytest.raises(ValueError, match=f"stage wide would need 24 graphs .*more than {MOST}"):
        XlaRuntime("xla:0", buckets=table, cache=cache).bind(stage)
    with pytest.raises(ValueError, match="no buckets for T_b"):
        XlaRuntime("xla:0", buckets={"T_a": Buckets([1])}, cache=cache).bind(stage)


# the folder of compiled graphs


def test_graphs_are_kept_in_a_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[str, bool]] = []
    monkeypatch.setattr(xla, "_prepared", False)
    monkeypatch.setattr(
        torch_xla.runtime, "initialize_cache", lambda path, readonly: kept.append((path, readonly))
    )
    monkeypatch.setenv("PJRT_DEVICE", "TPU")
    folder = tmp_path / "cache" / "xla"
    for _ in range(2):
        XlaRuntime("xla:0", buckets=toy.TABLE, cache=folder)
    assert kept == [(str(folder), False)], "once for a process"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_on_the_cpu_nothing_is_written_that_cannot_be_read(
    runtime: XlaRuntime, cache: Path
) -> None:
    assert not cache.exists()


def test_somebody_elses_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla, "_prepared", False)
    monkeypatch.setenv("PJRT_DEVICE", "TPU")
    (tmp_path / "target").mkdir(mode=0o755)
    (tmp_path / "xla").symlink_to(tmp_path / "target")
    (tmp_path / "file").touch()
    for name in ("xla", "file"):
        with pytest.raises(StorageError, match=f"{name} for compiled graphs cannot be used"):
            XlaRuntime("xla:0", buckets=toy.TABLE, cache=tmp_path / name)
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o755
