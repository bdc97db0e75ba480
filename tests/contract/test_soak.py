"""Five hundred mixed requests against one process: nothing leaks, nothing hangs, every answer is
well-formed."""

import json
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import psutil
import pytest

from engines.espeak.engine import WORKERS
from server.answers import ErrorAnswer
from tests.servers import ServerProcess, wait_until

REQUESTS = 500
WARM_UP = 100  # what is loaded once is loaded by then
CLIENTS = 12
SPEECH = "/v1/audio/speech"
MEBI = 1024**2

SHORT = ("Yes.", "The birch canoe slid.", "Glue the sheet to 3 blue boards.", "שלום עולם.")
LONG = "It's easy to tell the depth of a well. " * 400
FIRST_BYTES = {
    "mp3": (b"ID3", b"\xff"),
    "opus": (b"OggS",),
    "aac": (b"ID3", b"\xff"),
    "flac": (b"fLaC",),
    "wav": (b"RIFF",),
    "pcm": (b"",),
}
INVALID = (
    b"",
    b"[1, 2",
    b'{"input": ""}',
    b'{"input": "\\ud800"}',
    b'{"input": "\xf0\x9f\x98\x80"}',
    b'{"input": "a", "speed": NaN}',
    b'{"input": "a", "voice": "nope"}',
    b'{"input": "a", "model": "nope"}',
    b'{"input": "a", "device": "cuda:9"}',
    b'{"input": "a", "response_format": "exe"}',
    b'{"input": "a", "seed": "x"}',
    b'{"input": "' + b"x" * 5_000_000 + b'"}',
)
PAGES = (
    "/healthz", "/readyz", "/v1/models", "/v1/audio/voices?language=de", "/v1/engines",
    "/v1/nothing", "/metrics", "/v1/devices",
)  # fmt: skip
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


class Visitor:
    """Clients of every manner, good and bad. Each method raises where an answer is malformed."""

    def __init__(self, server: ServerProcess) -> None:
        self._port = server.port
        self._http = httpx.Client(
            base_url=server.url, timeout=60, limits=httpx.Limits(max_connections=CLIENTS)
        )
        self.manners = (
            (self.listens, 40), (self.reads_events, 10), (self.errs, 25), (self.looks_around, 10),
            (self.leaves_midway, 10), (self.leaves_at_once, 5), (self.leaves_in_its_own_words, 5),
        )  # fmt: skip

    def visit(self, dice: random.Random) -> str:
        manners, weights = zip(*self.manners, strict=True)
        manner = dice.choices(manners, weights)[0]
        return f"{manner.__name__} {manner(dice)}"

    def close(self) -> None:
        self._http.close()

    def listens(self, dice: random.Random) -> int:
        name = dice.choice(list(FIRST_BYTES))
        body = {"input": dice.choice(SHORT), "response_format": name, "seed": dice.randrange(99)}
        answer = self._http.post(SPEECH, json=body)
        if answer.status_code == 200:
            assert answer.content.startswith(FIRST_BYTES[name])
            assert len(answer.content) > 500
            assert answer.headers["x-vivavoce-seed"] == str(body["seed"])
        return self._checked(answer, {200, 429})

    def reads_events(self, dice: random.Random) -> int:
        answer = self._http.post(SPEECH, json={"input": dice.choice(SHORT), "stream_format": "sse"})
        if answer.status_code == 200:
            events = [json.loads(e.removeprefix("data: ")) for e in answer.text.split("\n\n")[:-1]]
            assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (
                len(events) - 1
            )
            assert events[-1]["type"] == "speech.audio.done"
        return self._checked(answer, {200, 429})

    def errs(self, dice: random.Random) -> int:
        headers = {"Content-Type": "application/json"}
        answer = self._http.post(SPEECH, content=dice.choice(INVALID), headers=headers)
        return self._checked(answer, {400, 413})

    def looks_around(self, dice: random.Random) -> int:
        return self._checked(self._http.get(dice.choice(PAGES)), {200, 404})

    def leaves_midway(self, dice: random.Random) -> int:
        name = dice.choice(list(FIRST_BYTES))
        body = {
            "input": LONG,
            "response_format": name,
            "stream_format": dice.choice(["audio", "sse"]),
        }
        with self._http.stream("POST", SPEECH, json=body) as answer:
            if answer.status_code == 200:
                assert next(answer.iter_raw())
                return 200
            answer.read()
            return self._checked(answer, {429})

    def leaves_at_once(self, dice: random.Random) -> int:
        self._send(json.dumps({"input": LONG}).encode())
        return 0

    def leaves_in_its_own_words(self, dice: random.Random) -> int:
        self._send(json.dumps({"input": LONG}).encode()[: dice.randrange(100)])
        return 0

    def _send(self, content: bytes) -> None:
        length = len(json.dumps({"input": LONG}))
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
            connection.sendall(
                f"POST {SPEECH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {length}\r\n\r\n".encode()
                + content
            )

    def _checked(self, answer: httpx.Response, statuses: set[int]) -> int:
        assert answer.status_code in statuses, answer.text[:500]
        if answer.status_code >= 400:
            ErrorAnswer.model_validate(answer.json())
        return answer.status_code


def metrics(server: ServerProcess) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }


def broken_answers(server: ServerProcess) -> float:
    return metrics(server).get('vivavoce_http_answers_total{status="500"}', 0)


def is_idle(server: ServerProcess) -> bool:
    figures = metrics(server)
    names = [
        'vivavoce_jobs{state="queued"}',
        'vivavoce_jobs{state="running"}',
        "vivavoce_open_streams",
    ]
    return all(figures[name] == 0 for name in names)


@pytest.mark.timeout(300)
def test_five_hundred_mixed_requests(server: ServerProcess) -> None:
    visitor = Visitor(server)

    def visit_all(numbers: range) -> list[str]:
        with ThreadPoolExecutor(CLIENTS) as pool:
            seen = list(pool.map(lambda n: visitor.visit(random.Random(n)), numbers))
        wait_until(lambda: is_idle(server), "the queue is empty", 60)
        return seen

    broken = broken_answers(server)
    seen = visit_all(range(WARM_UP))
    before = load_of(server)
    seen += visit_all(range(WARM_UP, REQUESTS))
    after = load_of(server)
    visitor.close()

    assert len(seen) == REQUESTS
    assert sum(each.startswith("listens 200") for each in seen) > 100
    assert after.threads <= before.threads + 4
    assert after.files <= before.files + 8
    assert after.processes <= PROCESSES_A_WORKER * WORKERS
    more = max(0, after.processes - before.processes)  # the pool may have grown to its full size
    assert after.bytes <= before.bytes * 1.15 + (20 + more * PROCESS_MEBI) * MEBI
    assert httpx.get(f"{server.url}/readyz").json() == {"status": "ready"}
    assert broken_answers(server) == broken
    spoken = httpx.post(f"{server.url}{SPEECH}", json={"input": "Still here."}, timeout=30)
    assert spoken.status_code == 200
    log = server.log.read_text("utf-8")
    assert "Traceback" not in log, log[-3000:]
