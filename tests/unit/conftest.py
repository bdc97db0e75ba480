"""What the tests of the memory manager share."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines.memory import MemoryManager
from tests.fake_device import FakeDevice, manager


@pytest.fixture
def memory() -> Iterator[MemoryManager]:
    made = manager(100)
    yield made
    made.close(timeout=0)


@pytest.fixture
def gpu() -> FakeDevice:
    return FakeDevice(100)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads
