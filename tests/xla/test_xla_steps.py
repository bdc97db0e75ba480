"""Step stages on torch_xla: what the whole computes, from graphs that the warm-up compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from engines.memory import MemoryManager
from engines.runtime.buckets import Buckets, TooLong
from engines.runtime.sequences import BoundStep
from engines.runtime.xla import XlaRuntime, compile_count
from tests import toy_stages as toy
from tests.step_checks import expected, sentences, spoken

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> XlaRuntime:
    cache = tmp_path_factory.mktemp("house") / "xla"
    return XlaRuntime("xla:0", buckets=toy.STEP_TABLE, cache=cache)


@pytest.fixture(scope="module")
def bound(runtime: XlaRuntime) -> BoundStep:
    """The toy, warm."""
    made = runtime.bind(toy.speaker())
    before = compile_count()
    sizes = list(made.warm_up())
    # for 1 and 3 rows: 2 sizes of prompts, 3 of buffers, 2 times from one buffer to the next
    assert len(sizes) == 2 * (2 + 3)
    assert compile_count() - before == 2 * (2 + 3 + 2)
    return made


@pytest.fixture
def memory() -> Iterator[MemoryManager]:
    made = MemoryManager(idle_ttl=1e9)
    yield made
    made.close()


def test_steps_compute_what_the_whole_does_and_compile_nothing(
    runtime: XlaRuntime, bound: BoundStep, memory: MemoryManager
) -> None:
    before = compile_count()
    stage = toy.speaker()
    for seed in range(3):
        rows = sentences(seed)
        for batch in (rows, rows[:2], rows[:1], rows[1:2], rows[2:]):
            for made, row in zip(spoken(bound, batch, memory), batch, strict=True):
                np.testing.assert_allclose(made, expected(stage, row), rtol=1e-4, atol=1e-5)
    assert compile_count() == before
    assert runtime.recompiled == 0


def test_another_model_has_graphs_of_its_own(
    runtime: XlaRuntime, bound: BoundStep, memory: MemoryManager
) -> None:
    """Both grow their buffers, each as often as its own sizes want."""
    made = runtime.bind(replace(toy.speaker(seed=1), sizes=Buckets([9, 18, 27])))
    list(made.warm_up())
    before = compile_count()
    for stage, each in ((toy.speaker(seed=1), made), (toy.speaker(), bound)):
        [row, *_] = sentences()
        [spoken_row] = spoken(each, [row], memory)
        np.testing.assert_allclose(spoken_row, expected(stage, row), rtol=1e-4, atol=1e-5)
    assert compile_count() == before


def test_what_does_not_fit_is_refused_and_not_compiled(
    bound: BoundStep, memory: MemoryManager
) -> None:
    before = compile_count()
    with bound.start(memory, "toy") as sequences:
        with pytest.raises(TooLong, match="T_new of speaker is 9"):
            sequences.prefill(ids=np.ones((1, 9), np.int64))
        sequences.prefill(ids=np.ones((1, 8), np.int64))
        while sequences.room[0]:
            sequences.step(ids=[[2]])
        with pytest.raises(TooLong, match="T_kv of speaker is 25"):
            sequences.step(ids=[[2]])
    with pytest.raises(TooLong, match="B of speaker is 4"):
        bound.start(memory, "toy", 4)
    assert compile_count() == before


def test_a_row_that_has_ended_disturbs_no_other(bound: BoundStep, memory: MemoryManager) -> None:
    stage = toy.speaker()
    long, short = sentences()[1], sentences()[0]
    with bound.start(memory, "toy", 2) as sequences:
        prompts = np.stack([long[:8], np.pad(short[:5], (0, 3))])
        sequences.prefill(ids=prompts, lengths=[8, 5])
        for step in range(13):
            made = sequences.step([True, step < 3], ids=[[long[8 + step]], [7]])["logits"]
            np.testing.assert_allclose(
                made[0], expected(stage, long)[step + 1], rtol=1e-4, atol=1e-5
            )
        assert sequences.positions.tolist() == [21, 8]


def test_buffers_are_changed_in_place(bound: BoundStep) -> None:
    """What a step returns is its outputs alone; the buffers it was opened on hold the rest."""
    buffers = bound.machine.maker(1)(8)
    call = bound.machine.open(buffers)
    call([np.array([[3]]), np.array([2]), np.array([1])], 3)
    for each in buffers:
        written = np.abs(each.cpu().numpy()).sum(axis=(0, 1, 3)) > 0
        assert written.tolist() == [False, False, True, *[False] * 5]
