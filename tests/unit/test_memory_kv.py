"""Pooled KV buffers: one taker each, reused by bucket, counted, freed under pressure."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines.errors import OutOfMemory
from engines.memory import KvPool, Lease, MemoryManager, Reloadable
from tests.fake_device import FakeClock, FakeDevice, FakeResident, Interruption, manager, until


class Buffer:
    def __init__(self, gpu: FakeDevice, bucket: int) -> None:
        self.gpu, self.bucket = gpu, 0
        gpu.take(bucket)
        self.bucket = bucket

    def __del__(self) -> None:
        self.gpu.give(self.bucket)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gpu() -> FakeDevice:
    return FakeDevice(100)


@pytest.fixture
def memory(clock: FakeClock) -> Iterator[MemoryManager]:
    made = manager(100, clock=clock)
    yield made
    made.close(timeout=0)


@pytest.fixture
def kv(memory: MemoryManager, gpu: FakeDevice) -> KvPool[Buffer]:
    return memory.kv_pool("gpt kv", "cuda:0", lambda bucket: Buffer(gpu, bucket), lambda n: n)


def test_a_returned_buffer_is_taken_again(kv: KvPool[Buffer], gpu: FakeDevice) -> None:
    with kv.take(16) as first:
        assert first.bucket == 16
    del first
    with kv.take(16):
        assert gpu.used == gpu.peak == 16


def test_two_takers_get_two_buffers(
    kv: KvPool[Buffer], gpu: FakeDevice, memory: MemoryManager
) -> None:
    with kv.take(16) as one, kv.take(16) as two:
        assert one is not two
        assert gpu.used == 32
    assert {(r.kind, r.bytes, r.leases) for r in memory.residents()} == {("kv_cache", 16, 0)}
    assert len({r.name for r in memory.residents()}) == 2


def test_a_buffer_between_look_up_and_lease_is_not_taken_by_another(
    kv: KvPool[Buffer], gpu: FakeDevice
) -> None:
    kv.take(16).release()
    others: list[Lease[Buffer]] = []
    between = Interruption(2, lambda: others.append(kv.take(16)))
    with kv.take(16, cancel=between) as buffer:
        assert others[0].value is not buffer
        assert gpu.used == 32
    others[0].release()


def test_buckets_are_apart(kv: KvPool[Buffer], gpu: FakeDevice) -> None:
    with kv.take(16):
        pass
    with kv.take(24) as other:
        assert other.bucket == 24
    assert gpu.used == 40


def test_pools_are_apart(memory: MemoryManager, gpu: FakeDevice) -> None:
    one = memory.kv_pool("one", "cuda:0", lambda bucket: Buffer(gpu, bucket), lambda n: n)
    two = memory.kv_pool("two", "cuda:0", lambda bucket: Buffer(gpu, bucket), lambda n: n)
    with one.take(16), two.take(16):
        pass
    assert gpu.used == 32


def test_idle_buffers_go_for_a_model_and_for_other_buckets(
    kv: KvPool[Buffer], gpu: FakeDevice, memory: MemoryManager
) -> None:
    with kv.take(30), kv.take(30):
        pass
    with memory.acquire("a", lambda: FakeResident(gpu, 70)):
        assert gpu.used == 100
        assert kv.take(30).value
    memory.close(timeout=0)


def test_taken_buffers_stay(kv: KvPool[Buffer], gpu: FakeDevice, memory: MemoryManager) -> None:
    with kv.take(60) as buffer, pytest.raises(OutOfMemory, match="in use: gpt kv/60 #1"):
        memory.acquire("a", lambda: FakeResident(gpu, 50), timeout=0)
    assert buffer.bucket == 60


def test_those_of_a_busy_hour_grow_old_and_go(
    kv: KvPool[Buffer], gpu: FakeDevice, memory: MemoryManager, clock: FakeClock
) -> None:
    memory.idle_ttl = 600
    with kv.take(10), kv.take(10), kv.take(10):
        clock.now += 1
    for _ in range(10):  # a quiet hour needs one at a time: always the same
        clock.now += 100
        kv.take(10).release()
    memory.sweep()
    until(lambda: gpu.used == 10)


def test_a_buffer_that_cannot_be_made_is_not_counted(
    kv: KvPool[Buffer], gpu: FakeDevice, memory: MemoryManager
) -> None:
    gpu.capacity = 20
    with pytest.raises(OutOfMemory):
        kv.take(30)
    assert memory.residents() == ()
    assert kv.take(20).value.bucket == 20


def test_many_takers_at_once_never_share(
    kv: KvPool[Buffer], gpu: FakeDevice, memory: MemoryManager
) -> None:
    taken: set[int] = set()

    def work(_: int) -> None:
        with kv.take(10) as buffer:
            assert id(buffer) not in taken
            taken.add(id(buffer))
            taken.remove(id(buffer))

    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(work, range(400)))) == 400
    assert gpu.peak <= 80
    assert sum(r.bytes for r in memory.residents()) == gpu.used


def test_a_voice_prompt_keeps_its_content(memory: MemoryManager) -> None:
    made: list[str] = []

    def prompt() -> Reloadable[list[int]]:
        return Reloadable(
            "cuda:0", 10, lambda cancel: made.append("once") or [1, 2, 3], kind="voice_prompt"
        )

    with memory.acquire("gpt prompt of sha256:ab12", prompt) as cache:
        assert cache == [1, 2, 3]
    with memory.acquire("gpt prompt of sha256:ab12", prompt) as again:
        assert again is cache
    assert made == ["once"]
    assert memory.residents()[0].kind == "voice_prompt"


def test_a_reloadable_is_closed_when_it_goes(memory: MemoryManager) -> None:
    closed: list[str] = []
    session = Reloadable("onnx:cuda", 40, lambda cancel: "session", close=closed.append)
    memory.acquire("s", lambda: session).release()
    assert closed == []
    memory.close(timeout=0)
    assert closed == ["session"]
