"""Speech over real sockets, from an engine that the tests hold back or break."""

import base64
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import numpy as np
import pytest

from engines.errors import EngineFailure, OutOfMemory
from server import streaming
from studio.jobs import JobState
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.servers import served, wait_until

WORDS = "One two three. Four five six. Seven eight nine. "  # nine words, 1.8 s
SPEECH = "/v1/audio/speech"
PCM_RATE = 24_000


class Turnstile:
    """Lets an engine make as many chunks as the test says."""

    def __init__(self) -> None:
        self._passes = threading.Semaphore(0)

    def wait(self, timeout: float) -> bool:
        return self._passes.acquire(timeout=timeout)

    def let(self, chunks: int) -> None:
        self._passes.release(chunks)


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def gate(tone) -> Turnstile:
    tone.gate = Turnstile()
    return tone.gate


@pytest.fixture
def studio(tone, tmp_path) -> Studio:
    settings = Settings(
        data_dir=tmp_path, presets_dir=tmp_path / "none", workers=2, max_queued=2, shared=False
    )
    return Studio(settings)


@pytest.fixture
def client(studio):
    with served(studio) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def body(text: str = WORDS, **values) -> dict:
    return {"model": "tone", "input": text, "response_format": "pcm", "seed": 1, **values}


def connect(client: httpx.Client, values: dict) -> socket.socket:
    """A connection on which a request for speech has been sent."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)
    content = json.dumps(values).encode()
    connection.sendall(
        f"POST {SPEECH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n".encode()
        + content
    )
    return connection


def wait_until_idle(studio: Studio) -> None:
    def idle() -> bool:
        names = [thread.name for thread in threading.enumerate()]
        return not studio.jobs() and not any(name.startswith("stream-") for name in names)

    wait_until(idle, "the work ended")


def events_of(answer: httpx.Response) -> list[dict]:
    lines = answer.read().decode().split("\n\n")
    assert lines.pop() == ""
    return [json.loads(line.removeprefix("data: ")) for line in lines]


# sent while it is made


def test_sound_arrives_while_the_rest_is_still_to_be_spoken(tone, gate, client) -> None:
    gate.let(30)
    with client.stream("POST", SPEECH, json=body(WORDS * 10)) as answer:
        parts = answer.iter_raw()
        first = next(parts)
        assert answer.status_code == 200
        assert tone.chunks <= 30
        gate.let(60)
        rest = sum(map(len, parts))
    assert len(first) + rest > 15 * PCM_RATE * 2


def test_a_wav_stream_starts_with_44_bytes_and_an_open_length(client) -> None:
    with client.stream("POST", SPEECH, json=body(response_format="wav")) as answer:
        content = answer.read()
    assert answer.headers["content-type"] == "audio/wav"
    assert content[:4] + content[8:16] + content[36:40] == b"RIFFWAVEfmt data"
    assert content[4:8] == content[40:44] == b"\xff\xff\xff\xff"
    rate = int.from_bytes(content[24:28], "little")
    assert str(rate) == answer.headers["x-vivavoce-sample-rate"]
    samples = np.frombuffer(content[44:], "<i2")
    assert 1.5 < samples.size / rate < 4


def test_headers_say_what_was_spoken_how(client) -> None:
    values = body(voice={"id": "square"}, language="de", instructions="Sing!")
    answer = client.post(SPEECH, json=values)
    headers = answer.headers
    assert headers["x-vivavoce-synthetic"] == "true"
    assert headers["x-vivavoce-engine"] == "tone"
    assert headers["x-vivavoce-voice"] == "square"
    assert headers["x-vivavoce-language"] == "de"
    assert headers["x-vivavoce-device"] == "cpu"
    assert headers["x-vivavoce-seed"] == "1"
    assert headers["x-vivavoce-sample-rate"] == str(PCM_RATE)
    assert headers["content-disposition"].endswith(f'{headers["x-vivavoce-job"]}.pcm"')
    assert "instructions" in headers["x-vivavoce-note"]
    assert headers["transfer-encoding"] == "chunked"
    assert "content-length" not in headers


def test_a_drawn_seed_is_told_and_gives_the_same_again(client) -> None:
    drawn = client.post(SPEECH, json=body(seed=None))
    again = client.post(SPEECH, json=body(seed=int(drawn.headers["x-vivavoce-seed"])))
    assert drawn.content == again.content


def test_controls_count_in_both_places(client) -> None:
    normal = len(client.post(SPEECH, json=body()).content)
    top = len(client.post(SPEECH, json=body(speed=2)).content)
    inner = len(client.post(SPEECH, json=body(controls={"speed": 2})).content)
    assert top == inner < 0.75 * normal


def test_a_connection_serves_one_answer_after_another(client) -> None:
    with closing(connect(client, body("One."))) as connection:
        reader = connection.makefile("rb")
        assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
        while reader.readline() != b"\r\n":
            pass
        while size := int(reader.readline(), 16):
            assert len(reader.read(size + 2)) == size + 2
        assert reader.readline() == b"\r\n"
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reader.readline() == b"HTTP/1.1 200 OK\r\n"


def test_sse_events_hold_the_same_sound(studio, client) -> None:
    whole = client.post(SPEECH, json=body())
    answer = client.post(SPEECH, json=body(stream_format="sse"))
    assert answer.headers["content-type"].startswith("text/event-stream")
    *deltas, done = events_of(answer)
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert max(map(len, answer.iter_lines())) < 64 * 1024
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == whole.content
    usage = done.pop("usage")
    assert done == {"type": "speech.audio.done"}
    assert usage["input_tokens"] == len(WORDS)
    assert usage["output_tokens"] == pytest.approx(20 * len(whole.content) / 2 / PCM_RATE, abs=2)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_many_streams_are_served_at_once(tone, gate, tmp_path) -> None:
    studio = Studio(Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", workers=9))
    with served(studio) as url, ThreadPoolExecutor(9) as pool:
        answers = [pool.submit(httpx.post, url + SPEECH, json=body(), timeout=60) for _ in range(9)]
        wait_until(
            lambda: [job.state for job in studio.jobs()] == [JobState.RUNNING] * 9,
            "nine jobs in work at once",
        )
        assert httpx.get(url + "/readyz").status_code == 200
        gate.let(9 * 9)
        contents = {answer.result().content for answer in answers}
    assert len(contents) == 1
    assert len(contents.pop()) > PCM_RATE * 2


# errors


@pytest.mark.parametrize("sse", [False, True])
def test_what_fails_before_there_is_sound_is_an_ordinary_error(gate, client, sse) -> None:
    values = body(deadline=0.2, stream_format="sse" if sse else "audio")
    answer = client.post(SPEECH, json=values)
    assert answer.status_code == 504
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == "deadline_exceeded"


def test_an_engine_that_lacks_memory_is_an_ordinary_error(tone, client) -> None:
    tone.failure = OutOfMemory("No room.", "", "Wait.")
    answer = client.post(SPEECH, json=body())
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert answer.json()["error"] == {
        "message": "No room. Wait.",
        "type": "server_error",
        "param": None,
        "code": "out_of_memory",
    }


def test_a_stream_that_breaks_off_does_not_look_whole(tone, gate, studio, client) -> None:
    gate.let(30)
    with client.stream("POST", SPEECH, json=body(WORDS * 10)) as answer:
        parts = answer.iter_raw()
        next(parts)
        tone.failure = EngineFailure("The tone fell off.")
        gate.let(60)
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in parts:
                pass
    wait_until_idle(studio)
    assert client.get("/readyz").status_code == 200


def test_an_sse_stream_that_breaks_off_says_so(tone, gate, client) -> None:
    gate.let(30)
    with client.stream("POST", SPEECH, json=body(WORDS * 10, stream_format="sse")) as answer:
        wait_until(lambda: tone.chunks == 30, "the engine spoke")
        tone.failure = EngineFailure("The tone fell off.")
        gate.let(60)
        *deltas, last = events_of(answer)
    assert deltas
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert last["type"] == "error"
    assert last["error"]["code"] == "engine_failure"
    assert "fell off" in last["error"]["message"]


def test_a_full_queue_says_come_back(gate, studio, client) -> None:
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(client.post, SPEECH, json=body()) for _ in range(4)]
        wait_until(
            lambda: (
                sorted(job.state.value for job in studio.jobs())
                == ["queued", "queued", "running", "running"]
            ),
            "two in work and two in the queue",
        )
        refused = client.post(SPEECH, json=body())
        gate.let(4 * 9)
        assert [answer.result().status_code for answer in waiting] == [200] * 4
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert int(refused.headers["retry-after"]) > 0


# clients that leave


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_a_client_that_leaves_stops_the_engine_within_one_chunk(
    tone, gate, studio, client, stream_format
) -> None:
    with closing(connect(client, body(WORDS * 10, stream_format=stream_format))) as connection:
        gate.let(30)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        wait_until(lambda: tone.chunks == 30, "the engine spoke")
        job = studio.jobs()[0]
    wait_until(lambda: job.cancel_token.is_set, "the server noticed")
    gate.let(60)
    wait_until_idle(studio)
    assert tone.chunks <= 31
    assert tone.left > 0
    assert job.state is JobState.CANCELLED


def test_a_client_that_leaves_before_there_is_sound_stops_the_engine(
    tone, gate, studio, client
) -> None:
    with closing(connect(client, body())):
        wait_until(lambda: any(j.state is JobState.RUNNING for j in studio.jobs()), "it began")
    wait_until_idle(studio)
    assert tone.chunks == 0


def test_a_client_that_leaves_the_queue_is_not_spoken_to(tone, gate, studio, client) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = [pool.submit(client.post, SPEECH, json=body()) for _ in range(2)]
        wait_until(lambda: len(studio.jobs()) == 2, "two in work")
        with closing(connect(client, body("Never spoken. " * 50))):
            wait_until(lambda: len(studio.jobs()) == 3, "one in the queue")
            job = studio.jobs()[2]
        wait_until(lambda: job.cancel_token.is_set, "the server noticed")
        gate.let(1000)
        assert [answer.result().status_code for answer in first] == [200, 200]
    wait_until_idle(studio)
    assert tone.chunks == 18


def test_a_client_that_stops_reading_is_given_up(tone, studio, client, monkeypatch) -> None:
    monkeypatch.setattr(streaming, "PATIENCE", 0.3)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((client.base_url.host, client.base_url.port))
        content = json.dumps(body(WORDS * 300)).encode()
        connection.sendall(
            f"POST {SPEECH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        wait_until(lambda: tone.chunks > 0, "it began")
        wait_until_idle(studio)
    assert client.get("/readyz").status_code == 200


def test_a_full_buffer_holds_the_engine_back(tone, studio, client) -> None:
    with client.stream("POST", SPEECH, json=body(WORDS * 3000)) as answer:
        next(answer.iter_raw())
        held = {tone.chunks}

        def stands_still() -> bool:
            before = max(held)
            threading.Event().wait(0.3)
            held.add(tone.chunks)
            return before == max(held)

        wait_until(stands_still, "the engine waits for the client", 60)
    wait_until_idle(studio)
    assert max(held) < 27_000
