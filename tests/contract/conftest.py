"""One running program for all contract tests that only talk to it."""

import pytest

from tests.servers import free_port, server_process


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with server_process(tmp_path_factory.mktemp("server")) as server:
        yield server


KEY = "sk-correct-horse"


@pytest.fixture(scope="session")
def locked(tmp_path_factory):
    """Another one, with a key and the Wyoming server, which knows none; and its Wyoming port."""
    port = free_port()
    folder = tmp_path_factory.mktemp("locked")
    flags = ("--api-key", KEY, "--wyoming", f"127.0.0.1:{port}")
    with server_process(folder, *flags) as server:
        yield server, port
