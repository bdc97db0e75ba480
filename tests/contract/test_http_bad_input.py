"""Bad input over HTTP: a clear error with the right status, in OpenAI's form, never a 500."""

import json
import socket
from http.client import HTTPResponse

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from engines.errors import BadLexicon, StorageError
from server.answers import ErrorAnswer
from server.app import create_app
from server.schemas import SpeechBody
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.servers import served

SPEECH = "/v1/audio/speech"
JSON = {"Content-Type": "application/json"}
MAX_CHARS = 5000


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    limits = Settings(
        data_dir=folder, presets_dir=folder / "none", max_chars=MAX_CHARS, shared=False
    )
    with pytest.MonkeyPatch.context() as patch:
        fakes.install(patch)
        app = create_app(Studio(limits))
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client


def body(**values) -> dict:
    return {"model": "tone", "input": "One.", "response_format": "pcm", **values}


def error_of(answer) -> tuple[int, str | None, str]:
    """Status, field and message of an error, which has to have OpenAI's form."""
    error = ErrorAnswer.model_validate(answer.json()).error
    assert set(answer.json()) == {"error"}
    assert error.type == ("server_error" if answer.status_code >= 500 else "invalid_request_error")
    assert len(error.message) < 1500
    return answer.status_code, error.param, error.message


@pytest.mark.parametrize(
    ("values", "status", "param"),
    [
        ({"input": ""}, 400, "input"),
        ({"input": " \n\t "}, 400, "input"),
        ({"input": "\N{GRINNING FACE}\N{PARTY POPPER}"}, 400, "input"),
        ({"input": "\x00\x01\x02"}, 400, "input"),
        ({"input": "...!?"}, 400, "input"),
        ({"input": None}, 400, "input"),
        ({"input": 7}, 400, "input"),
        ({"input": ["One."]}, 400, "input"),
        ({"input": "\ud800"}, 400, "input"),
        ({"input": "One \udfff two."}, 400, "input"),
        ({"input": "x" * (MAX_CHARS + 1)}, 413, "input"),
        ({"input": "word " * 1_000_000}, 413, None),
        ({"model": "nope"}, 400, "model"),
        ({"model": 7}, 400, "model"),
        ({"model": "\ud800"}, 400, "model"),
        ({"voice": "nope"}, 400, "voice"),
        ({"voice": "x" * 10_000}, 400, "voice"),
        ({"voice": {"id": "nope"}}, 400, "voice"),
        ({"voice": {"name": "sine"}}, 400, "voice"),
        ({"voice": {"id": 7}}, 400, "voice"),
        ({"voice": ["sine"]}, 400, "voice"),
        ({"device": "cuda:77"}, 400, "device"),
        ({"device": "toaster"}, 400, "device"),
        ({"device": ""}, 400, "device"),
        ({"device": 0}, 400, "device"),
        ({"response_format": "ogg"}, 400, "response_format"),
        ({"response_format": ""}, 400, "response_format"),
        ({"response_format": ["mp3"]}, 400, "response_format"),
        ({"stream_format": "websocket"}, 400, "stream_format"),
        ({"speed": 0}, 400, "speed"),
        ({"speed": -1}, 400, "speed"),
        ({"speed": 1e9}, 400, "speed"),
        ({"speed": float("nan")}, 400, "speed"),
        ({"speed": float("inf")}, 400, "speed"),
        ({"speed": "fast"}, 400, "speed"),
        ({"speed": [1]}, 400, "speed"),
        ({"speed": 10**4000}, 400, "speed"),
        ({"controls": {"speed": float("nan")}}, 400, "speed"),
        ({"controls": {"speed": 2}, "speed": 3}, 400, "speed"),
        ({"controls": {"nope": 1}}, 400, "nope"),
        ({"controls": {"speed": None}}, 400, "speed"),
        ({"controls": [1]}, 400, "controls"),
        ({"controls": "speed=1"}, 400, "controls"),
        ({"seed": 1.5}, 400, "seed"),
        ({"seed": "7"}, 400, "seed"),
        ({"seed": -1}, 400, "seed"),
        ({"seed": 2**32}, 400, "seed"),
        ({"seed": 10**4000}, 400, "seed"),
        ({"seed": True}, 400, "seed"),
        ({"seed": float("nan")}, 400, "seed"),
        ({"language": "sw"}, 400, "language"),
        ({"language": "\x00"}, 400, "language"),
        ({"preset": "nope"}, 400, "preset"),
        ({"deadline": 0}, 400, "deadline"),
        ({"deadline": float("nan")}, 400, "deadline"),
        ({"deadline": float("inf")}, 400, "deadline"),
        ({"deadline": "soon"}, 400, "deadline"),
        ({"instructions": 7}, 400, "instructions"),
        ({"volume": 1}, 400, "volume"),
        ({"": 1}, 400, ""),
        ({"model_extra": 1}, 400, "model_extra"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_value_is_named(client, values, status, param) -> None:
    answer = client.post(SPEECH, content=json.dumps(body(**values)), headers=JSON)
    found = error_of(answer)
    assert found[:2] == (status, param)
    assert found[2].count(".") >= 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"nonsense", b"[]", b'"text"', b'{"input": "\xff"}', b"[" * 90_000],
    ids=lambda value: repr(value)[:20],
)
def test_a_body_that_is_no_json_object(client, content) -> None:
    status, _, message = error_of(client.post(SPEECH, content=content, headers=JSON))
    assert status == 400
    assert "The body" in message


def test_a_form_is_no_json(client) -> None:
    assert error_of(client.post(SPEECH, data={"input": "One."}))[0] == 415


@pytest.mark.parametrize(
    "text",
    [
        "שלום עולם.",
        "مرحبا بالعالم.",
        "Hello мир 世界 שלום.",
        "One\x00 two\x07 three\x1b[0m.",
        "One \N{GRINNING FACE} two.",
        "e\u0301" * 50,
        "\u202eabc\u202c.",
        "x" * MAX_CHARS,
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_odd_text_is_spoken(client, text) -> None:
    answer = client.post(SPEECH, json=body(input=text))
    assert answer.status_code == 200
    assert len(answer.content) > 1000


def test_what_is_left_out_is_told(client) -> None:
    answer = client.post(SPEECH, json=body(input="One \N{GRINNING FACE} two."))
    assert answer.headers["x-vivavoce-note"].isascii()


@pytest.mark.parametrize("error", [BadLexicon("en.txt, line 3: no word."), StorageError("Full.")])
def test_trouble_of_the_host_is_told(client, monkeypatch, error) -> None:
    def fail(request):
        raise error

    monkeypatch.setattr(client.app.state.context.studio, "submit", fail)
    status, _, message = error_of(client.post(SPEECH, json=body()))
    assert status == (507 if isinstance(error, StorageError) else 500)
    assert str(error) in message


# anything at all

FIELDS = st.sampled_from([*SpeechBody.model_fields, "speed", "frequency", "user"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)  # lone surrogates too
    | st.sampled_from(["tone", "sine", "wav", "sse", "audio", "cpu", "auto", "de", "One two."]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "speed", "frequency", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(FIELDS | st.text(max_size=3), VALUES, max_size=5), st.booleans())
@example({"controls": {"id": 10**400}}, False)
@example({"voice": {"id": {"id": {"id": []}}}}, False)
def test_any_body_gets_sound_or_a_well_formed_error(client, values, alone) -> None:
    content = json.dumps(values if alone else body(**values))
    answer = client.post(SPEECH, content=content, headers=JSON)
    if answer.status_code == 200:
        assert answer.headers["x-vivavoce-synthetic"] == "true"
    else:
        assert error_of(answer)[0] in (400, 504)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_get_a_well_formed_error(client, content) -> None:
    assert error_of(client.post(SPEECH, content=content, headers=JSON))[0] == 400


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["engine", "language", "q", "x"]), st.text(max_size=10)))
def test_any_query_gets_voices_or_a_well_formed_error(client, query) -> None:
    answer = client.get("/v1/audio/voices", params=query)
    if answer.status_code != 200:
        assert error_of(answer)[0] == 400


# sizes, over a real socket


def test_a_body_that_is_too_large_is_refused_before_it_has_come(tmp_path, monkeypatch) -> None:
    fakes.install(monkeypatch)
    studio = Studio(Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", max_chars=1000))
    with served(studio) as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        for length in ("Content-Length: 10000000000", "Transfer-Encoding: chunked"):
            with socket.create_connection(address, timeout=20) as connection:
                connection.sendall(
                    f"POST {SPEECH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    f"{length}\r\n\r\n".encode()
                )
                if "chunked" in length:
                    for _ in range(10):
                        connection.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
                answer = HTTPResponse(connection)
                answer.begin()
                assert answer.status == 413
                assert json.loads(answer.read())["error"]["code"] == "request_too_large"
