"""Real torch modules: dropped and built again on the CPU; offloaded from a device of its own.

This host may have no GPU, so torch's "meta" device stands in for one: its tensors have no data, so
that any copy back to the CPU would fail.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from engines.api import CancelToken
from engines.errors import Cancelled, OutOfMemory
from engines.memory import MemoryManager, TorchModule
from engines.memory import resident as residents
from tests.fake_device import manager


class Small(nn.Module):
    """Every kind of state: tied weights, a buffer, one that is not saved, a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.recurrent = nn.GRU(8, 8, batch_first=True)
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("scale", torch.full((8,), 0.5), persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x, _ = self.recurrent(self.embedding(tokens))
        return self.head(self.norm((x * self.scale).transpose(1, 2)).transpose(1, 2))


TOKENS = torch.tensor([[1, 2, 3, 5, 8]])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    state = Small().state_dict()
    state.pop("head.weight")  # tied
    save_file(state, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


@pytest.fixture
def memory() -> Iterator[MemoryManager]:
    made = manager(10_000_000)
    yield made
    made.close(timeout=0)


def reader(file: Path, read: list[Path] | None = None) -> Callable[[CancelToken | None], nn.Module]:
    def read_file(cancel: CancelToken | None) -> nn.Module:
        if read is not None:
            read.append(file)
        module = Small()
        module.load_state_dict(load_file(file), strict=False)
        return module

    return read_file


def size_of(module: nn.Module) -> int:
    tied = module.head.weight.nbytes
    return sum(t.nbytes for t in module.state_dict().values()) - tied + module.scale.nbytes


def test_on_the_cpu_it_is_dropped_and_read_again_with_equal_output(
    memory: MemoryManager, file: Path
) -> None:
    read: list[Path] = []

    def factory() -> TorchModule:
        return TorchModule("cpu", file.stat().st_size, reader(file, read))

    with memory.acquire("small", factory) as module:
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())
        before = module(TOKENS)
        (info,) = memory.residents()
        assert (info.bytes, info.host_bytes) == (size_of(module), 0)
    gone = weakref.ref(module)
    del module
    memory._table.free_idle("cpu", "test")
    assert memory.residents() == ()
    gc.collect()
    assert gone() is None
    with memory.acquire("small", factory) as module:
        assert torch.equal(module(TOKENS), before)
    assert len(read) == 2


def test_concurrent_speakers_share_one_module(memory: MemoryManager, file: Path) -> None:
    def factory() -> TorchModule:
        return TorchModule("cpu", 10_000, reader(file))

    with memory.acquire("small", factory) as one, memory.acquire("small", factory) as two:
        assert one is two


def test_offload_copies_nothing_back_and_loses_nothing(memory: MemoryManager, file: Path) -> None:
    built: list[nn.Module] = []
    read: list[Path] = []

    def build(cancel: CancelToken | None) -> nn.Module:
        built.append(reader(file, read)(cancel))
        return built[-1]

    resident = TorchModule("meta", 10_000, build)
    assert resident.eviction == "offload"
    lease = memory.acquire("small", lambda: resident)
    module = lease.value
    assert {t.device.type for t in (*module.parameters(), *module.buffers())} == {"meta"}
    expected = size_of(reader(file)(None))
    assert resident.footprint().device == resident.footprint().host == expected
    lease.release()
    memory._table.free_idle("meta", "test")
    (info,) = memory.residents()
    assert (info.state.value, info.bytes, info.host_bytes) == ("off", 0, expected)

    fresh = reader(file)(None).eval()
    assert {t.device.type for t in (*module.parameters(), *module.buffers())} == {"cpu"}
    assert torch.equal(module(TOKENS), fresh(TOKENS))
    assert module.head.weight is module.embedding.weight
    assert "scale" not in module.state_dict()
    with memory.acquire("small", lambda: pytest.fail("its copy is there")) as again:
        assert again is module
        assert {t.device.type for t in (*again.parameters(), *again.buffers())} == {"meta"}
    assert len(read) == 1


def test_the_host_copy_is_the_same_memory_through_every_move(file: Path) -> None:
    def addresses(module: nn.Module) -> list[int]:
        return [t.data_ptr() for t in (*module.parameters(), *module.buffers())]

    built: list[list[int]] = []

    def build(cancel: CancelToken | None) -> nn.Module:
        module = reader(file)(cancel)
        built.append(addresses(module))
        return module

    resident = TorchModule("meta", 10_000, build)
    for _ in range(3):
        module = resident.load(None)
        resident.offload()
        assert addresses(module) == built[0]
    assert len(built) == 1


def test_parameters_that_move_in_place_leave_the_host_copy_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move to a GPU swaps the data inside a Parameter; so does a change of dtype."""
    real_to = nn.Module.to

    def to_other_place(module: nn.Module, *_args: object, **_options: object) -> nn.Module:
        return real_to(module, torch.float64)

    monkeypatch.setattr(nn.Module, "to", to_other_place)
    resident = TorchModule("meta", 10_000, reader(file))
    expected = reader(file)(None).eval()(TOKENS)
    addresses = []
    for _ in range(3):
        module = resident.load(None)
        parameter = module.embedding.weight
        assert parameter.dtype == module.scale.dtype == torch.float64
        assert module.head.weight is parameter
        resident.offload()
        assert module.embedding.weight is not parameter
        assert module.head.weight is module.embedding.weight
        assert torch.equal(module(TOKENS), expected)
        addresses.append([t.data_ptr() for t in (*module.parameters(), *module.buffers())])
    assert addresses[0] == addresses[1] == addresses[2]


def test_drop_lets_go_of_the_host_copy(file: Path) -> None:
    resident = TorchModule("meta", 10_000, reader(file))
    resident.load(None)
    resident.offload()
    weight = weakref.ref(resident._module.embedding.weight)
    resident.drop()
    gc.collect()
    assert weight() is None


def test_cancelled_midway_it_is_whole_again(memory: MemoryManager, file: Path) -> None:
    class Counting(CancelToken):
        looks = 0

        def raise_if_set(self) -> None:
            self.looks += 1
            if self.looks == 6:  # some parts have moved by then
                self.cancel()
            super().raise_if_set()

    resident = TorchModule("meta", 10_000, reader(file))
    memory.acquire("small", lambda: resident).release()
    memory._table.free_idle("meta", "test")
    with pytest.raises(Cancelled):
        memory.acquire("small", lambda: resident, cancel=Counting())
    module = resident._module
    assert {t.device.type for t in (*module.parameters(), *module.buffers())} == {"cpu"}
    assert torch.equal(module(TOKENS), reader(file)(None).eval()(TOKENS))
    with memory.acquire("small", lambda: resident) as again:
        assert again.scale.device.type == "meta"


def test_a_broken_file_leaves_nothing(memory: MemoryManager, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(Exception, match=r"(?i)safetensor|header|incomplete|buffer"):
        memory.acquire("small", lambda: TorchModule("cpu", 10_000, reader(file)))
    assert memory.residents() == ()
    assert {usage.used for usage in memory.usage()} == {0}


def test_torchs_own_shortage_is_recognised(memory: MemoryManager) -> None:
    def build(cancel: CancelToken | None) -> nn.Module:
        torch.empty(10**15)
        raise AssertionError("that many bytes do not exist")

    with pytest.raises(OutOfMemory, match="ran out of memory for small"):
        memory.acquire("small", lambda: TorchModule("cpu", 10_000, build))


def test_pinned_copies_are_the_ones_that_stay(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[int] = []

    def pin_memory(tensor: torch.Tensor) -> torch.Tensor:
        copy = tensor.clone()
        pinned.append(copy.data_ptr())
        return copy

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    resident = TorchModule("meta", 10_000, reader(file), pin=True)
    resident.load(None)
    resident.offload()
    module = resident._module
    assert {t.data_ptr() for t in (*module.parameters(), *module.buffers())} == set(pinned)
    assert module.head.weight is module.embedding.weight
    assert torch.equal(module(TOKENS), reader(file)(None).eval()(TOKENS))
    assert TorchModule("cpu", 1, reader(file), pin=True)._pin is False


@pytest.mark.parametrize(
    ("device", "eviction"),
    [
        ("cuda:0", "offload"),
        ("cuda:1", "offload"),
        ("cpu", "drop"),
        ("mps", "drop"),
        ("xla:0", "drop"),
    ],
)
def test_who_offloads(device: str, eviction: str) -> None:
    resident = TorchModule(device, 7, lambda cancel: nn.Identity())
    assert resident.eviction == eviction
    assert resident.footprint().host == (7 if eviction == "offload" else 0)


@pytest.mark.parametrize(("device", "module"), [("cuda:0", "cuda"), ("mps", "mps"), ("cpu", "")])
def test_freed_blocks_go_back_to_the_driver(
    device: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append("cuda"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append("mps"))
    residents._empty_cache(device)
    assert emptied == ([module] if module else [])
