"""What every runtime promises of a step stage: the carry computes what the whole would, in batches
and alone, in buffers of every size and whatever was in them before."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from engines.errors import BadCheckpoint, EngineFailure
from engines.memory import MemoryManager
from engines.memory.resident import Resident
from engines.runtime import quantise
from engines.runtime.buckets import Buckets, TooLong
from engines.runtime.eager import EagerRuntime
from engines.runtime.export_step import export_step
from engines.runtime.onnx_file import read_stage, read_step, stages_in
from engines.runtime.ort import OrtRuntime
from engines.runtime.quantise import quantise_file
from engines.runtime.residents import resident
from engines.runtime.sequences import BoundStep
from engines.runtime.stage import Port
from engines.runtime.step import Carry, StepStage
from tests import toy_stages as toy
from tests.step_checks import LENGTHS, STEPS, expected, sentences, spoken

ROOT = Path(__file__).resolve().parents[2]

Bind = Callable[..., BoundStep]


@pytest.fixture(scope="module")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Bind:
    @cache
    def exported(head: int) -> Path:
        return export_step(toy.speaker(head=head), tmp_path_factory.mktemp("onnx"))

    def bound(name: str, stage: StepStage) -> BoundStep:
        if name == "eager":
            return EagerRuntime("cpu").bind(stage)
        if name == "onnx":
            return OrtRuntime().bind(read_step(exported(stage.module.head_dim)))
        return EagerRuntime("cpu", buckets=toy.STEP_TABLE).bind(stage)

    return bound


@pytest.fixture
def memory() -> Iterator[MemoryManager]:
    made = MemoryManager(idle_ttl=1e9)
    yield made
    made.close()


RUNTIMES = ["eager", "padded", "onnx"]
runtimes = pytest.mark.parametrize("runtime", RUNTIMES)


@runtimes
@pytest.mark.parametrize("head", [toy.HEAD, 8, 6])
def test_steps_compute_what_the_whole_does(
    runtime: str, head: int, bind: Bind, memory: MemoryManager
) -> None:
    stage = toy.speaker(head=head)
    bound = bind(runtime, stage)
    for row in sentences():
        np.testing.assert_allclose(
            spoken(bound, [row], memory)[0], expected(stage, row), rtol=1e-4, atol=1e-5
        )


@runtimes
def test_a_batch_computes_what_each_row_does(
    runtime: str, bind: Bind, memory: MemoryManager
) -> None:
    stage = toy.speaker()
    bound = bind(runtime, stage)
    for rows in (sentences(), sentences()[:2]):
        for made, row in zip(spoken(bound, rows, memory), rows, strict=True):
            np.testing.assert_allclose(made, expected(stage, row), rtol=1e-4, atol=1e-5)


@runtimes
def test_what_a_buffer_held_before_changes_nothing(
    runtime: str, bind: Bind, memory: MemoryManager
) -> None:
    bound = bind(runtime, toy.speaker())
    rows = sentences(1)
    first = spoken(bound, rows, memory)
    spoken(bound, sentences(2), memory)
    kinds = [resident.kind for resident in memory.residents()]
    for one, other in zip(spoken(bound, rows, memory), first, strict=True):
        assert np.array_equal(one, other)
    assert kinds == ["kv_cache"] * len(kinds)
    assert len(memory.residents()) == len(kinds), "buffers are used again"
    assert not any(resident.leases for resident in memory.residents())


@runtimes
def test_a_row_that_has_ended_disturbs_no_other(
    runtime: str, bind: Bind, memory: MemoryManager
) -> None:
    stage = toy.speaker()
    rows = sentences()
    exact = [expected(stage, row) for row in rows]
    with bind(runtime, stage).start(memory, "toy", 3) as sequences:
        prompts = np.zeros((3, 8), np.int64)
        for i, (row, length) in enumerate(zip(rows, LENGTHS, strict=True)):
            prompts[i, :length] = row[:length]
        sequences.prefill(ids=prompts, lengths=LENGTHS)
        for step in range(STEPS):
            live = [step < 4, True, step < 2]
            ids = [
                [row[n + step] if on else 0] for row, n, on in zip(rows, LENGTHS, live, strict=True)
            ]
            made = sequences.step(live, ids=ids)["logits"]
            for i in range(3):
                if live[i]:
                    np.testing.assert_allclose(made[i], exact[i][step + 1], rtol=1e-4, atol=1e-5)
        assert sequences.positions.tolist() == [9, 8 + STEPS, 3]


@runtimes
def test_a_new_prompt_begins_anew(runtime: str, bind: Bind, memory: MemoryManager) -> None:
    bound = bind(runtime, toy.speaker())
    with bound.start(memory, "toy") as sequences:
        first = sequences.prefill(ids=[[1, 2, 3]])["logits"]
        for _ in range(12):
            sequences.step(ids=[[4]])
        assert np.array_equal(sequences.prefill(ids=[[1, 2, 3]])["logits"], first)
        assert sequences.positions.tolist() == [3]


@runtimes
def test_outputs_of_every_position_are_cut(runtime: str, bind: Bind, memory: MemoryManager) -> None:
    with bind(runtime, toy.speaker()).start(memory, "toy", 2) as sequences:
        made = sequences.prefill(ids=np.ones((2, 3), np.int64))
        assert made["hidden"].shape == (2, 3, toy.QUERIES * toy.HEAD)
        assert made["logits"].shape == (2, toy.SYMBOLS)
        assert sequences.step(ids=[[1], [1]])["hidden"].shape == (2, 1, toy.QUERIES * toy.HEAD)


@runtimes
def test_as_long_as_it_may_become_and_no_longer(
    runtime: str, bind: Bind, memory: MemoryManager
) -> None:
    bound = bind(runtime, toy.speaker())
    assert bound.longest == 24
    with bound.start(memory, "toy") as sequences:
        sequences.prefill(ids=np.ones((1, 8), np.int64))
        while sequences.room[0]:
            sequences.step(ids=[[2]])
        assert sequences.positions.tolist() == [24]
        with pytest.raises(TooLong, match=r"T_kv of speaker is 25\. At most 24"):
            sequences.step(ids=[[2]])
    assert not any(resident.leases for resident in memory.residents())
    with bound.start(memory, "toy") as sequences, pytest.raises(TooLong):
        sequences.prefill(ids=np.ones((1, 40), np.int64))


def test_a_padded_runtime_has_bounds(bind: Bind, memory: MemoryManager) -> None:
    bound = bind("padded", toy.speaker())
    assert (bound.longest_prompt(), bound.most_rows()) == (8, 3)
    with bound.start(memory, "toy") as sequences, pytest.raises(TooLong, match="T_new of speaker"):
        sequences.prefill(ids=np.ones((1, 9), np.int64))
    with pytest.raises(TooLong, match="B of speaker is 4"):
        bound.start(memory, "toy", 4)
    free = bind("eager", toy.speaker())
    assert (free.longest_prompt(), free.most_rows()) == (23, None)


@runtimes
def test_wrong_calls_are_told(runtime: str, bind: Bind, memory: MemoryManager) -> None:
    with bind(runtime, toy.speaker()).start(memory, "toy", 2) as sequences:
        with pytest.raises(EngineFailure, match="stepped before its prompt"):
            sequences.step(ids=[[1], [1]])
        with pytest.raises(EngineFailure, match="without ids"):
            sequences.prefill()
        with pytest.raises(EngineFailure, match=r"lengths = \[4, 1\]"):
            sequences.prefill(ids=np.ones((2, 3), np.int64), lengths=[4, 1])
        with pytest.raises(EngineFailure, match="ids as float64"):
            sequences.prefill(ids=np.ones((2, 3)))
        sequences.prefill(ids=np.ones((2, 3), np.int64))
        with pytest.raises(EngineFailure, match=r"of shape \(2,\)"):
            sequences.step(ids=[[1]])


def test_buffers_do_not_hold_the_weights(bind: Bind, memory: MemoryManager) -> None:
    """An idle buffer stays in the pool when the model has left its device."""
    import gc
    import weakref

    stage = toy.speaker()
    model = weakref.ref(stage.module)
    bound = bind("eager", stage)
    spoken(bound, sentences()[:1], memory)
    assert memory.residents()
    del stage, bound
    gc.collect()
    assert model() is None


def test_half_precision_stays_near(memory: MemoryManager) -> None:
    row = sentences()[0]
    exact = spoken(EagerRuntime("cpu").bind(toy.speaker()), [row], memory)[0]
    bound = EagerRuntime("cpu", "bfloat16").bind(toy.speaker())
    assert bound.nbytes(1, 8) * 2 == EagerRuntime("cpu").bind(toy.speaker()).nbytes(1, 8)
    short = spoken(bound, [row], MemoryManager())[0]
    assert 0 < np.abs(short - exact).max() < 0.1


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"carry": Carry(0, 2, 16)}, "its carry is"),
        ({"inputs": (Port("ids", "int64", ("T_new", "B")),)}, "does not begin with B"),
        ({"inputs": (Port("ids", "int64", ("B",)),)}, "no input has the axis T_new"),
        ({"inputs": (Port("k_0", "int64", ("B", "T_new")),)}, "k_0 is the name of what every"),
        ({"outputs": (Port("y", "float32", ("B", "T_mel")),)}, "y has an axis T_mel"),
    ],
)
def test_a_declaration_that_contradicts_itself(change: dict, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        replace(toy.speaker(), **change)


def test_prompts_have_to_leave_room() -> None:
    table = {"B": Buckets([1]), "T_new": Buckets([24])}
    with pytest.raises(ValueError, match="leaves no room in 24 positions"):
        EagerRuntime("cpu", buckets=table).bind(toy.speaker())


def test_steps_are_leased_with_the_other_stages_of_a_family(memory: MemoryManager) -> None:
    runtime = EagerRuntime("cpu")
    row = sentences()[0]

    def describe() -> Resident:
        return resident(runtime, 10_000, lambda _: [toy.decoder(), toy.speaker()])

    with memory.acquire("toy on cpu", describe) as stages:
        made = spoken(stages["speaker"], [row], memory)[0]
        assert stages["decode"](**toy.frames(4))["wav"].shape == (1, 1, 16)
    np.testing.assert_allclose(made, expected(toy.speaker(), row), rtol=1e-4, atol=1e-5)


def test_onnx_steps_load_no_torch(bind: Bind) -> None:
    file = bind("onnx", toy.speaker()).stage.source
    script = f"""
import sys
from pathlib import Path
from engines.memory import MemoryManager
from engines.runtime.onnx_file import read_stage, read_step, stages_in
from engines.runtime.ort import OrtRuntime
memory = MemoryManager()
with OrtRuntime().bind(read_step(Path({str(file)!r}))).start(memory, "toy") as sequences:
    sequences.prefill(ids=[[1, 2, 3]])
    while sequences.room[0]:
        assert sequences.step(ids=[[4]])["logits"].shape == (1, {toy.SYMBOLS})
memory.close()
print(sorted({{name.split(".")[0] for name in sys.modules}} & {{"torch", "onnx", "onnxscript"}}))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr


def test_a_file_of_one_kind_is_not_read_as_the_other(bind: Bind, tmp_path: Path) -> None:
    file = bind("onnx", toy.speaker()).stage.source
    assert read_step(file) == replace(toy.speaker(), module=None, source=file)
    assert stages_in(file.parent) == ()
    with pytest.raises(BadCheckpoint, match="does not say what its inputs"):
        read_stage(file)
    broken = tmp_path / file.name
    broken.write_bytes(file.read_bytes().replace(b'"carry": [2', b'"carry": [0'))
    with pytest.raises(BadCheckpoint, match="its carry is"):
        read_step(broken)


@pytest.mark.parametrize(("bits", "most"), [(8, 0.05), (4, 0.3)])
def test_weights_in_fewer_bits(
    bits: int, most: float, bind: Bind, memory: MemoryManager, tmp_path: Path
) -> None:
    stage = toy.speaker()
    row = sentences()[0]
    exact = spoken(EagerRuntime("cpu").bind(stage), [row], memory)[0]
    whole = bind("onnx", stage).stage.source
    file = tmp_path / "speaker.onnx"
    shutil.copy(whole, file)
    quantise_file(file, bits)
    assert read_step(file) == replace(stage, module=None, source=file)
    assert file.stat().st_size < 0.6 * whole.stat().st_size
    made = spoken(OrtRuntime().bind(read_step(file)), [row], memory)[0]
    error = np.abs(made - exact).max() / np.abs(exact).max()
    assert 1e-5 < error < most


def test_a_large_table_has_eight_bits_and_a_large_model_two_files(
    memory: MemoryManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of the embedding are as near as 8 bits bring them, whatever the products have."""
    monkeypatch.setattr(quantise, "LARGE", 1000)
    monkeypatch.setattr(quantise, "LEAST_TABLE", 100)
    row = sentences()[0]
    stage = toy.speaker()
    for qkv in stage.module.qkv:
        qkv.weight.zero_()  # so that hidden states are what was looked up
        qkv.bias.zero_()
    for out in stage.module.out:
        out.bias.zero_()
    file = export_step(stage, tmp_path, precision="int4")
    assert {each.name for each in tmp_path.iterdir()} == {file.name, f"{file.name}.data"}
    with OrtRuntime().bind(read_step(file)).start(memory, "toy") as sequences:
        made = sequences.prefill(ids=row[None])["hidden"][0]
    exact = stage.module.embedding.weight[row].numpy()
    error = np.abs(made - exact).max() / np.abs(exact).max()
    assert 1e-5 < error < 1 / 127
    for broken in (b"", None):
        beside = tmp_path / f"{file.name}.data"
        beside.unlink() if broken is None else beside.write_bytes(broken)
        with pytest.raises(BadCheckpoint, match=r"speaker\.onnx cannot be loaded.*app\.py convert"):
            OrtRuntime().bind(read_step(file))
