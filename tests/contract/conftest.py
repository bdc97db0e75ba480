"""One running program for all contract tests that only talk to it."""

import pytest

from tests.servers import server_process


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with server_process(tmp_path_factory.mktemp("server")) as server:
        yield server
