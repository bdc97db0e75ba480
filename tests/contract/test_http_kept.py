"""Voices kept under a name over HTTP: kept, listed, spoken with, let go; and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from server.answers import ErrorAnswer
from server.app import create_app
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes

URL = "/v1/voices/kept"
KEEP = {"name": "Nadia", "voice": "square"}


@pytest.fixture(params=[False])
def client(request, monkeypatch, tmp_path) -> Iterator[TestClient]:
    fakes.install(monkeypatch, fakes.MakingEngine)
    settings = Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", shared=request.param)
    with TestClient(create_app(Studio(settings)), raise_server_exceptions=False) as client:
        yield client


def error_of(answer) -> tuple[int, str, str | None]:
    error = ErrorAnswer.model_validate(answer.json()).error
    return answer.status_code, error.code, error.param


def test_a_voice_is_kept_spoken_with_and_let_go(client) -> None:
    answer = client.post(URL, json=KEEP)
    made = {"id": "nadia", "name": "Nadia", "engine": "tone", "voice": "square"}
    assert answer.status_code == 201
    assert answer.json() == {**made, "language": "de", "gender": ""}
    assert client.get(URL).json() == {"voices": [answer.json()]}
    listed = client.get("/v1/audio/voices?engine=tone").json()["voices"]
    assert [voice["id"] for voice in listed] == ["nadia", "sine", "square"]
    spoken = client.post("/v1/audio/speech", json={"input": "Hello.", "voice": "nadia"})
    assert (spoken.status_code, spoken.headers["X-Vivavoce-Voice"]) == (200, "square")
    assert client.delete(f"{URL}/nadia").status_code == 204
    assert error_of(client.delete(f"{URL}/nadia"))[0] == 404
    assert client.get(URL).json() == {"voices": []}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_request", "name"),
        ({**KEEP, "name": 7}, "invalid_request", "name"),
        ({**KEEP, "voice": None}, "invalid_request", "voice"),
        ({**KEEP, "file": "../x.json"}, "invalid_request", "file"),
        ({**KEEP, "name": "a\x00"}, "bad_voice_field", "name"),
        ({**KEEP, "voice": "cat"}, "unknown_voice", "voice"),
        ({**KEEP, "engine": "none"}, "unknown_engine", None),
        ({**KEEP, "language": "fr"}, "unknown_language", "language"),
    ],
)
def test_what_does_not_do_is_refused(client, body, code, param) -> None:
    status, said, named = error_of(client.post(URL, json=body))
    assert (status, said) == (400, code) and (param is None or named == param)
    assert client.get(URL).json() == {"voices": []}


def test_the_id_of_a_voice_that_was_made_up_is_told_and_can_be_kept(client) -> None:
    asked = {"model": "tone", "input": "One. Two.", "voice": "sine"}
    header = "X-Vivavoce-Made-Voice"
    told = client.post("/v1/audio/speech", json=asked).headers[header]
    assert client.post(URL, json={"name": "Ann", "voice": told}).json()["voice"] == told
    again = client.post("/v1/audio/speech", json={**asked, "voice": "ann"})
    assert again.headers["X-Vivavoce-Voice"] == told and header not in again.headers


def test_a_name_stands_once(client) -> None:
    assert client.post(URL, json=KEEP).status_code == 201
    assert error_of(client.post(URL, json=KEEP)) == (400, "name_taken", "name")


@pytest.mark.parametrize("client", [True], indirect=True)
def test_a_shared_machine_keeps_nothing(client) -> None:
    assert error_of(client.post(URL, json=KEEP))[:2] == (403, "not_allowed_here")
    assert error_of(client.delete(f"{URL}/nadia"))[:2] == (403, "not_allowed_here")


def test_openapi_shows_what_is_taken(client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    body = paths[URL]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["required"]) == {"name", "voice"}
    assert "delete" in paths[URL + "/{voice_id}"]
