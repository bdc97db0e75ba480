"""What Open WebUI's server sends where its Text-to-Speech engine is OpenAI with our address."""

from __future__ import annotations

import httpx
import pytest

TEXT = "The birch canoe slid on the smooth planks."
USER = {
    "X-OpenWebUI-User-Name": "Ada%20L",
    "X-OpenWebUI-User-Id": "7f6c",
    "X-OpenWebUI-User-Email": "ada@example.org",
    "X-OpenWebUI-User-Role": "admin",
}


@pytest.fixture(params=["/v1", ""], ids=["with v1", "without v1"])
def base(server, request) -> str:
    return server.url + request.param


def speech(base: str, **more) -> httpx.Response:
    payload = {"input": TEXT, "voice": "alloy", "model": "tts-1", **more}
    headers = {"Authorization": "Bearer sk-none", **USER}
    return httpx.post(f"{base}/audio/speech", json=payload, headers=headers, timeout=60)


def test_speech_as_it_is_set_up_at_first(base) -> None:
    answer = speech(base)
    assert answer.status_code == 200
    assert answer.content[:3] == b"ID3", "it keeps the answer as an mp3 file"


def test_speech_with_additional_parameters(base) -> None:
    normal = speech(base, response_format="pcm", seed=7)
    answer = speech(base, response_format="pcm", seed=7, speed=2.0)
    assert len(answer.content) < 0.7 * len(normal.content)


def test_an_error_has_what_it_shows(base) -> None:
    answer = speech(base, voice="nobody")
    assert answer.status_code == 400
    assert "nobody" in answer.json()["error"]["message"]


def test_voices_by_id_and_name(base) -> None:
    listed = httpx.get(f"{base}/audio/voices", timeout=30).json()["voices"]
    voices = {voice["id"]: voice["name"] for voice in listed}
    assert len(voices) == len(listed) > 100
    assert voices["clara"] == "Clara"
    # its own settings name OpenAI's voices, and a list without them would show none as chosen
    assert voices["alloy"] == "Robin (alloy)"
    assert {"alloy", "echo", "fable", "onyx", "nova", "shimmer"} <= set(voices)
    for voice in ("clara", "alloy", "de"):
        assert speech(base, voice=voice, input="Ja.").status_code == 200


def test_models(base) -> None:
    models = httpx.get(f"{base}/audio/models", timeout=30).json()["models"]
    assert {"id": "espeak", "name": "eSpeak NG"} in models
    assert speech(base, model="espeak").status_code == 200


def test_the_connection_is_checked_by_listing_models(base) -> None:
    listed = httpx.get(f"{base}/models", headers={"Authorization": "Bearer sk-none"}, timeout=30)
    assert "tts-1" in [model["id"] for model in listed.json()["data"]]


def test_aliases_can_be_filtered_like_voices(base) -> None:
    def ids(**question) -> list[str]:
        answer = httpx.get(f"{base}/audio/voices", params=question, timeout=30)
        return [voice["id"] for voice in answer.json()["voices"]]

    assert ids(q="shimmer") == ["shimmer"]
    assert "sage" in ids(language="en-GB") and "alloy" not in ids(language="en-GB")
    assert "alloy" in ids(engine="espeak")
