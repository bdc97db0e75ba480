"""What the server says about itself: engines, voices, devices, health, metrics, OpenAPI."""

import re
from dataclasses import replace

import pytest
from pydantic import Field
from starlette.testclient import TestClient

from engines.api import Controls
from server.answers import ErrorAnswer
from server.app import create_app
from server.serve import serve
from studio.presets import EnginePreset, Presets, StarterVoice
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", shared=False)


@pytest.fixture
def studio(tone, settings) -> Studio:
    studio = Studio(settings)
    studio.shipped = Presets(
        engines=(EnginePreset("low", "Low", "A low tone.", "tone", controls={"frequency": 90}),),
        voices=(
            StarterVoice("jürgen", "Jürgen", "", "tone", "square", "de-AT", "male", tags=("warm",)),
        ),
    )
    return studio


@pytest.fixture
def client(studio):
    with TestClient(create_app(studio), raise_server_exceptions=False) as client:
        yield client


def test_models_have_the_shape_of_openai(client) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert {"tone", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"} <= {m["id"] for m in listed["data"]}
    for model in listed["data"]:
        assert model["object"] == "model"
        assert isinstance(model["created"], int)
        assert client.get(f"/v1/models/{model['id']}").json() == model


def test_a_model_that_is_not_there(client) -> None:
    answer = client.get("/v1/models/gpt-9")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert "tone" in answer.json()["error"]["message"]


def test_models_as_open_webui_reads_them(client) -> None:
    models = client.get("/v1/audio/models").json()["models"]
    assert {"id": "tone", "name": "Tone"} in models


def test_voices(client) -> None:
    voices = client.get("/v1/audio/voices", params={"engine": "tone"}).json()["voices"]
    assert [voice["id"] for voice in voices] == ["jürgen", "sine", "square"]
    assert voices[0] == {
        "id": "jürgen",
        "name": "Jürgen",
        "engine": "tone",
        "languages": ["de-AT"],
        "gender": "male",
        "tags": ["starter", "warm"],
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"language": "de"}, ["jürgen", "square"]),
        ({"language": "DE_at"}, ["jürgen"]),
        ({"language": "en-US"}, ["sine"]),
        ({"language": "d"}, []),
        ({"q": "SQU"}, ["square"]),
        ({"q": "ÜRG"}, ["jürgen"]),
        ({"q": "warm", "language": "de"}, ["jürgen"]),
        ({"q": "nothing of this"}, []),
    ],
)
def test_voices_are_filtered(client, query, found) -> None:
    voices = client.get("/v1/audio/voices", params={"engine": "tone", **query}).json()["voices"]
    assert [voice["id"] for voice in voices] == found


def test_voices_of_an_engine_that_is_not_there(client) -> None:
    answer = client.get("/v1/audio/voices", params={"engine": "nope"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "engine"


def test_engines_tell_their_controls_support_and_presets(client) -> None:
    engines = {each["name"]: each for each in client.get("/v1/engines").json()["engines"]}
    tone = engines["tone"]
    assert tone["controls"][0] == {
        "name": "frequency",
        "label": "Frequency",
        "help": "Pitch of the tone in Hz.",
        "kind": "float",
        "default": 440.0,
        "minimum": 50.0,
        "maximum": 2000.0,
        "step": None,
        "choices": [],
    }
    assert {"runtime": "cpu", "dtype": "native", "status": "supported", "note": ""} in tone[
        "support"
    ]
    assert tone["presets"] == [{"id": "low", "title": "Low", "description": "A low tone."}]


def test_devices(client) -> None:
    devices = client.get("/v1/devices").json()["devices"]
    cpu = next(device for device in devices if device["name"] == "cpu")
    assert cpu["total"] > 2**28
    assert cpu["title"]


# OpenAPI


def test_a_new_control_appears_in_openapi_and_is_taken(tone, client) -> None:
    class More(fakes.ToneControls):
        sparkle: int = Field(3, ge=1, le=5, description="How much it sparkles.")

    tone.controls = More
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    field = schemas["SpeechBody"]["properties"]["sparkle"]
    assert (field["minimum"], field["maximum"], field["default"]) == (1, 5, 3)
    assert field["description"] == "How much it sparkles."
    assert schemas["Controls_tone"]["properties"]["sparkle"] == field
    refused = client.post("/v1/audio/speech", json={"model": "tone", "input": "a", "sparkle": 9})
    assert refused.json()["error"]["param"] == "sparkle"


def test_openapi_is_whole(client) -> None:
    document = client.get("/openapi.json").json()
    refs = set(re.findall(r'"#/components/schemas/([^"]+)"', client.get("/openapi.json").text))
    assert refs <= set(document["components"]["schemas"])
    assert "VoiceId" in refs
    assert "422" not in document["paths"]["/v1/audio/voices"]["get"]["responses"]
    assert "ValidationError" not in document["components"]["schemas"]
    speech = document["paths"]["/v1/audio/speech"]["post"]
    assert {"audio/wav", "audio/mpeg", "text/event-stream"} <= set(
        speech["responses"]["200"]["content"]
    )
    body = document["components"]["schemas"]["SpeechBody"]
    assert body["required"] == ["input"]
    assert set(body["properties"]["response_format"]["enum"]) == {
        "mp3", "opus", "aac", "flac", "wav", "pcm"
    }  # fmt: skip
    assert {"/v1/models", "/v1/audio/voices", "/healthz", "/readyz", "/metrics"} <= set(
        document["paths"]
    )


def test_the_docs_page_needs_nothing_from_elsewhere(client) -> None:
    page = client.get("/docs").text
    assert "https://" not in page
    assets = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page)
    assert len(assets) == 2
    for asset in assets:
        assert client.get(asset).status_code == 200


def test_a_control_never_hides_a_field_of_the_request(tone, client) -> None:
    class Clashing(Controls):
        input: int = Field(1, ge=1, le=2, description="Not the text.")

    tone.controls = Clashing
    body = client.get("/openapi.json").json()["components"]["schemas"]["SpeechBody"]
    assert body["properties"]["input"]["type"] == "string"


# health and metrics


def test_health_follows_the_life_of_the_server(studio) -> None:
    app = create_app(studio)
    before = TestClient(app)
    assert before.get("/readyz").status_code == 503
    assert before.get("/readyz").json() == {"status": "starting"}
    with TestClient(app) as client:
        assert client.get("/readyz").json() == {"status": "ready"}
        assert client.get("/healthz").json() == {"status": "ok"}
        app.state.context.state = "stopping"
        stopping = client.get("/readyz")
        assert (stopping.status_code, stopping.json()) == (503, {"status": "stopping"})
        assert client.get("/healthz").status_code == 200
        refused = client.post("/v1/audio/speech", json={"model": "tone", "input": "a"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")


def metrics(client: TestClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }


def test_metrics_count_what_happened(client) -> None:
    spoken = client.post("/v1/audio/speech", json={"model": "tone", "input": "One two three."})
    assert spoken.status_code == 200
    client.post("/v1/audio/speech", json={"model": "tone", "input": ""})
    figures = metrics(client)
    assert figures['vivavoce_requests_total{outcome="done"}'] == 1
    assert figures["vivavoce_characters_total"] == len("One two three.")
    assert 0.5 < figures["vivavoce_audio_seconds_total"] < 2
    assert figures['vivavoce_jobs{state="queued"}'] == 0
    assert figures['vivavoce_jobs{state="running"}'] == 0
    assert figures['vivavoce_http_answers_total{status="200"}'] == 1
    assert figures['vivavoce_http_answers_total{status="400"}'] == 1
    assert figures["vivavoce_first_audio_seconds_count"] == 1
    assert figures["vivavoce_first_audio_seconds_sum"] > 0
    assert figures["vivavoce_open_streams"] == 0
    assert metrics(client)['vivavoce_http_answers_total{status="200"}'] == 2


def test_metrics_count_what_is_resident(studio, client, monkeypatch) -> None:
    from engines.memory import ResidentInfo, ResidentState

    residents = [
        ResidentInfo(f"part {n}", "weights", ResidentState.READY, "cuda:0", 100, 0, 0, 1.0)
        for n in range(2)
    ]
    monkeypatch.setattr(studio.memory, "residents", lambda: tuple(residents))
    figures = metrics(client)
    labels = '{device="cuda:0",kind="weights",state="ready"}'
    assert figures[f"vivavoce_residents{labels}"] == 2
    assert figures[f"vivavoce_resident_bytes{labels}"] == 200


def test_a_shared_machine_hides_itself(tone, settings) -> None:
    studio = Studio(replace(settings, shared=True))
    with TestClient(create_app(studio)) as client:
        assert client.get("/metrics").status_code == 404
        assert "/metrics" not in client.get("/openapi.json").json()["paths"]
        devices = client.get("/v1/devices").json()["devices"]
        assert any(device["name"] == "cpu" for device in devices)
        assert all(d["total"] is d["free"] is None and not d["title"] for d in devices)
        assert client.get("/readyz").status_code == 200


# paths and methods


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v1/audio/speech", 405, "POST"),
        ("PUT", "/v1/audio/speech", 405, "POST"),
        ("OPTIONS", "/v1/audio/speech", 405, "POST"),
        ("POST", "/v1/models", 405, "GET"),
        ("DELETE", "/v1/models/tone", 405, "GET"),
        ("POST", "/healthz", 405, "GET"),
        ("POST", "/metrics", 405, "GET"),
        ("GET", "/v1/", 404, None),
        ("GET", "/v1/audio/nothing", 404, None),
        ("POST", "/v1/%ff%00/x", 404, None),
        ("GET", "/nowhere", 404, None),
    ],
)
def test_wrong_paths_and_methods(client, method, path, status, allow) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers.get("allow") == allow
    error = ErrorAnswer.model_validate(answer.json()).error
    assert error.type == "invalid_request_error"
    assert error.code == {404: "not_found", 405: "method_not_allowed"}[status]


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/v1/models", "/v1/audio/voices?engine=tone"]
)
def test_head_answers_as_get_without_a_body(client, path) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_every_answer_carries_the_security_headers(client) -> None:
    for path in ("/healthz", "/nowhere", "/docs"):
        assert client.get(path).headers["x-content-type-options"] == "nosniff"


def test_foreign_pages_get_no_leave_to_read(client) -> None:
    answer = client.get("/v1/models", headers={"Origin": "https://example.com"})
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_an_unforeseen_error_is_an_openai_error(studio, client, monkeypatch) -> None:
    monkeypatch.setattr(studio, "voices", lambda engine: 1 / 0)
    answer = client.get("/v1/audio/voices")
    assert answer.status_code == 500
    error = ErrorAnswer.model_validate(answer.json()).error
    assert (error.type, error.code) == ("server_error", "internal_error")
    assert "division" not in error.message


def test_an_address_in_use_is_said(studio) -> None:
    import socket

    from server.errors import AddressInUse

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUse, match=f"127.0.0.1:{port}"):
            serve(studio, "127.0.0.1", port)
    studio.close()
