"""Code that was written for CUDA runs where it is told to, and torch is what it was afterwards.

Nothing computes on the meta device: a tensor that turns up there was redirected, wherever these
tests run.
"""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from engines.runtime.redirect import names, redirect, redirected, scope

ROOT = Path(__file__).resolve().parents[2]
META = torch.device("meta")


def attributes() -> dict[str, Any]:
    """What stands at every place that is ever replaced, and beside it."""
    found = {}
    for owner, name, _ in names.table():
        found[f"{owner!r}.{name}"] = vars(owner).get(name, "absent")
        for beside, value in vars(owner).items():
            if not beside.startswith("__") or beside in ("__new__", "__init__"):
                found[f"{owner!r}.{beside}"] = value
    return found


def assert_same(before: dict[str, Any]) -> None:
    after = attributes()
    changed = [name for name in before if after.get(name) is not before[name]]
    assert not changed
    added = [name for name in after if name not in before]
    assert all(type(after[name]) is type(sys) for name in added)  # torch's own late imports


@pytest.fixture(autouse=True)
def no_trace() -> Iterator[None]:
    """Each test of this file leaves torch as it found it."""
    before = attributes()
    default, dtype = torch.get_default_device(), torch.get_default_dtype()
    yield
    assert_same(before)
    assert scope.innermost() is None
    assert torch._C._len_torch_function_stack() == 0
    assert (torch.get_default_device(), torch.get_default_dtype()) == (default, dtype)


MOVES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    ".cuda()": lambda x: x.cuda(),
    ".cuda(1)": lambda x: x.cuda(1),
    ".cuda(device=)": lambda x: x.cuda(device=torch.device("cuda", 2), non_blocking=True),
    ".cuda(0, True)": lambda x: x.cuda(0, True),
    ".to(str)": lambda x: x.to("cuda"),
    ".to(str:n)": lambda x: x.to("cuda:3"),
    ".to(device)": lambda x: x.to(torch.device("cuda")),
    ".to(int)": lambda x: x.to(0),
    ".to(device=)": lambda x: x.to(device="cuda"),
    ".to(device, dtype)": lambda x: x.to("cuda", torch.float64),
    ".to(other)": lambda x: x.to(torch.zeros(1, device="cuda")),
    ".type(str)": lambda x: x.type("torch.cuda.FloatTensor"),
    ".type(type)": lambda x: x.type(torch.cuda.HalfTensor),
    ".new_zeros": lambda x: x.new_zeros(3, device="cuda"),
    "zeros": lambda x: torch.zeros(3, device="cuda"),
    "zeros(int)": lambda x: torch.zeros(3, device=0),
    "empty(pinned)": lambda x: torch.empty(3, device="cuda:0", pin_memory=False),
    "ones_like": lambda x: torch.ones_like(x, device="cuda"),
    "tensor": lambda x: torch.tensor([1.0], device="cuda"),
    "as_tensor": lambda x: torch.as_tensor([1.0], device=torch.device("cuda")),
    "full": lambda x: torch.full((2,), 0.5, device="cuda"),
    "arange": lambda x: torch.arange(3, device="cuda"),
    "linspace": lambda x: torch.linspace(0, 1, 3, device="cuda"),
    "eye": lambda x: torch.eye(3, device="cuda"),
    "randn": lambda x: torch.randn(3, device="cuda"),
    "randint": lambda x: torch.randint(0, 3, (3,), device="cuda"),
    "randperm": lambda x: torch.randperm(3, device="cuda"),
    "hann_window": lambda x: torch.hann_window(4, device="cuda"),
    "FloatTensor": lambda x: torch.cuda.FloatTensor(2, 3),
    "LongTensor": lambda x: torch.cuda.LongTensor([1, 2]),
    "Linear(device=)": lambda x: nn.Linear(2, 2, device="cuda").weight,
    "module.cuda()": lambda x: nn.Linear(2, 2).cuda().weight,
    "module.to(str)": lambda x: nn.Linear(2, 2).to("cuda").weight,
    "module.to(int)": lambda x: nn.Linear(2, 2).to(0).weight,
    "module.to(device=, dtype)": lambda x: nn.Linear(2, 2).to(device="cuda", dtype=x.dtype).weight,
    "LSTM": lambda x: nn.LSTM(2, 2).cuda().weight_ih_l0,
    "Parameter": lambda x: nn.Parameter(torch.empty(2, device="cuda")),
    "storage": lambda x: torch.empty(0).set_(x.storage().cuda()),
    "untyped storage": lambda x: torch.empty(0).set_(x.untyped_storage().cuda(1)),
}

# on meta these bring in torch's compiler, which takes seconds
DRAWN = (
    "eye",
    "linspace",
    "randn",
    "randint",
    "randperm",
    "hann_window",
    "Linear(device=)",
    "arange",
    "storage",
    "untyped storage",
)
META_MOVES = {name: move for name, move in MOVES.items() if name not in DRAWN}


@pytest.mark.parametrize("move", META_MOVES.values(), ids=META_MOVES)
def test_what_is_put_on_cuda_lands_on_the_target(move: Callable[..., torch.Tensor]) -> None:
    x = torch.zeros(3)
    with redirect("meta"):
        assert move(x).device == META


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_the_same_on_the_cpu(move: Callable[..., torch.Tensor]) -> None:
    x = torch.zeros(3)
    with redirect("cpu"):
        assert move(x).device.type == "cpu"


def test_dtypes_are_kept_and_given() -> None:
    with redirect("cpu"):
        assert torch.zeros(2).to("cuda", torch.float16).dtype == torch.float16
        assert torch.zeros(2).type("torch.cuda.HalfTensor").dtype == torch.float16
        assert torch.cuda.IntTensor([3]).tolist() == [3]
        assert torch.zeros(2, dtype=torch.int64).cuda().dtype == torch.int64


def test_the_cpu_stays_the_cpu() -> None:
    with redirect("meta"):
        assert torch.zeros(3, device="cpu").device.type == "cpu"
        assert torch.zeros(3).to("cpu").device.type == "cpu"
        assert torch.zeros(3).device.type == "cpu"
        assert nn.Linear(2, 2, device=torch.device("cpu")).weight.device.type == "cpu"
        assert torch.Generator("cpu").device.type == "cpu"
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        with torch.device("cuda"):
            assert torch.zeros(3).device == META
            assert torch.zeros(3, device="cpu").device.type == "cpu"


def test_queries_see_one_device() -> None:
    with redirect("cpu"):
        cuda = torch.cuda
        assert cuda.is_available() and cuda.is_initialized()
        assert (cuda.device_count(), cuda.current_device()) == (1, 0)
        assert cuda.get_device_name(0) == "cpu"
        assert cuda.get_device_capability("cuda:0") == (0, 0)
        free, total = cuda.mem_get_info()
        assert 0 < free <= total == cuda.get_device_properties("cuda").total_memory
        assert cuda.memory_allocated() == cuda.max_memory_reserved(0) == 0
        assert cuda.is_bf16_supported()
        cuda.init()
        cuda.empty_cache()
        cuda.synchronize()
        cuda.set_device(3)
        cuda.reset_peak_memory_stats()
        cuda.ipc_collect()
        assert cuda.memory_stats() == {}
        cuda.memory_stats()["mine"] = 1
        assert cuda.memory_stats() == {}
        with cuda.device(1), cuda.device_of(torch.zeros(1)), cuda.nvtx.range("part"):
            assert cuda.current_device() == 0


def test_streams_and_events() -> None:
    with redirect("cpu"):
        stream = torch.cuda.Stream(device="cuda", priority=-1)
        assert isinstance(stream, torch.cuda.Stream)
        assert stream == torch.cuda.current_stream() == torch.cuda.default_stream("cuda:0")
        start = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        assert isinstance(start, torch.cuda.Event)
        with pytest.raises(RuntimeError, match="recorded"):
            start.elapsed_time(end)
        start.record()
        with torch.cuda.stream(stream), stream:
            x = torch.ones(10).cuda()
            x.record_stream(stream)
        end.record(stream)
        stream.wait_event(end)
        stream.wait_stream(torch.cuda.current_stream())
        end.synchronize()
        assert stream.query() and end.query() and stream.record_event().query()
        assert start.elapsed_time(end) >= 0
        assert isinstance(torch.Stream(device="cuda"), torch.cuda.Stream)
        assert torch.Event("cuda").query()


def test_generators_and_seeds() -> None:
    with redirect("cpu"):
        generator = torch.Generator(device="cuda").manual_seed(5)
        assert isinstance(generator, torch.Generator)
        drawn = torch.randn(3, generator=generator, device="cuda")
        torch.cuda.manual_seed_all(7)
        assert torch.cuda.initial_seed() == 7
        state = torch.cuda.get_rng_state()
        seeded = torch.randn(3, device="cuda")
        torch.cuda.set_rng_state(state, "cuda:0")
        assert torch.equal(seeded, torch.randn(3, device="cuda"))
        torch.cuda.set_rng_state_all(torch.cuda.get_rng_state_all())
        with torch.random.fork_rng():
            torch.cuda.manual_seed(1)
            inside = torch.randn(3, device="cuda")
        torch.cuda.seed()
        torch.cuda.seed_all()
    assert torch.equal(drawn, torch.randn(3, generator=torch.Generator().manual_seed(5)))
    assert torch.equal(seeded, torch.randn(3, generator=torch.Generator().manual_seed(7)))
    assert torch.equal(inside, torch.randn(3, generator=torch.Generator().manual_seed(1)))


def test_autocast() -> None:
    a = torch.ones(2, 2)
    with redirect("cpu"):
        with torch.autocast("cuda", dtype=torch.float16):
            assert (a @ a).dtype == torch.float16
            assert torch.is_autocast_enabled() and torch.is_autocast_enabled("cuda")
            assert torch.get_autocast_gpu_dtype() == torch.get_autocast_dtype("cuda")
            with torch.autocast("cuda", enabled=False):
                assert (a @ a).dtype == torch.float32
        with torch.autocast(device_type="cuda"):
            assert (a @ a).dtype == torch.get_autocast_dtype("cpu")
        with torch.cuda.amp.autocast(enabled=False):
            assert (a @ a).dtype == torch.float32
        with torch.amp.autocast("cuda", dtype=torch.bfloat16, cache_enabled=False):
            assert (a @ a).dtype == torch.bfloat16
        assert not torch.is_autocast_enabled()
        scaler = torch.amp.GradScaler("cuda")
        assert scaler.is_enabled()
        assert torch.equal(scaler.scale(a.cuda()), a * scaler.get_scale())
    with redirect("meta"), torch.autocast("cuda"):
        assert (a @ a).dtype == torch.float32


def test_pinning_and_parallel_modules() -> None:
    x = torch.zeros(2, 2)
    with redirect("cpu"):
        assert x.pin_memory() is x
        assert torch.zeros(2, pin_memory=True).tolist() == [0, 0]
        loader = torch.utils.data.DataLoader(torch.arange(2), pin_memory=True)
        assert [each.item() for each in loader] == [0, 1]
        model = nn.DataParallel(nn.Linear(2, 2)).cuda()
        assert model(x.cuda()).shape == (2, 2)


def saved_on(location: str, *, legacy: bool = False, **tensors: torch.Tensor) -> io.BytesIO:
    """A file of `torch.save` as another machine writes it: with that location on every storage."""
    tag = torch.serialization.location_tag
    torch.serialization.location_tag = lambda storage: location
    try:
        torch.save(tensors, file := io.BytesIO(), _use_new_zipfile_serialization=not legacy)
    finally:
        torch.serialization.location_tag = tag
    file.seek(0)
    return file


@pytest.mark.parametrize("location", ["cuda:3", "cuda", "mps", "xpu:0", "xla:1"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_files_load_wherever_they_were_saved(location: str, legacy: bool) -> None:
    weights = torch.arange(4.0)
    with redirect("cpu"):
        found = torch.load(saved_on(location, legacy=legacy, weights=weights), weights_only=True)
    assert torch.equal(found["weights"], weights)
    assert found["weights"].device.type == "cpu"


@pytest.mark.parametrize(
    ("map_location", "expected"),
    [
        (None, "meta"),
        ("cuda", "meta"),
        ("cuda:1", "meta"),
        (torch.device("cuda", 2), "meta"),
        ({"cuda:3": "cuda:0"}, "meta"),
        ({"cuda:3": "cpu"}, "cpu"),
        (lambda storage, location: storage, "cpu"),
        (lambda storage, location: None, "meta"),
        ("cpu", "cpu"),
        (torch.device("cpu"), "cpu"),
    ],
)
def test_map_location(map_location: Any, expected: str) -> None:
    with redirect("meta"):
        found = torch.load(saved_on("cuda:3", w=torch.ones(2)), map_location=map_location)
    assert found["w"].device.type == expected


def test_a_function_that_moves_storages() -> None:
    with redirect("cpu"):
        file = saved_on("cuda:3", w=torch.ones(2))
        found = torch.load(file, map_location=lambda storage, location: storage.cuda(0))
    assert found["w"].tolist() == [1, 1]


def test_what_was_saved_on_the_cpu_stays_there() -> None:
    with redirect("meta"):
        assert torch.load(saved_on("cpu", w=torch.ones(2)))["w"].device.type == "cpu"


def test_a_file_in_torchs_script() -> None:
    class Doubled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    file = io.BytesIO()
    torch.jit.save(torch.jit.script(Doubled()), file)
    for where in (None, "cuda:1", torch.device("cuda")):
        file.seek(0)
        with redirect("cpu"):
            model = torch.jit.load(file, map_location=where).cuda()
            assert model(torch.ones(1).cuda()).item() == 2


def test_types_are_what_they_were() -> None:
    with redirect("cpu"):
        assert isinstance(torch.zeros(1), torch.cuda.FloatTensor)
        assert not isinstance(torch.zeros(1).half(), torch.cuda.FloatTensor)
        assert issubclass(torch.cuda.Stream, object)
        assert isinstance(torch.default_generator, torch.Generator)
        assert not isinstance(3, torch.Generator)
        assert torch.Generator.manual_seed  # its methods are there


def test_the_default_device_is_put_back() -> None:
    with redirect("meta"):
        torch.set_default_device("cuda")
        assert torch.zeros(2).device == META
        torch.set_default_device("cuda:1")
        assert torch.zeros(2).device == META
    assert torch.zeros(2).device.type == "cpu"
    with redirect("meta"):
        torch.set_default_tensor_type("torch.cuda.FloatTensor")
        assert torch.zeros(2).device == META
    assert torch.zeros(2).device.type == "cpu"


def test_scopes_nest_and_the_innermost_counts() -> None:
    with redirect("meta"):
        with redirect("cpu"):
            assert torch.zeros(1, device="cuda").device.type == "cpu"
            assert torch.zeros(1).cuda().device.type == "cpu"
            assert torch.load(saved_on("cuda:0", w=torch.ones(1)))["w"].device.type == "cpu"
            with redirect("meta"):
                assert torch.zeros(1).cuda().device == META
            assert torch.zeros(1).cuda().device.type == "cpu"
        assert torch.zeros(1).cuda().device == META
        assert nn.Linear(1, 1).cuda().weight.device == META


def test_an_exception_ends_the_scope() -> None:
    with pytest.raises(ZeroDivisionError), redirect("meta"), redirect("cpu"):
        torch.set_default_device("cuda")
        _ = 1 / 0


def test_what_fails_on_entering_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = attributes()
    good = list(names.table())

    def bad(held: Any) -> Any:
        raise RuntimeError("no replacement")

    broken = [*good, names.Name(torch, "zeros", bad)]
    monkeypatch.setattr(names, "table", lambda: iter(broken))
    with pytest.raises(RuntimeError, match="no replacement"), redirect("cpu"):
        pytest.fail("the scope was entered")
    monkeypatch.undo()
    assert_same(before)
    with pytest.raises(RuntimeError), redirect("nonsense"):
        pytest.fail("the scope was entered")


def test_it_is_left_by_whom_it_was_entered_in_order() -> None:
    outer, inner = redirect("cpu"), redirect("meta")
    with outer:
        with pytest.raises(RuntimeError, match="entered once"):
            outer.__enter__()
        with inner:
            with pytest.raises(RuntimeError, match="innermost first"):
                outer.__exit__(None, None, None)
            failed: list[BaseException] = []

            def leave() -> None:
                try:
                    inner.__exit__(None, None, None)
                except RuntimeError as error:
                    failed.append(error)

            run(leave)
            assert failed and torch.zeros(1).cuda().device == META
    with outer:  # and may be used again
        assert torch.zeros(1).cuda().device.type == "cpu"


def run(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_other_threads_see_plain_torch() -> None:
    seen: dict[str, Any] = {}
    plain = {
        "available": torch.cuda.is_available(),
        "count": torch.cuda.device_count(),
        "generator": type(torch.Generator()),
        "autocast": torch.is_autocast_enabled(),
        "device": torch.zeros(1, device="meta").device,
        "is_tensor": isinstance(torch.zeros(1), torch.cuda.FloatTensor),
        "initialized": torch.cuda.is_initialized(),
    }

    def look() -> None:
        seen.update(
            available=torch.cuda.is_available(),
            count=torch.cuda.device_count(),
            generator=type(torch.Generator()),
            autocast=torch.is_autocast_enabled(),
            device=torch.zeros(1, device="meta").device,
            is_tensor=isinstance(torch.zeros(1), torch.cuda.FloatTensor),
            initialized=torch.cuda.is_initialized(),
        )
        if not plain["available"]:
            with pytest.raises((RuntimeError, AssertionError)):
                torch.zeros(1).cuda()
            with pytest.raises((RuntimeError, AssertionError)):
                torch.load(saved_on("cuda:0", w=torch.ones(1)))
            with pytest.raises(RuntimeError):
                torch.cuda.Stream()
        seen["whole"] = True

    with redirect("cpu"):
        run(look)
    assert seen == plain | {"whole": True}


def test_threads_come_and_go_each_with_its_device() -> None:
    """A barrier holds them all inside at once, many times over."""
    before = attributes()
    rounds, workers = 20, 4
    barrier = threading.Barrier(workers)
    wrong: list[str] = []

    def work(name: str) -> None:
        try:
            for turn in range(rounds):
                barrier.wait(30)
                with redirect(name):
                    if turn % 2:
                        barrier.wait(30)
                    ones = torch.ones(1, device="cuda")
                    found = torch.zeros(2).cuda().device.type, ones.device.type
                    if found != (name, name) or not torch.cuda.is_available():
                        wrong.append(f"{name}: {found}")
        except BaseException as error:
            wrong.append(repr(error))
            barrier.abort()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("cpu", "meta") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert_same(before)


def test_nothing_is_replaced_outside_and_replacements_that_leak_are_plain() -> None:
    before = torch.cuda.is_available
    plain = torch.cuda.is_available()
    with redirect("cpu"):
        leaked, leaked_class = torch.cuda.is_available, torch.Generator
        assert leaked is not before
    assert torch.cuda.is_available is before
    assert leaked() is plain  # a library that took the name within a scope has plain torch after it
    assert type(leaked_class()) is torch.Generator


def test_work_that_knows_of_no_cancelling_is_cancelled() -> None:
    left = [3]

    def watch() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise InterruptedError

    x = torch.zeros(1)
    with pytest.raises(InterruptedError), redirect("cpu", watch=watch):
        while True:
            x = x + 1
    assert x.item() == 3


def test_a_generator_is_redirected_step_by_step() -> None:
    ended: list[str] = []

    def steps() -> Iterator[str]:
        try:
            yield torch.zeros(1).cuda().device.type
            yield torch.zeros(1, device="cuda").device.type
        finally:
            ended.append(torch.zeros(1).cuda().device.type)

    seen = []
    for device in redirected("meta", steps()):
        assert scope.innermost() is None
        seen.append(device)
    assert seen == ["meta", "meta"] and ended == ["meta"]
    broken_off = redirected("meta", steps())
    assert next(broken_off) == "meta"
    broken_off.close()
    assert ended == ["meta", "meta"] and scope.innermost() is None


@pytest.mark.parametrize("first", ["torch", "engines.runtime.redirect"])
def test_it_is_imported_before_or_after_torch(first: str) -> None:
    script = (
        f"import sys, {first}\n"
        "from engines.runtime.redirect import redirect\n"
        "scope = redirect('cpu')\n"
        f"assert ('torch' in sys.modules) == ({first!r} == 'torch')\n"
        "with scope:\n"
        "    import torch\n"
        "    assert torch.zeros(1).cuda().device.type == 'cpu' and torch.cuda.is_available()\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_file_that_is_truncated_stays_an_error() -> None:
    whole = saved_on("cuda:0", w=torch.ones(1000)).getvalue()
    with redirect("cpu"), pytest.raises((RuntimeError, zipfile.BadZipFile)):
        torch.load(io.BytesIO(whole[: len(whole) // 2]), weights_only=True)
