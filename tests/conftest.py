"""Tests marked `browser` need Chromium: left out without it, but never where CI is set. They run
last, because Playwright keeps an event loop running in this thread until the end."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.browser import chromium, windows

__all__ = ["chromium", "windows"]  # fixtures of every folder

# as the program does: threads that spin while they wait take the time of those that work
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("browser") is None or shutil.which("chromium"):
        return
    if os.environ.get("CI"):
        pytest.fail("Chromium is missing, and CI leaves no test out.", pytrace=False)
    pytest.skip("Chromium is missing (Debian: apt-get install chromium)")


@pytest.fixture(autouse=True, scope="module")
def collections_skip_what_was_there_before() -> Iterator[None]:
    """What the modules before imported is looked through by no garbage collection of this one:
    with all packages of the program imported, each would take over a second."""
    gc.freeze()
    yield
