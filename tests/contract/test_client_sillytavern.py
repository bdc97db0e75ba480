"""What SillyTavern sends: its provider XTTS from the browser, its provider OpenAI Compatible from
its own server."""

from __future__ import annotations

import io

import httpx
import pytest
import soundfile

TEXT = "The birch canoe slid on the smooth planks."
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


@pytest.fixture
def tavern(server):
    with httpx.Client(base_url=server.url, headers=HEADERS, timeout=60) as client:
        yield client
        client.post("/set_tts_settings", json=SLIDERS)


def speak(client, text: str = TEXT, voice: str = "Clara", language: str = "en", **more):
    body = {"text": text, "speaker_wav": voice, "language": language, **more}
    return client.post("/tts_to_audio/", json=body)


def seconds(answer: httpx.Response) -> float:
    assert answer.status_code == 200, answer.text
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    assert abs(samples).max() > 0.05
    return samples.size / rate


# the provider XTTS


def test_voices_have_names_of_their_own(tavern) -> None:
    voices = tavern.get("/speakers").json()
    assert len(voices) > 100
    for field in ("name", "voice_id"):
        assert len({voice[field] for voice in voices}) == len(voices)
    clara = voices[0]
    assert (clara["name"], clara["voice_id"]) == ("Clara", "clara")
    assert 0.2 < seconds(tavern.get(clara["preview_url"])) < 3
    assert tavern.get("/speakers_list").json() == [voice["name"] for voice in voices]


def test_languages_are_codes_by_name(tavern) -> None:
    languages = tavern.get("/languages").json()["languages"]
    assert (languages["English"], languages["German"], languages["Chinese"]) == ("en", "de", "zh")


def test_speech_is_a_whole_wav_file(tavern) -> None:
    answer = speak(tavern)
    assert answer.headers["content-type"] == "audio/wav"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert int.from_bytes(answer.content[4:8], "little") == len(answer.content) - 8
    assert 1.5 < seconds(answer) < 6
    assert b"Synthetic speech" in answer.content


def test_a_voice_goes_by_its_id_name_or_file(tavern) -> None:
    for voice in ("lena", "Lena", "lena.wav"):
        answer = speak(tavern, "Ja.", voice, "de")
        assert answer.headers["x-vivavoce-voice"].startswith("de")
    assert speak(tavern, "Yes.", "alloy").headers["x-vivavoce-language"] == "en-US"


def test_the_one_language_setting_is_no_error_with_voices_of_others(tavern) -> None:
    answer = speak(tavern, "Ja.", "Lena", "en")
    assert answer.headers["x-vivavoce-language"] == "de"
    assert "does not speak en" in answer.headers["x-vivavoce-note"]
    assert speak(tavern, "是。", "Mei", "zh-cn").headers["x-vivavoce-language"] in ("zh", "cmn")


def test_without_a_voice_the_language_chooses(tavern) -> None:
    assert speak(tavern, "Ja.", "", "de").headers["x-vivavoce-language"] == "de"


def test_streaming_by_address(tavern) -> None:
    question = {"text": TEXT, "speaker_wav": "Clara", "language": "en"}
    lengths = [
        seconds(tavern.get(path, params=question)) for path in ("/tts_stream", "/tts_stream/")
    ]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.2)
    answer = tavern.get("/tts_stream/", params=question)
    assert answer.headers["cross-origin-resource-policy"] == "same-site"


def test_every_path_is_there_with_and_without_a_slash(tavern) -> None:
    for path in ("/speakers", "/speakers_list", "/languages", "/get_tts_settings"):
        assert tavern.get(path).json() == tavern.get(f"{path}/").json()
    assert tavern.post("/set_tts_settings/", json=SLIDERS).status_code == 200
    assert seconds(tavern.post("/tts_to_audio", json={"text": "Yes.", "language": "en"})) > 0.1


def test_sliders_set_the_speed(tavern) -> None:
    normal = seconds(speak(tavern))
    answer = tavern.post("/set_tts_settings", json={**SLIDERS, "speed": 2})
    assert answer.status_code == 200
    assert "stream_chunk_size" in answer.json()["message"], "what does nothing is told"
    assert "speed" not in answer.json()["message"]
    assert tavern.get("/get_tts_settings").json() == {**SLIDERS, "speed": 2}
    assert seconds(speak(tavern)) < 0.7 * normal


@pytest.mark.parametrize(
    "sliders",
    [
        {"speed": 0},
        {"speed": 0.2},  # the dialect's least, and less than the engine takes
        {"temperature": "hot"},
        {"top_k": 1.5},
        {"enable_text_splitting": 1},
        {"stream_chunk_size": 10_000},
        {"repetition_penalty": None},
        {"colour": "red"},
        {"temperature": float("1e400")},
    ],
)
def test_a_wrong_slider_changes_nothing(tavern, sliders) -> None:
    content = str({**SLIDERS, **sliders}).replace("'", '"').replace("True", "true")
    answer = tavern.post("/set_tts_settings", content=content.replace("None", "null"))
    assert answer.status_code == 400
    assert next(iter(sliders)) in answer.json()["detail"] or "inf" in content
    assert tavern.get("/get_tts_settings").json() == SLIDERS


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"text": ""}, 400, "empty"),
        ({"text": TEXT, "speaker_wav": "nobody"}, 400, "nobody"),
        ({"text": TEXT, "speaker_wav": "../../etc/passwd"}, 400, "passwd"),
        ({"text": TEXT, "language": "xx"}, 400, "'xx'"),
        ({"text": 5}, 400, "text was 5"),
        ({"language": "en"}, 400, "text is missing"),
        ({"text": TEXT, "speaker_wav": ["a"]}, 400, "speaker_wav"),
        ({"text": TEXT, "save_path": "/tmp/x.wav"}, 400, "Nothing is written"),
        ({"text": "a" * 50_001}, 413, "50,000"),
        ([1], 400, "no object"),
    ],
)
def test_errors_are_in_the_shape_that_is_shown(tavern, body, status, told) -> None:
    answer = tavern.post("/tts_to_audio/", json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]
    assert told in answer.json()["detail"]


def test_errors_of_a_stream(tavern) -> None:
    for question, told in (
        ({}, "text"),
        ({"text": TEXT, "speaker_wav": "nobody"}, "nobody"),
        ({"text": "…"}, "letter"),
    ):
        answer = tavern.get("/tts_stream", params=question)
        assert answer.status_code == 400
        assert told in answer.json()["detail"]
    assert tavern.get("/sample/nobody.wav").status_code == 400
    assert tavern.get("/sample/../../etc/passwd").status_code == 404
    assert tavern.post("/tts_to_audio/", content=b"{}", headers={"Content-Type": "text/plain"}
                       ).status_code == 415  # fmt: skip


def test_a_page_of_the_internet_cannot_make_it_speak(tavern) -> None:
    question = {"text": TEXT, "speaker_wav": "Clara", "language": "en"}
    for path in ("/tts_stream", "/tts_stream/", "/sample/clara.wav"):
        answer = tavern.get(path, params=question, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
    near = tavern.get("/tts_stream", params=question, headers={"Sec-Fetch-Site": "same-site"})
    assert near.status_code == 200


# the provider OpenAI Compatible; it is given the whole address


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/audio/speech"])
@pytest.mark.parametrize("key", ["", "undefined", "sk-1"])
def test_openai_compatible(server, path, key) -> None:
    answer = httpx.post(
        server.url + path,
        json={
            "input": TEXT,
            "response_format": "mp3",
            "voice": "alloy",
            "speed": 1,
            "model": "tts-1",
        },
        headers={"Authorization": f"Bearer {key}".rstrip()},
        timeout=60,
    )
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.content[:3] == b"ID3"


@pytest.mark.parametrize("voice", ["alloy", "echo", "fable", "onyx", "nova", "shimmer"])
def test_the_voices_that_it_is_set_up_with(server, voice) -> None:
    body = {"input": "Yes.", "voice": voice, "model": "tts-1", "speed": 1, "response_format": "mp3"}
    assert httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60).status_code == 200
