"""By which names and from which pages the server may be asked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import WebSocketDisconnect

from server.answers import ErrorAnswer
from server.gate import addresses
from server.gate.access import Access
from server.gate.hosts import (
    LOOK_AGAIN,
    BadHostName,
    BadOrigin,
    host_name,
    read_host_name,
    read_origin,
    same_origin,
)
from tests.unit.gate_helpers import BROWSER, HERE, KEY, Clock, client, hosts

CHAT = "https://chat.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}


@pytest.fixture(autouse=True)
def a_machine_named_studio(monkeypatch):
    monkeypatch.setattr(addresses.socket, "gethostname", lambda: "Studio.lan")


@pytest.mark.parametrize(
    "header",
    [
        "localhost", "localhost:7860", "LOCALHOST.", "vivavoce.localhost", "127.0.0.1:7860",
        "127.8.9.10", "[::1]:7860", "192.168.1.5", "192.168.1.5:80", "[fd00::5]:7860",
        "[FD00:0::5]", "studio", "studio.lan:7860", "studio.local", "STUDIO.LOCAL.", "0.0.0.0:7860",
    ],
)  # fmt: skip
def test_our_own_names(header) -> None:
    assert hosts().allows(header)


@pytest.mark.parametrize(
    "header",
    [
        "", "evil.example", "localhost.evil.example", "notlocalhost", "192.168.1.5.evil.example",
        "192.168.1.6", "[fd00::6]", "studio.evil.example", "127.0.0.1@evil.example",
        "evil/localhost",
        "localhost:port", "localhost:1:2", "[::1", "::1", "[localhost]", "a b", "127.1",
        "2130706433",
        "localhost\x00", "localhost,evil.example",
    ],
)  # fmt: skip
def test_names_of_others(header) -> None:
    assert not hosts().allows(header)


def test_further_names_that_were_allowed() -> None:
    made = hosts(allowed=["tts.example", "*.home.example", "203.0.113.7"])
    for name in ("tts.example:80", "a.home.example", "a.b.home.example", "203.0.113.7"):
        assert made.allows(name), name
    for name in ("x.tts.example", "home.example", "xhome.example", "203.0.113.8"):
        assert not made.allows(name), name


def test_a_new_address_of_this_machine_is_noticed() -> None:
    clock, own = Clock(), {"10.0.0.1"}
    made = hosts(own_addresses=lambda: frozenset(own), clock=clock)
    own.add("10.0.0.2")
    assert not made.allows("10.0.0.2"), "it does not look each time"
    clock.now += LOOK_AGAIN
    assert made.allows("10.0.0.2")


def test_a_proxy_may_decide() -> None:
    assert hosts(check=False).allows("someone-vivavoce.hf.space")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_host_header_is_read(header) -> None:
    name = host_name(header)
    assert name is None or name == name.lower()
    hosts().allows(header)


@pytest.mark.parametrize("path", ["/", "/v1/models", "/healthz", "/gradio_api/info", "/login"])
def test_a_forged_host_is_refused_everywhere(path) -> None:
    for access in (Access(), Access([KEY])):
        answer = client(access).get(path, headers={"Host": "evil.example", "x-api-key": KEY})
        assert answer.status_code == 421
        error = ErrorAnswer.model_validate(answer.json()).error
        assert error.code == "wrong_host" and "--allow-host evil.example" in error.message


def test_a_forged_host_is_explained_to_a_person() -> None:
    answer = client().get("/", headers={"Host": "<b>evil</b>", **BROWSER})
    assert answer.status_code == 421
    assert "&lt;b&gt;" in answer.text and "<b>" not in answer.text


def test_a_forged_forwarded_host_does_not_reach_gradio() -> None:
    assert client().get("/x", headers={"X-Forwarded-Host": "evil"}).json()["forwarded"] is None
    for fine in ("192.168.1.5:7860", "localhost"):
        assert client().get("/x", headers={"X-Forwarded-Host": fine}).json()["forwarded"] == fine


# pages of other sites


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        (HERE, "192.168.1.5:7860", True),
        ("http://localhost", "localhost:80", True),
        ("https://studio.example", "studio.example", True),
        ("https://studio.example", "studio.example:443", True),
        ("http://localhost:3000", "localhost:7860", False),
        ("http://localhost", "localhost:7860", False),
        ("null", "localhost", False),
        ("", "localhost", False),
        ("file://localhost", "localhost", False),
        ("http://evil.example", "localhost", False),
    ],
)
def test_what_is_the_same_origin(origin, host, same) -> None:
    assert same_origin(origin, host) is same


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://192.168.1.5:3000"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": HERE, "Sec-Fetch-Site": "cross-site"},
]
OWN = [{}, {"Origin": HERE}, {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_foreign_page_can_do_nothing(headers, method) -> None:
    for access in (Access(), Access([KEY])):
        with_key = {"x-api-key": KEY, **headers}
        answer = client(access).request(method, "/v1/audio/speech", headers=with_key)
        assert answer.status_code == 403
        error = ErrorAnswer.model_validate(answer.json()).error
        assert error.code == "foreign_origin" and "--allow-origin" in error.message


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_our_own_page_and_programs_can(headers) -> None:
    assert client().post("/v1/audio/speech", headers=headers).status_code == 200


def test_a_foreign_page_cannot_log_anybody_in() -> None:
    answer = client(Access([KEY])).post(
        "/login", data={"password": KEY}, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_a_foreign_page_can_link_here_but_not_read() -> None:
    answer = client().get("/x", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-allow")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_a_page_that_is_allowed_may_ask_and_read() -> None:
    page = client(Access([KEY]), origins=frozenset({CHAT}))
    first = page.options("/v1/audio/speech", headers={"Origin": CHAT, **PREFLIGHT})
    assert first.status_code == 204
    assert first.headers["access-control-allow-origin"] == CHAT
    assert "POST" in first.headers["access-control-allow-methods"]
    assert first.headers["access-control-allow-headers"] == "authorization, content-type"
    headers = {"Origin": CHAT, "Sec-Fetch-Site": "cross-site"}
    answer = page.post("/v1/audio/speech", headers={**headers, "x-api-key": KEY})
    assert answer.status_code == 200
    assert answer.headers.get_list("access-control-allow-origin") == [CHAT]
    assert "X-Vivavoce-Seed" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"
    refused = page.post("/v1/audio/speech", headers=headers)
    assert refused.status_code == 401, "an origin is no key"
    assert refused.headers["access-control-allow-origin"] == CHAT, "its page may read why"


def test_only_the_page_that_is_allowed() -> None:
    page = client(origins=frozenset({CHAT}))
    for other in ("https://evil.example", CHAT + ":8443", "http://chat.example", CHAT + ".evil"):
        answer = page.options("/v1/audio/speech", headers={"Origin": other, **PREFLIGHT})
        assert "access-control-allow-origin" not in answer.headers
        assert page.post("/v1/audio/speech", headers={"Origin": other}).status_code == 403


def test_the_names_of_a_preflight_are_not_copied_blindly() -> None:
    headers = {"Origin": CHAT, **PREFLIGHT, "Access-Control-Request-Headers": "x<script>"}
    answer = client(origins=frozenset({CHAT})).options("/x", headers=headers)
    assert "access-control-allow-headers" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"x-api-key": "wrong"}, {}],
    ids=str,
)
def test_a_websocket_is_guarded_too(headers) -> None:
    socket = client(Access([KEY]))
    with pytest.raises(WebSocketDisconnect), socket.websocket_connect("/ws", headers=headers):
        pass


# what is read from the command line


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Studio.Example", "studio.example"), ("*.example", "*.example"), ("host:7860", "host"),
        ("10.0.0.1", "10.0.0.1"), ("[fd00::1]:80", "fd00::1"), ("my_pc", "my_pc"),
    ],
)  # fmt: skip
def test_a_host_name_is_read(text, read) -> None:
    assert read_host_name(text) == read


@pytest.mark.parametrize("text", ["", "*", "*.", "http://x", "x/y", "a b", "*x.example", "-x", "é"])
def test_what_is_no_host_name_is_refused(text) -> None:
    with pytest.raises(BadHostName):
        read_host_name(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("https://Chat.example/", CHAT), ("https://chat.example:443", CHAT),
        ("http://localhost:3000", "http://localhost:3000"), ("http://[::1]:80", "http://[::1]"),
    ],
)  # fmt: skip
def test_an_origin_is_read(text, read) -> None:
    assert read_origin(text) == read


@pytest.mark.parametrize(
    "text",
    ["", "*", "https://*.example", "chat.example", "https://a/b", "ftp://a", "http://a:x", "null"],
)
def test_what_is_no_origin_is_refused(text) -> None:
    with pytest.raises(BadOrigin):
        read_origin(text)
