"""A tiny ESPnet VITS release on the page, on torch and on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from commands.main import main
from tests import espnet_doors as doors
from tests.browser import Page
from tests.servers import ServerProcess, server_process

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("server")
    release = doors.write_many(folder / "models" / "many")
    assert main(["convert", str(release), "--to", "onnx", "--skip-verification"]) == 0
    with server_process(folder) as server:
        yield server


@pytest.mark.parametrize("device", ["cpu", "onnx"])
def test_the_page_speaks(windows: Any, own_server: ServerProcess, device: str) -> None:
    expected = doors.posted(own_server.url, "cpu")
    doors.check_page(Page(windows(), own_server.url), own_server.url, device, expected)
