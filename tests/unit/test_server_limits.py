"""What is read of a request and what is refused."""

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from engines.errors import Cancelled, QueueFull
from server import limits
from server.errors import BadBody, RequestTimeout, RequestTooLarge, UnsupportedMediaType
from server.limits import StreamSlots, body_limit, parse_object, read_json
from studio.settings import Settings


def nested(levels: int) -> bytes:
    return b'{"a": ' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is no JSON"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1} x', "is no JSON"),
        (b"{'a': 1}", "is no JSON"),
        (b"null", "no object"),
        (b'["input"]', "no object"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": "\\ud800"}', "half a sign"),
        (b'{"a": {"b": ["\\udc00x"]}}', "half a sign"),
        (b'{"\\ud800": 1}', "half a sign"),
        (nested(limits.DEPTH + 1), "nested"),
        (nested(500), "nested"),
        (nested(200_000), "nested"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number"),
    ],
)
def test_bodies_that_are_refused(body, says) -> None:
    with pytest.raises(BadBody, match=says) as caught:
        parse_object(body)
    json.dumps(caught.value.param).encode("utf-8")
    str(caught.value).encode("utf-8")


def test_the_field_with_half_a_sign_is_named() -> None:
    with pytest.raises(BadBody) as caught:
        parse_object(b'{"model": "x", "input": "\\ud83d"}')
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\N{GRINNING FACE}"}),
        ('{"a": "ü音"}'.encode(), {"a": "ü音"}),
        (nested(limits.DEPTH), None),
    ],
)
def test_bodies_that_pass(body, value) -> None:
    assert parse_object(body) == (value or json.loads(body))


@given(st.binary(max_size=200))
def test_any_bytes_give_an_object_or_bad_body(body) -> None:
    try:
        assert isinstance(parse_object(body), dict)
    except BadBody:
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.booleans())
def test_valid_objects_come_through_unchanged(value, ascii_only) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        assert parse_object(body) == value
    except BadBody as error:
        assert any(word in str(error) for word in ("half a sign", "nested", "UTF-8"))


# reading


def request_of(*parts: bytes, complete: bool = False, **headers: str) -> tuple[Request, list]:
    """A request whose body comes in parts, and the list of the parts not read yet."""
    left = list(parts)

    async def receive():
        if not left:
            await asyncio.sleep(60)
        part = left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(left) or not complete}

    given = {"content_type": "application/json", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive), left


def read(request: Request, limit: int):
    return asyncio.run(read_json(request, limit))


def test_no_more_is_read_than_may_be_used() -> None:
    request, left = request_of(*[b" " * 100] * 50)
    with pytest.raises(RequestTooLarge, match="1,000 bytes"):
        read(request, 1000)
    assert len(left) == 50 - 11


def test_a_length_that_is_too_large_is_not_read_at_all() -> None:
    request, left = request_of(b"{}", content_length="1001")
    with pytest.raises(RequestTooLarge):
        read(request, 1000)
    assert left == [b"{}"]


def test_a_body_that_never_ends_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)
    request, _ = request_of(b"{")
    with pytest.raises(RequestTimeout):
        read(request, 1000)


def test_a_client_that_leaves_while_it_sends() -> None:
    async def receive():
        return {"type": "http.disconnect"}

    request, _ = request_of()
    request._receive = receive
    with pytest.raises(Cancelled):
        read(request, 1000)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "json"])
def test_only_json_is_taken(kind) -> None:
    request, left = request_of(b"{}", content_type=kind)
    with pytest.raises(UnsupportedMediaType, match="application/json"):
        read(request, 1000)
    assert left == [b"{}"]


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/ld+json"]
)
def test_json_by_any_of_its_names(kind) -> None:
    request, _ = request_of(b'{"a":', b"1}", complete=True, content_type=kind)
    assert read(request, 1000) == {"a": 1}


def test_the_longest_text_fits_even_if_escaped(tmp_path) -> None:
    settings = Settings(data_dir=tmp_path, max_chars=1000)
    assert len(json.dumps({"input": "音" * 1000})) <= body_limit(settings)


def test_slots_run_out_and_come_back(tmp_path) -> None:
    slots = StreamSlots(replace(Settings(data_dir=tmp_path), max_queued=0))
    held = [slots.taken() for _ in range(slots.limit)]
    for each in held:
        each.__enter__()
    with pytest.raises(QueueFull), slots.taken():
        pass
    held[0].__exit__(None, None, None)
    with pytest.raises(RuntimeError, match="broke"), slots.taken():
        raise RuntimeError("broke")
    with slots.taken():
        assert slots.open == slots.limit
