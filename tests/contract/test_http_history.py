"""The history over HTTP: find, hear in part or whole, keep, delete; and whose takes one gets."""

from __future__ import annotations

import io
import threading

import pytest
import soundfile
from starlette.testclient import TestClient

from engines.api import SpeechRequest
from server import owner
from server.answers import ErrorAnswer
from server.app import create_app
from server.history_api import TakeItem
from studio.encode import FORMATS
from studio.jobs import Job
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.servers import wait_until

WORDS = "One two three. Four five six."


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def studio(tone, tmp_path) -> Studio:
    return Studio(Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", shared=False))


@pytest.fixture
def client(studio):
    with TestClient(create_app(studio), raise_server_exceptions=False) as client:
        yield client


def spoken(studio: Studio, text: str = WORDS, **given) -> Job:
    job = studio.submit(SpeechRequest(text, engine="tone", **{"door": "http", **given}))
    assert list(job.events())
    return job


@pytest.fixture
def take(studio) -> str:
    return spoken(studio).take_id


def error_of(answer) -> dict:
    return ErrorAnswer.model_validate(answer.json()).error.model_dump()


# the list


def test_what_is_spoken_over_http_is_in_the_list(client) -> None:
    body = {"model": "tone", "input": WORDS, "response_format": "wav", "seed": 5}
    sound = client.post("/v1/audio/speech", json=body)
    assert sound.status_code == 200
    listed = client.get("/v1/history").json()
    assert (listed["count"], listed["before"], len(listed["takes"])) == (1, None, 1)
    (item,) = listed["takes"]
    assert item.keys() == TakeItem.model_fields.keys()
    assert (item["engine"], item["voice"], item["seed"]) == ("tone", "sine", 5)
    assert (item["state"], item["door"], item["excerpt"]) == ("done", "http", WORDS)
    kept = client.get(f"/v1/history/{item['id']}/audio")
    samples, rate = soundfile.read(io.BytesIO(kept.content), dtype="int16")
    assert rate == item["sample_rate"]
    assert samples.tobytes() == sound.content[44 : 44 + samples.nbytes]


def test_it_is_paged_and_searched(client, studio) -> None:
    for number in range(5):
        spoken(studio, f"Canoe number {number}.")
    spoken(studio, "A pond.")
    seen, before = [], None
    while before is not None or not seen:
        given = {"q": "canoe", "limit": 2} | ({"before": before} if before else {})
        page = client.get("/v1/history", params=given).json()
        seen += [item["excerpt"] for item in page["takes"]]
        before = page["before"]
        assert page["count"] == 6
    assert seen == [f"Canoe number {number}." for number in range(4, -1, -1)]


@pytest.mark.parametrize(
    "wrong",
    [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"before": 0}, {"before": 2**63}, {"before": ""},
     {"q": "x" * 201}],
)  # fmt: skip
def test_bad_pages(client, wrong) -> None:
    answer = client.get("/v1/history", params=wrong)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == next(iter(wrong))


def test_one_take_with_its_text_and_times(client, take) -> None:
    whole = client.get(f"/v1/history/{take}").json()
    assert whole["text"] == WORDS
    assert [sentence["text"] for sentence in whole["timings"]] == [
        "One two three.",
        "Four five six.",
    ]
    assert 0 <= whole["timings"][0]["start"] < whole["timings"][0]["end"] <= whole["seconds"]


# sound


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("aac", "pcm")])
def test_every_format(client, studio, take, name) -> None:
    answer = client.get(f"/v1/history/{take}/audio", params={"format": name})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == FORMATS[name].mime
    assert answer.headers["x-vivavoce-synthetic"] == "true"
    assert (
        f'filename="one-two-three-four-five-six.{FORMATS[name].extension}"'
        in (answer.headers["content-disposition"])
    )
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert samples.size / rate == pytest.approx(studio.history.find(take).seconds, abs=0.2)


def test_raw_samples_have_a_known_rate(client, studio, take) -> None:
    answer = client.get(f"/v1/history/{take}/audio", params={"format": "pcm"})
    assert answer.headers["x-vivavoce-sample-rate"] == "24000"
    seconds = len(answer.content) / 2 / 24_000
    assert seconds == pytest.approx(studio.history.find(take).seconds, abs=0.01)


def test_a_part_of_it_so_that_a_player_can_jump(client, take) -> None:
    url = f"/v1/history/{take}/audio"
    whole = client.get(url)
    assert whole.headers["accept-ranges"] == "bytes"
    part = client.get(url, headers={"Range": "bytes=1000-1999"})
    assert part.status_code == 206
    assert part.content == whole.content[1000:2000]
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(whole.content)}"
    rest = client.get(url, headers={"Range": "bytes=-100"})
    assert rest.content == whole.content[-100:]
    beyond = client.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416
    same = client.get(url, headers={"Range": "bytes=0-9", "If-Range": whole.headers["etag"]})
    assert same.status_code == 206
    changed = client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert changed.status_code == 200
    head = client.head(url)
    assert head.headers["content-length"] == str(len(whole.content)) and not head.content


@pytest.mark.parametrize(("name", "begin"), [("srt", "1\n00:00:00,"), ("vtt", "WEBVTT")])
def test_captions(client, take, name, begin) -> None:
    answer = client.get(f"/v1/history/{take}/captions", params={"format": name})
    assert answer.status_code == 200
    assert answer.text.startswith(begin) and "Four five six." in answer.text


@pytest.mark.parametrize("part", ["audio", "captions"])
def test_an_unknown_format(client, take, part) -> None:
    answer = client.get(f"/v1/history/{take}/{part}", params={"format": "midi"})
    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("unknown_format", "format")


def test_what_is_being_made_is_given_once_it_is_done(client, studio, tone) -> None:
    tone.gate = threading.Event()
    job = studio.submit(SpeechRequest(WORDS, engine="tone", door="http"))
    wait_until(lambda: job.take_id, "a take")
    answer = client.get(f"/v1/history/{job.take_id}/audio")
    assert answer.status_code == 409 and error_of(answer)["code"] == "take_unfinished"
    assert client.get("/v1/history").json()["takes"][0]["state"] == "unfinished"
    tone.gate.set()
    assert list(job.events())
    assert client.get(f"/v1/history/{job.take_id}/audio").status_code == 200


def test_a_take_without_sound(client, studio, tone) -> None:
    tone.failure = ValueError("broken")
    job = studio.submit(SpeechRequest("One two three.", engine="tone", door="http"))
    wait_until(lambda: job.state.ended, "the end")
    answer = client.get(f"/v1/history/{job.take_id}/audio")
    assert answer.status_code == 404 and error_of(answer)["code"] == "no_sound"


@pytest.mark.parametrize("name", ["wav", "flac"])
def test_a_file_that_is_gone_is_told(client, studio, take, name) -> None:
    studio.history.path(take).unlink()
    answer = client.get(f"/v1/history/{take}/audio", params={"format": name})
    assert answer.status_code == 507 and error_of(answer)["code"] == "storage_error"


# keep and delete


def test_pin_and_delete(client, studio, take) -> None:
    assert client.post(f"/v1/history/{take}/pin").json()["pinned"] is True
    assert (
        client.post(f"/v1/history/{take}/pin", params={"pinned": False}).json()["pinned"] is False
    )
    path = studio.history.path(take)
    assert path.exists()
    gone = client.delete(f"/v1/history/{take}")
    assert gone.status_code == 204 and not gone.content
    assert not path.exists() and list(path.parent.iterdir()) == []
    for again in (client.get, client.delete):
        answer = again(f"/v1/history/{take}")
        assert answer.status_code == 404 and error_of(answer)["code"] == "unknown_take"


@pytest.mark.parametrize("wrong", ["x", "..%2f..%2fetc%2fpasswd", "%00", "x" * 3000, "A" * 22])
def test_ids_that_there_are_not(client, take, wrong) -> None:
    for path in ("", "/audio", "/captions"):
        answer = client.get(f"/v1/history/{wrong}{path}")
        assert answer.status_code == 404
    assert client.delete(f"/v1/history/{wrong}").status_code == 404
    assert client.post(f"/v1/history/{wrong}/pin").status_code == 404


# whose


def test_nobody_sees_or_changes_anothers(client, studio, monkeypatch) -> None:
    mine, others = spoken(studio, owner="ann"), spoken(studio, "Secret words.", owner="bob")
    monkeypatch.setattr("server.history_api.owner_of", owner.owner_of)
    client.app.dependency_overrides[owner.owner_of] = lambda: "ann"
    listed = client.get("/v1/history").json()
    assert [item["id"] for item in listed["takes"]] == [mine.take_id] and listed["count"] == 1
    assert client.get("/v1/history", params={"q": "secret"}).json()["takes"] == []
    url = f"/v1/history/{others.take_id}"
    assert client.get(url).status_code == 404
    assert client.delete(url).status_code == 404
    assert client.post(f"{url}/pin").status_code == 404
    assert studio.history.find(others.take_id).pinned is False
    assert client.get(f"{url}/audio").status_code == 200, "who was given the id may hear it"


def test_strangers_of_a_shared_machine_see_nothing_of_one_another(tone, tmp_path) -> None:
    studio = Studio(Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", shared=True))
    with TestClient(create_app(studio)) as client:
        spoken(studio, owner="page-of-another")
        spoken(studio, owner="")
        assert client.get("/v1/history").json()["takes"] == []


def test_it_is_described(client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert paths["/v1/history/{take_id}"].keys() == {"get", "delete"}
    given = paths["/v1/history/{take_id}/audio"]["get"]["parameters"]
    assert given[1]["schema"]["enum"] == list(FORMATS)
