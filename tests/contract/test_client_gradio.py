"""The real gradio_client against the program."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from pathlib import Path

import pytest
import soundfile
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.contract.conftest import KEY

TEXT = "The birch canoe slid on the smooth planks."


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("downloads"))
    client = Client(server.url, download_files=folder, verbose=False)
    yield client
    client.close()


def test_only_what_is_meant_for_programs_is_shown(server) -> None:
    with urllib.request.urlopen(f"{server.url}/gradio_api/info", timeout=30) as answer:
        info = json.load(answer)
    assert set(info["named_endpoints"]) == {"/speak", "/voices", "/engines"}
    assert info["unnamed_endpoints"] == {}
    speak = info["named_endpoints"]["/speak"]
    names = [parameter["parameter_name"] for parameter in speak["parameters"]]
    assert names[:5] == ["text", "voice", "engine", "language", "seed"]
    assert [p["parameter_has_default"] for p in speak["parameters"]].count(False) == 1
    assert speak["returns"][0]["python_type"]["type"] == "filepath"


def test_speak_gives_a_sound_file(client) -> None:
    path = client.predict(TEXT, api_name="/speak")
    assert path.endswith(".mp3")
    samples, _ = soundfile.read(path)
    assert abs(samples).max() > 0.05


def test_everything_can_be_chosen(client) -> None:
    def spoken(**more) -> bytes:
        path = client.predict(
            text="Guten Tag.",
            voice="lena",
            engine="espeak",
            language="de",
            seed=7,
            format="wav",
            preset="audiobook",
            device="cpu",
            controls={"pitch": 70, "variation": 1.0, **more},
            api_name="/speak",
        )
        return Path(path).read_bytes()

    assert spoken().startswith(b"RIFF")
    assert spoken() == spoken(), "one seed gives one speech"
    assert len(spoken(speed=2)) < 0.7 * len(spoken())


def test_voices_and_engines(client) -> None:
    voices = client.predict(api_name="/voices")
    assert len(voices) > 100
    assert voices[0]["id"] == "clara"
    german = client.predict(engine="espeak", language="de", api_name="/voices")
    assert 0 < len(german) < len(voices)
    assert all("de" in voice["languages"] for voice in german)
    engine, *others = client.predict(api_name="/engines")
    assert not any(other["default"] for other in others)
    assert engine["name"] == "espeak" and engine["default"]
    assert "speed" in [control["name"] for control in engine["controls"]]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"text": ""}, "empty"),
        ({"text": 5}, "string"),
        ({"text": "a", "voice": "nobody"}, "'nobody'"),
        ({"text": "a", "engine": "nope"}, "'nope'"),
        ({"text": "a", "language": "xx"}, "'xx'"),
        ({"text": "a", "seed": -1}, "seed was -1"),
        ({"text": "a", "format": "exe"}, "'exe'"),
        ({"text": "a", "format": ["wav"]}, "format was"),
        ({"text": "a", "preset": "nope"}, "'nope'"),
        ({"text": "a", "device": "cuda:99"}, "cuda:99"),
        ({"text": "a", "controls": {"speed": 99}}, "from 0.25 to 4"),
        ({"text": "a", "controls": 5}, "controls was 5"),
        ({"text": "a", "voice": {"id": "clara"}}, "voice was"),
    ],
)
def test_an_errors_message_arrives(client, values, told) -> None:
    with pytest.raises(AppError) as caught:
        client.predict(**values, api_name="/speak")
    assert told in str(caught.value)


def test_a_wrong_filter(client) -> None:
    with pytest.raises(AppError, match="nope"):
        client.predict(engine="nope", api_name="/voices")


def test_calls_at_the_same_time(client) -> None:
    jobs = [client.submit(f"Number {n}.", format="wav", api_name="/speak") for n in range(6)]
    assert len({job.result(timeout=60) for job in jobs}) == 6


def test_with_a_key(locked, tmp_path) -> None:
    address, folder = locked[0].url, str(tmp_path)
    headers = {"Authorization": f"Bearer {KEY}"}
    with contextlib.closing(
        Client(address, headers=headers, download_files=folder, verbose=False)
    ) as client:
        assert Path(client.predict("Yes.", api_name="/speak")).stat().st_size > 500
    with pytest.raises(Exception, match="credentials"):
        Client(address, download_files=folder, verbose=False)
