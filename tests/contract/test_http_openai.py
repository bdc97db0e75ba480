"""The real program, spoken to by OpenAI's real client."""

import base64
import io
import json
import subprocess

import httpx
import imageio_ffmpeg
import numpy as np
import openai
import pytest
import soundfile

from tests.servers import ServerProcess

SENTENCE = "The birch canoe slid on the smooth planks."
FORMATS = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


@pytest.fixture(scope="module")
def client(server: ServerProcess):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def speak(client: openai.OpenAI, text: str = SENTENCE, **values):
    given = {"model": "tts-1", "voice": "alloy", "extra_body": {"seed": 7}, **values}
    return client.audio.speech.create(input=text, **given)


def decode(content: bytes, name: str, rate: int) -> np.ndarray:
    """Samples at `rate`, float32 [T], of a sound file in any format that we send."""
    if name == "pcm":
        return np.frombuffer(content, "<i2").astype(np.float32) / 32768
    if name in ("aac", "flac"):  # soundfile lacks aac, and cannot read a flac of unknown length
        ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
        command = [
            ffmpeg,
            "-v",
            "error",
            "-i",
            "-",
            "-f",
            "f32le",
            "-ac",
            "1",
            "-ar",
            str(rate),
            "-",
        ]
        done = subprocess.run(command, input=content, capture_output=True, check=True)
        return np.frombuffer(done.stdout, "<f4")
    samples, found = soundfile.read(io.BytesIO(content), dtype="float32")
    assert found == rate
    return samples


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_decodes_and_has_the_same_length(client, name) -> None:
    pcm = speak(client, response_format="pcm")
    expected = len(pcm.content) / 2 / 24_000
    assert 1.5 < expected < 6
    answer = speak(client, response_format=name)
    headers = answer.response.headers
    assert headers["content-type"].split(";")[0] == FORMATS[name]
    rate = int(headers["x-vivavoce-sample-rate"])
    samples = decode(answer.content, name, rate)
    assert samples.ndim == 1
    assert samples.size / rate == pytest.approx(expected, abs=0.2)
    assert 0.02 < np.sqrt(np.mean(samples**2)) < 0.5
    assert np.abs(samples).max() <= 1


def test_mp3_is_the_default(client) -> None:
    assert speak(client).response.headers["content-type"] == "audio/mpeg"


def test_a_stream_holds_the_same_bytes(client) -> None:
    whole = speak(client, response_format="wav").content
    with client.audio.speech.with_streaming_response.create(
        input=SENTENCE,
        model="tts-1",
        voice="alloy",
        response_format="wav",
        extra_body={"seed": 7},
    ) as stream:
        assert stream.headers["x-vivavoce-synthetic"] == "true"
        assert b"".join(stream.iter_bytes()) == whole


def test_sse(client) -> None:
    with client.audio.speech.with_streaming_response.create(
        input=SENTENCE,
        model="gpt-4o-mini-tts",
        voice="alloy",
        response_format="pcm",
        stream_format="sse",
        extra_body={"seed": 7},
    ) as stream:
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line]
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert audio == speak(client, response_format="pcm").content
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["total_tokens"] > len(SENTENCE)


def test_speed(client) -> None:
    normal = len(speak(client, response_format="pcm").content)
    fast = len(speak(client, response_format="pcm", speed=2.0).content)
    slow = len(speak(client, response_format="pcm", speed=0.5).content)
    assert fast < 0.75 * normal < normal < 0.75 * slow


def test_every_listed_model_speaks(client) -> None:
    models = [model.id for model in client.models.list()]
    assert {"espeak", "tts-1"} <= set(models)
    for model in models:
        answer = speak(client, "Yes.", model=model, response_format="pcm")
        assert len(answer.content) > 2000
    assert client.models.retrieve("espeak").id == "espeak"


def test_the_first_voices_speak_by_their_id(client, server) -> None:
    voices = httpx.get(f"{server.url}/v1/audio/voices").json()["voices"]
    assert len(voices) > 100
    assert all(voice["id"] and voice["name"] for voice in voices)
    for voice in voices[:3]:
        answer = speak(client, "Yes.", voice={"id": voice["id"]}, response_format="pcm")
        assert len(answer.content) > 2000


def test_instructions_are_answered_with_a_note(client) -> None:
    answer = speak(client, instructions="Speak like a pirate.")
    assert "instructions" in answer.response.headers["x-vivavoce-note"]


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"text": ""}, "input"),
        ({"voice": "nope"}, "voice"),
        ({"model": "nope"}, "model"),
        ({"response_format": "ogg"}, "response_format"),
        ({"speed": 0}, "speed"),
        ({"extra_body": {"seed": 1.5}}, "seed"),
    ],
)
def test_errors_are_what_the_client_expects(client, values, param) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        speak(client, **values)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert caught.value.code


def test_errors_of_a_stream_come_before_it(client) -> None:
    with (
        pytest.raises(openai.BadRequestError) as caught,
        client.audio.speech.with_streaming_response.create(
            input="\N{GRINNING FACE}", model="tts-1", voice="alloy", stream_format="sse"
        ),
    ):
        pass
    assert caught.value.param == "input"


def test_a_broken_lexicon_is_told_and_mended(client, server) -> None:
    folder = server.data_dir / "lexicon"
    file = folder / "en.txt"
    file.write_bytes(b"\xff\xfe no words at all = = =\n")
    try:
        with pytest.raises(openai.InternalServerError) as caught:
            speak(client)
        assert caught.value.code == "bad_lexicon"
        assert "en.txt" in str(caught.value)
    finally:
        file.unlink()
    assert speak(client).content
