"""Tests marked `browser` need Chromium: left out without it, but never where CI is set. They run
last, because Playwright keeps an event loop running in this thread until the end."""

from __future__ import annotations

import os
import shutil

import pytest

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
