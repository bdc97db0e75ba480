"""Two thousand mixed requests of eight clients, in every dialect, against one process: nothing
leaks, nothing hangs, every answer is well-formed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from engines.espeak.engine import WORKERS
from tests.servers import ServerProcess, free_port, server_process, wait_until
from tests.visitors import SPEECH, Visitor

REQUESTS = 2000
WARM_UP = 400  # what is loaded once is loaded by then
CLIENTS = 8
MEBI = 1024**2
PROCESSES_A_WORKER = 2  # of eSpeak at rest: the worker, and its child with a voice set
PROCESS_MEBI = 25


@dataclass(frozen=True)
class Load:
    """What the server holds on to; `bytes` with its worker processes."""

    threads: int
    files: int
    processes: int
    bytes: int


def load_of(server: ServerProcess) -> Load:
    process = psutil.Process(server.process.pid)
    children = process.children(recursive=True)
    size = process.memory_info().rss + sum(child.memory_info().rss for child in children)
    return Load(process.num_threads(), process.num_fds(), len(children), size)


def metrics(server: ServerProcess) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }


def is_idle(server: ServerProcess) -> bool:
    figures = metrics(server)
    names = [
        'vivavoce_jobs{state="queued"}',
        'vivavoce_jobs{state="running"}',
        "vivavoce_open_streams",
    ]
    return all(figures[name] == 0 for name in names)


@pytest.fixture
def wyoming() -> int:
    return free_port()


@pytest.fixture
def server(tmp_path: Path, wyoming: int) -> Iterator[ServerProcess]:
    with server_process(tmp_path, "--wyoming", f"127.0.0.1:{wyoming}") as server:
        yield server


@pytest.mark.timeout(300)
def test_two_thousand_mixed_requests(server: ServerProcess, wyoming: int, tmp_path: Path) -> None:
    folder = tmp_path / "fetched"
    folder.mkdir()
    with ExitStack() as stack:
        visitors = [
            stack.enter_context(closing(Visitor(server, wyoming, folder))) for _ in range(CLIENTS)
        ]
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))

        def visits(client: int, numbers: range) -> list[str]:
            mine = numbers[client::CLIENTS]
            return [visitors[client].visit(random.Random(number)) for number in mine]

        def visit_all(numbers: range) -> Counter[str]:
            tasks = [pool.submit(visits, client, numbers) for client in range(CLIENTS)]
            seen = Counter(visit for task in tasks for visit in task.result())
            wait_until(lambda: is_idle(server), "the queue is empty", 60)
            return seen

        seen = visit_all(range(WARM_UP))
        before = load_of(server)
        seen += visit_all(range(WARM_UP, REQUESTS))
        after = load_of(server)

    assert seen.total() == REQUESTS
    assert {visit.split()[0] for visit in seen} == {m.__name__ for m in visitors[0].manners}
    assert seen["listens 200"] > 400
    assert seen["tavern_speaks 200"] > 80
    assert seen["home_speaks audio-stop"] > 40
    assert seen["home_streams synthesize-stopped"] > 30
    assert after.threads <= before.threads + 4
    # a worker opens the history's databases with its first take, and the last may start late
    assert after.files <= before.files + 24
    assert after.processes <= PROCESSES_A_WORKER * WORKERS
    more = max(0, after.processes - before.processes)  # the pool may have grown to its full size
    assert after.bytes <= before.bytes * 1.15 + (20 + more * PROCESS_MEBI) * MEBI
    assert not list(folder.rglob("*.mp3"))
    figures = metrics(server)
    assert figures.get('vivavoce_http_answers_total{status="500"}', 0) == 0
    assert httpx.get(f"{server.url}/readyz").json() == {"status": "ready"}
    spoken = httpx.post(f"{server.url}{SPEECH}", json={"input": "Still here."}, timeout=30)
    assert spoken.status_code == 200
    log = server.log.read_text("utf-8")
    assert "Traceback" not in log, log[-3000:]
