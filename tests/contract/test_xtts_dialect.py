"""The XTTS dialect with other engines, several clients, and a browser in between."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest
from starlette.testclient import TestClient

from engines.api import Voice
from server.app import create_app
from server.clients import xtts
from server.clients.xtts_settings import SettingsShelf, XttsSettings
from server.gate.access import Access
from server.gate.gate import Rules
from server.gate.hosts import Hosts
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.servers import served, wait_until

HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-cache"}
SLIDERS = {
    "temperature": 0.75,
    "speed": 1,
    "length_penalty": 1,
    "repetition_penalty": 5,
    "top_p": 0.85,
    "top_k": 50,
    "enable_text_splitting": True,
    "stream_chunk_size": 100,
}


def speak(client, text: str, voice: str, language: str = "en", **more):
    body = {"text": text, "speaker_wav": voice, "language": language, **more}
    return client.post("/tts_to_audio/", json=body)


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def studio(tone, tmp_path) -> Studio:
    return Studio(Settings(data_dir=tmp_path, shared=False))


PAGE = "http://127.0.0.1:8000"


@pytest.fixture
def browser(studio):
    """A browser with SillyTavern's page, from which it asks a server that was told of it."""
    rules = Rules(Access(), Hosts("127.0.0.1"), origins=frozenset({PAGE}))
    app = create_app(studio, rules=rules)
    with TestClient(app, base_url="http://127.0.0.1:7860", client=("127.0.0.1", 1)) as client:
        yield client


def test_its_page_may_ask_and_read(browser) -> None:
    for path in ("/set_tts_settings", "/tts_to_audio/"):
        preflight = {
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "cache-control,content-type",
        }
        answer = browser.options(path, headers=preflight)
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "cache-control" in answer.headers["access-control-allow-headers"].lower()
    headers = {**HEADERS, "Origin": PAGE, "Sec-Fetch-Site": "same-site"}
    body = {"text": "One two.", "speaker_wav": "Sine", "language": "en"}
    for answer in (
        browser.get("/speakers", headers=headers),
        browser.post("/set_tts_settings", headers=headers, json=SLIDERS),
        browser.post("/tts_to_audio/", headers=headers, json=body),
        browser.post("/tts_to_audio/", headers=headers, json={"text": ""}),
    ):
        assert answer.status_code in (200, 400)
        assert answer.headers["access-control-allow-origin"] == PAGE
    # what it plays while it is made is asked for without an origin
    sound = browser.get("/tts_stream/", params=body, headers={"Sec-Fetch-Site": "same-site"})
    assert sound.status_code == 200
    assert sound.headers.get_list("cross-origin-resource-policy") == ["same-site"]


def test_other_pages_may_not(browser) -> None:
    foreign = {**HEADERS, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    body = {"text": "One.", "speaker_wav": "Sine"}
    assert browser.post("/tts_to_audio/", headers=foreign, json=body).status_code == 403
    assert browser.get("/tts_stream", headers=foreign, params=body).status_code == 403
    answer = browser.get("/speakers", headers=foreign)
    assert "access-control-allow-origin" not in answer.headers


def test_settings_are_each_clients_own(studio) -> None:
    app = create_app(studio)
    with TestClient(app, client=("10.0.0.1", 1)) as one:
        assert one.post("/set_tts_settings", json={"speed": 2.0}).status_code == 200
        assert one.get("/get_tts_settings").json()["speed"] == 2.0
        other = TestClient(app, client=("10.0.0.2", 1))
        assert other.get("/get_tts_settings").json()["speed"] == 1.0


def test_no_more_settings_are_kept_than_fit() -> None:
    shelf = SettingsShelf(clients=2)
    for number, client in enumerate("abc", 1):
        shelf.keep(client, XttsSettings(top_k=number))
        shelf.of("a")
    assert [shelf.of(client).top_k for client in "abc"] == [1, 50, 3]


def test_a_voice_of_any_engine_is_found_without_naming_it(studio) -> None:
    with TestClient(create_app(studio)) as client:
        answer = speak(client, "One two.", "Square", "de")
        assert answer.headers["x-vivavoce-engine"] == "tone"
        assert speak(client, "One.", "Clara").headers["x-vivavoce-engine"] == "espeak"


def test_stored_voices_are_listed_where_an_engine_can_speak_with_them(
    tone, studio, monkeypatch
) -> None:
    stored = SimpleNamespace(id="0123456789abcdef", name="My uncle", language="de")
    asked = []

    def listing(owner: str, limit: int) -> SimpleNamespace:
        asked.append((owner, limit))
        return SimpleNamespace(voices=(stored,))

    library = SimpleNamespace(list=listing)
    monkeypatch.setattr(Studio, "voices_library", library)
    with TestClient(create_app(studio)) as client:
        assert "My uncle" not in client.get("/speakers_list").json()
        tone.capability = replace(tone.capability, clones=True)
        names = client.get("/speakers_list").json()
        assert names.index("Clara") < names.index("My uncle") < names.index("Sine")
        voices = {v["id"]: v for v in client.get("/v1/audio/voices").json()["voices"]}
        assert voices[stored.id]["tags"] == ["cloned"]
        assert voices[stored.id]["engine"] == "tone"
    assert asked[0][0] == ""


def test_two_engines_may_have_voices_of_one_name(tone, studio, monkeypatch) -> None:
    twin = Voice("de", "German", "tone", ("de",))
    monkeypatch.setattr(tone, "voices", lambda _self: (twin,))
    monkeypatch.setattr(tone, "voice", lambda _self, _id: twin)
    with TestClient(create_app(studio)) as client:
        found = [v for v in client.get("/speakers").json() if v["name"].startswith("German [")]
        assert [(v["name"], v["voice_id"]) for v in found] == [
            ("German [espeak:de]", "espeak:de"),
            ("German [tone:de]", "tone:de"),
        ]
        for voice in found:
            answer = speak(client, "Ja.", voice["name"], "de")
            assert answer.headers["x-vivavoce-engine"] == voice["voice_id"].split(":")[0]


def test_a_client_that_leaves_stops_the_work(tone, studio) -> None:
    tone.gate = threading.Event()
    with served(studio) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{url}/tts_to_audio/",
                json={"text": "One two three.", "speaker_wav": "Sine"},
                timeout=httpx.Timeout(10, read=1),
            )
        wait_until(lambda: not studio.jobs(), "the engine is let go")
    assert tone.chunks == 0


def test_an_engine_that_breaks_is_told_even_midway(tone, studio) -> None:
    tone.failure = RuntimeError("out of tune")
    with served(studio) as url:
        answer = httpx.post(
            f"{url}/tts_to_audio/", json={"text": "One two.", "speaker_wav": "Sine"}
        )
        assert answer.status_code == 500
        assert "out of tune" in answer.json()["detail"]


def test_the_schema_tells_of_every_path(studio) -> None:
    with TestClient(create_app(studio)) as client:
        paths = client.get("/openapi.json").json()["paths"]
    ours = {route.path for route in xtts.router.routes if route.include_in_schema}
    assert len(ours) == 8 and ours <= set(paths)
