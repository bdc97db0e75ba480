"""Chromium on the real page of the real program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import Page
from tests.servers import ServerProcess, server_process


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with server_process(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def open_page(windows: Any, server: ServerProcess) -> Iterator[Any]:
    """Opens the page in a tab of its own; afterwards nothing may have gone astray there."""
    pages: list[Page] = []

    def opened(*, touched: bool = True, **options: Any) -> Page:
        pages.append(Page(windows(**options), server.url, touched))
        return pages[-1]

    yield opened
    for page in pages:
        page.tab.close()
        assert page.strays == []
        assert page.complaints == []


@pytest.fixture
def page(open_page: Any) -> Page:
    return open_page()
