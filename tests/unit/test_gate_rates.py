"""How much one client may ask for, what belongs to whom, and what an answer carries."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import JSONResponse
from uvicorn import Config

from server.answers import ErrorAnswer
from server.errors import ClosedDoor, FileOfAnother, RequestTimeout, RequestTooLarge, TooMany
from server.gate import rates as module
from server.gate.access import Access
from server.gate.files import MOST, Told, check_door
from server.gate.rates import (
    A_SECOND,
    BURST,
    MOST_CLIENTS,
    MOST_CONNECTIONS,
    Body,
    Rates,
    bounded_protocol,
)
from tests.unit.gate_helpers import BROWSER, JSON_LIMIT, KEY, Clock, client

# requests


def test_a_burst_is_fine_and_a_flood_is_not() -> None:
    clock = Clock()
    rates = Rates(clock)
    for _ in range(int(BURST)):
        rates.take("a")
    with pytest.raises(TooMany) as refused:
        rates.take("a")
    assert refused.value.headers["Retry-After"] == "1"
    rates.take("b")
    clock.now += 1
    for _ in range(int(A_SECOND)):
        rates.take("a")
    with pytest.raises(TooMany):
        rates.take("a")


def test_only_so_many_clients_are_remembered() -> None:
    rates = Rates(Clock())
    for number in range(MOST_CLIENTS + 5):
        rates.take(str(number))
    assert len(rates._buckets) == MOST_CLIENTS


def test_a_flood_from_another_machine_gets_429() -> None:
    clock = Clock()
    flood = client(rates=Rates(clock))
    statuses = [flood.post("/v1/audio/speech").status_code for _ in range(int(BURST) + 1)]
    assert statuses[:-1] == [200] * int(BURST)
    last = flood.post("/v1/audio/speech")
    assert last.status_code == 429 and last.headers["retry-after"] == "1"
    assert ErrorAnswer.model_validate(last.json()).error.type == "rate_limit_error"
    assert flood.get("/v1/models").status_code == 200, "looking costs nothing"
    assert flood.get("/tts_stream?text=x").status_code == 429, "but this speaks"


def test_each_key_has_a_rate_of_its_own() -> None:
    access, rates = Access(["one", "two"]), Rates(Clock())
    program = client(access, rates=rates)
    for _ in range(int(BURST)):
        program.post("/x", headers={"x-api-key": "one"})
    assert program.post("/x", headers={"x-api-key": "one"}).status_code == 429
    assert program.post("/x", headers={"x-api-key": "two"}).status_code == 200


@pytest.mark.parametrize(
    ("sender", "host", "limited"),
    [
        ("127.0.0.1", "localhost:7860", False),
        ("::1", "[::1]:7860", False),
        ("127.0.0.1", "192.168.1.5", True),  # a proxy or tunnel of this machine
        ("192.168.1.9", "localhost", True),
    ],
)
def test_this_machine_itself_has_no_limit(sender, host, limited) -> None:
    program = client(rates=Rates(Clock()), sender=(sender, 1), url=f"http://{host}")
    seen = {program.post("/x").status_code for _ in range(int(BURST) + 1)}
    assert (429 in seen) is limited


# bodies


@pytest.mark.parametrize(
    ("content_type", "limit"),
    [
        ("application/json", JSON_LIMIT),
        ("", JSON_LIMIT),
        ("application/x-www-form-urlencoded", JSON_LIMIT),
        ("audio/wav", 5000 + module.FORM_MARGIN),
        ("multipart/form-data; boundary=x", 5000 + module.FORM_MARGIN),
        ("application/zip", 5000 + module.FORM_MARGIN),
    ],
)
def test_a_body_has_a_longest_length_by_its_type(content_type, limit) -> None:
    program = client()
    headers = {"Content-Type": content_type}
    fits = program.post("/gradio_api/upload", content=b"x" * limit, headers=headers)
    assert fits.json()["size"] == limit
    for content in (b"x" * (limit + 1), iter([b"x" * limit, b"x"])):
        answer = program.post("/gradio_api/upload", content=content, headers=headers)
        assert answer.status_code == 413
        assert ErrorAnswer.model_validate(answer.json()).error.code == "request_too_large"


def run_body(messages, limit=100, declared=None):
    async def read():
        waiting = iter(messages)

        async def receive():
            found = next(waiting, None)
            if found is None:
                await asyncio.sleep(1000)
            return {"type": "http.request", "body": found, "more_body": True}

        body = Body(receive, limit, declared)
        while True:
            await body.receive()

    asyncio.run(read())


def test_a_body_is_counted_as_it_comes() -> None:
    with pytest.raises(RequestTooLarge):
        run_body([b"x" * 60, b"x" * 60])
    with pytest.raises(RequestTooLarge):
        run_body([], declared="101")


def test_a_body_that_stops_coming_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(module, "BODY_SECONDS", 0.05)
    with pytest.raises(RequestTimeout):
        run_body([b"x"])


def test_a_body_that_is_given_up_gets_408(monkeypatch) -> None:
    async def never():
        raise RequestTimeout("Too slow.")

    monkeypatch.setattr(Body, "receive", lambda self: never())
    answer = client().post("/v1/audio/speech", json={})
    assert answer.status_code == 408 and answer.headers["connection"] == "close"
    assert ErrorAnswer.model_validate(answer.json()).error.code == "request_timeout"


# connections


class Wire(asyncio.Transport):
    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1), "sockname": ("127.0.0.1", 80)})
        self.closed = False

    def abort(self) -> None:
        self.closed = True

    close = abort

    def is_closing(self) -> bool:
        return self.closed


def test_one_address_has_few_connections(monkeypatch) -> None:
    monkeypatch.setattr(module, "HEADER_SECONDS", 0.01)

    async def connect() -> None:
        from uvicorn.server import ServerState

        config = Config(lambda: None, http="h11", ws="none", log_config=None)
        config.load()
        state = ServerState()
        make = bounded_protocol(lambda address: address == "127.0.0.1")

        def connected(address: str):
            protocol = make(config, state, {})
            wire = Wire(address)
            protocol.connection_made(wire)
            return protocol, wire

        open_ones = [connected("10.0.0.1") for _ in range(MOST_CONNECTIONS)]
        assert not any(wire.closed for _, wire in open_ones)
        assert connected("10.0.0.1")[1].closed
        assert not connected("10.0.0.2")[1].closed
        assert not any(connected("127.0.0.1")[1].closed for _ in range(MOST_CONNECTIONS + 1))
        for protocol, _ in open_ones[:2]:
            protocol.connection_lost(None)
        assert not connected("10.0.0.1")[1].closed, "a place was left"
        asking, wire = connected("10.0.0.3")
        asking.data_received(b"GET / HTTP/1.1\r\nHost:")
        await asyncio.sleep(0.1)
        assert wire.closed, "half a request was all that came"

    asyncio.run(connect())


# what belongs to whom

A_FILE = "/gradio_api/file=/data/cache/gradio/" + "a" * 64 + "/speech.wav"


def names_a_file(_request):
    return JSONResponse([A_FILE.partition("=")[2]])


def two_users(**more):
    access = Access([], {"ada": "one", "bob": "two"})
    routes = {"/gradio_api/queue/data": names_a_file}
    made = client(access, routes=routes, **more)
    return made, ("ada", "one"), ("bob", "two")


def test_a_file_is_for_the_user_who_was_told_of_it() -> None:
    program, ada, bob = two_users()
    assert program.get(A_FILE, auth=ada).status_code == 403
    assert program.get("/gradio_api/queue/data", auth=ada).status_code == 200
    assert program.get(A_FILE, auth=ada).status_code == 200
    refused = program.get(A_FILE, auth=bob)
    assert refused.status_code == 403
    assert ErrorAnswer.model_validate(refused.json()).error.code == "not_your_file"
    for path in (A_FILE.replace("speech.wav", "../speech.wav"), A_FILE + "/../x"):
        assert program.get(path, auth=bob).status_code == 403


def test_ones_own_file_is_no_way_to_anothers() -> None:
    told = Told()
    told.note("bob", b"/%064x/" % 1)
    told.note("ada", b"/%064x/" % 2)
    path = "/gradio_api/file=/cache/{:064x}/../{}"
    told.check("bob", f"/gradio_api/file=/cache/{1:064x}/speech.wav")
    for other in (f"{2:064x}/speech.wav", "x/speech.wav", f"{1:064x}/speech.wav"):
        with pytest.raises(FileOfAnother):
            told.check("bob", path.format(1, other))


def test_visitors_of_a_shared_machine_are_told_apart() -> None:
    routes = {"/gradio_api/queue/data": names_a_file}
    ada = client(own_things=True, routes=routes)
    first = ada.get("/x")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    mine = ada.get("/x").json()["owner"]
    assert mine.startswith("visitor-") and mine == first.json()["owner"]
    assert "set-cookie" not in ada.get("/x").headers
    assert ada.cookies["vivavoce-visitor"] not in mine, "the owner does not give the cookie away"
    bob = client(own_things=True)
    bob.app = ada.app
    bob._transport.app = ada.app
    assert bob.get("/x").json()["owner"] not in ("", mine)
    bob.cookies["vivavoce-visitor"] = "guessed"
    assert bob.get("/x").json()["owner"] != mine
    ada.get("/gradio_api/queue/data")
    assert ada.get(A_FILE).status_code == 200
    assert bob.get(A_FILE).status_code == 403


def test_a_visitor_inside_hugging_faces_page_has_a_cookie_for_it_alone() -> None:
    cookie = client(own_things=True, framed=True).get("/x").headers["set-cookie"]
    assert "SameSite=None" in cookie and "Secure" in cookie and "Partitioned" in cookie


def test_on_ones_own_machine_nobody_is_told_apart() -> None:
    answer = client().get("/x")
    assert answer.json()["owner"] == "" and "set-cookie" not in answer.headers


def test_who_the_owner_is_cannot_be_claimed() -> None:
    headers = {"owner": "ada", "x-owner": "ada", "state": "ada", "Cookie": "owner=ada"}
    assert client().get("/x?owner=ada", headers=headers).json()["owner"] == ""


def test_only_so_many_files_are_remembered() -> None:
    told = Told()
    for number in range(MOST + 1):
        told.note("ada", b"/%064x/" % number)
    assert len(told._told) == MOST
    told.check("ada", f"/gradio_api/file=/x/{MOST:064x}/y")
    with pytest.raises(FileOfAnother):
        told.check("ada", f"/gradio_api/file=/x/{0:064x}/y")


# parts of Gradio that nothing uses


@pytest.mark.parametrize(
    "path",
    [
        "proxy=http://127.0.0.1/x", "file=http://169.254.169.254/latest", "file=HTTPS://x/y",
        "file=ftp://x/y", "vibe-edit/", "vibe-code", "undo-vibe-edit", "process_recording",
        "dev/reload", "deep_link", "file//etc/passwd", "runs", "PROXY=x",
    ],
)  # fmt: skip
def test_a_door_of_gradios_that_nobody_uses_is_closed(path) -> None:
    with pytest.raises(ClosedDoor):
        check_door(f"/gradio_api/{path}")
    assert client().get(f"/gradio_api/{path}").status_code == 404


@pytest.mark.parametrize(
    "path", ["file=/data/x/y.wav", "queue/join", "upload", "heartbeat/x", "call/speak", "info"]
)
def test_the_doors_that_are_used_are_open(path) -> None:
    check_door(f"/gradio_api/{path}")


# headers of every answer


@pytest.mark.parametrize("access", [Access(), Access([KEY])], ids=["let in", "refused"])
def test_every_answer_says_what_browsers_may_do_with_it(access) -> None:
    headers = client(access).get("/", headers=BROWSER).headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy and "default-src" in policy
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert len(headers.get_list("x-content-type-options")) == 1


def test_on_a_space_hugging_faces_page_may_be_around_ours() -> None:
    headers = client(framed=True).get("/", headers=BROWSER).headers
    assert "https://huggingface.co" in headers["content-security-policy"]
    assert "x-frame-options" not in headers
