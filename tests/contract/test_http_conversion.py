"""A recording in another voice over HTTP."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from server.app import create_app
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes, voice_helpers
from tests.fakes import ConvertingEngine
from tests.voice_helpers import CONSENT, tone, wav

MAX_UPLOAD = 300_000


@pytest.fixture
def studio(monkeypatch, tmp_path) -> Studio:
    fakes.install(monkeypatch, ConvertingEngine)
    settings = Settings(
        data_dir=tmp_path, presets_dir=tmp_path / "none", max_upload=MAX_UPLOAD, history="all"
    )
    studio = Studio(settings)
    studio._library = voice_helpers.library(tmp_path)
    return studio


@pytest.fixture
def client(studio):
    with TestClient(create_app(studio), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def voice(studio: Studio) -> str:
    clips = [voice_helpers.clip(880.0)]
    return studio.voices_library.add("", "Ann", "de", [], clips, CONSENT).id


def convert(client, data: bytes | None = None, **fields):
    file = ("../../talk.wav", wav(tone(220, 2.0)) if data is None else data, "audio/wav")
    return client.post("/v1/audio/conversions", data=fields, files={"file": file})


@pytest.mark.parametrize(("form", "kind"), [("wav", "audio/wav"), ("flac", "audio/flac")])
def test_the_sound_comes_whole(client, studio, voice, form, kind) -> None:
    answer = convert(client, voice=voice, response_format=form, seed="7")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-vivavoce-synthetic"] == "true"
    assert answer.headers["x-vivavoce-seed"] == "7"
    assert int(answer.headers["content-length"]) == len(answer.content)
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    assert rate == fakes.RATE and samples.size / rate == pytest.approx(2, abs=0.1)
    peak = np.fft.rfftfreq(samples.size, 1 / rate)[np.abs(np.fft.rfft(samples)).argmax()]
    assert peak == pytest.approx(880, 0.01)
    (take,) = studio.history.page("").takes
    assert take.voice_name == "Ann"


def test_it_is_marked_as_synthetic(client, voice) -> None:
    data = convert(client, voice=voice, response_format="wav").content
    assert b"Synthetic speech, made with" in data


def test_models_are_listed(client) -> None:
    answer = client.get("/v1/audio/converters").json()
    assert [each["id"] for each in answer["converters"]] == ["turner", "twin"]
    assert answer["converters"][0]["sample_rate"] == fakes.RATE


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, "voice", "invalid_request"),
        ({"voice": "nobody"}, "voice", "no_such_voice"),
        ({"voice": "{voice}", "model": "nothing"}, "model", "unknown_voice"),
        ({"voice": "{voice}", "seed": "-1"}, "seed", "invalid_request"),
        ({"voice": "{voice}", "seed": "9999999999"}, "seed", "bad_control"),
        ({"voice": "{voice}", "device": "mps"}, "device", "unknown_device"),
        ({"voice": "{voice}", "response_format": "doc"}, "response_format", "unknown_format"),
        ({"voice": "{voice}", "speed": "2"}, "speed", "unknown_field"),
    ],
)
def test_what_is_refused(client, voice, fields, param, code) -> None:
    sent = {name: value.format(voice=voice) for name, value in fields.items()}
    answer = convert(client, **sent)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)


def test_what_is_no_recording(client, voice) -> None:
    answer = convert(client, b"PK\x03\x04" + bytes(2000), voice=voice)
    assert answer.status_code == 400 and "zip" in answer.json()["error"]["message"]
    assert convert(client, bytes(MAX_UPLOAD + 1), voice=voice).status_code == 413
    answer = client.post("/v1/audio/conversions", data={"voice": voice})
    assert answer.status_code in (400, 415)
