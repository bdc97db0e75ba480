"""One's own voices over HTTP: made of a recording, found, changed, taken along, deleted."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from fastapi import Request
from starlette.testclient import TestClient

from server import owner, uploads, voices_api
from server.answers import ErrorAnswer
from server.app import create_app
from studio import speaker
from studio.reference import Finding, Report
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.voice_helpers import CONSENT, clip, embed, tone, wav

MAX_UPLOAD = 300_000
AGREED = {"consent": "true", "consent_name": "Ann", "consent_purpose": "books"}


class FakePrepared:
    """What `studio.reference.prepare` gives for a tone: the file as it is."""

    def __init__(self, data: bytes, severity: str = "good") -> None:
        import soundfile

        self.samples, self.sample_rate = soundfile.read(io.BytesIO(data), dtype="float32")
        finding = Finding("noise", severity, "It is quiet.", "Nothing to do.")
        self.report = Report(1.0, 1.0, -20.0, -60.0, 0.0, (finding,))
        self.sha256 = ""
        self.wav = lambda: data


@pytest.fixture
def heard(monkeypatch) -> dict:
    """No network decides whether tones are speech; `heard` says what was asked of it."""
    asked: dict = {"severity": "good"}

    def prepare(data, *, denoise, cancel, embed, limits):
        asked.update(denoise=denoise, limit=limits.bytes)
        return FakePrepared(data, asked["severity"])

    monkeypatch.setattr(voices_api, "prepare", prepare)
    monkeypatch.setattr(
        speaker, "embed", lambda samples, rate, memory=None, cancel=None: embed(samples, rate)
    )
    return asked


@pytest.fixture
def studio(monkeypatch, tmp_path, heard) -> Studio:
    fakes.install(monkeypatch)
    limits = Settings(
        data_dir=tmp_path, presets_dir=tmp_path / "none", max_upload=MAX_UPLOAD, shared=False
    )
    return Studio(limits)


@pytest.fixture
def client(studio):
    with TestClient(create_app(studio), raise_server_exceptions=False) as client:
        yield client


def add(client, frequency: float = 220, **fields):
    data = {"name": "Ann", **AGREED, **fields}
    file = ("../../evil.wav", wav(tone(frequency)), "audio/wav")
    return client.post("/v1/voices", data=data, files={"file": file})


def made(client, frequency: float = 220, **fields) -> dict:
    answer = add(client, frequency, **fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


def error_of(answer) -> tuple[int, str, str | None]:
    error = ErrorAnswer.model_validate(answer.json()).error
    assert len(error.message) < 1500
    return answer.status_code, error.code, error.param


def files_of(studio: Studio) -> list[str]:
    return [p.name for p in studio.settings.voices_dir.rglob("*") if p.suffix == ".wav"]


def test_a_voice_is_made_of_a_recording(client, heard) -> None:
    voice = made(
        client,
        name="Änn",
        language="en_gb",
        tags="warm, low,,warm",
        transcript="One two.",
        notes="From the attic.",
        denoise="true",
    )
    assert (voice["name"], voice["language"], voice["tags"]) == ("Änn", "en-GB", ["warm", "low"])
    assert voice["clips"][0]["transcript"] == "One two."
    (consent,) = voice["consents"]
    assert (consent["who"], consent["purpose"]) == ("Ann", "books")
    assert consent["clip_hash"] == voice["clips"][0]["sha256"]
    assert voice["report"] == [
        {"severity": "good", "text": "It is quiet.", "advice": "Nothing to do."}
    ]
    assert heard == {"severity": "good", "denoise": True, "limit": MAX_UPLOAD}
    voice.pop("report")
    assert client.get(f"/v1/voices/{voice['id']}").json() == voice
    sound = client.get(f"/v1/voices/{voice['id']}/clips/{voice['clips'][0]['id']}")
    assert (sound.content, sound.headers["content-type"]) == (wav(tone(220)), "audio/wav")


def test_the_list_is_searched_and_paged(client) -> None:
    for name, tags in (("Carl", ""), ("Änne", "warm"), ("Bob", "warm")):
        made(client, name=name, tags=tags)
    assert [v["name"] for v in client.get("/v1/voices").json()["voices"]] == ["Änne", "Bob", "Carl"]
    page = client.get("/v1/voices", params={"limit": 1, "offset": 1}).json()
    assert ([v["name"] for v in page["voices"]], page["total"]) == (["Bob"], 3)
    found = client.get("/v1/voices", params={"q": "ANNE warm"}).json()
    assert ([v["name"] for v in found["voices"]], found["total"]) == (["Änne"], 1)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "offset=-1", "offset=99999999999", "q=" + "x" * 201],
)
def test_bad_paging(client, query) -> None:
    status, _, param = error_of(client.get(f"/v1/voices?{query}"))
    assert (status, param) == (400, query.partition("=")[0])


def test_a_voice_changes_and_goes(client, studio) -> None:
    voice = made(client)
    changed = client.patch(f"/v1/voices/{voice['id']}", json={"name": "Bea", "tags": ["x"]}).json()
    assert (changed["name"], changed["tags"], changed["language"]) == ("Bea", ["x"], "")
    assert client.delete(f"/v1/voices/{voice['id']}").status_code == 204
    assert files_of(studio) == []
    for answer in (
        client.get(f"/v1/voices/{voice['id']}"),
        client.delete(f"/v1/voices/{voice['id']}"),
        client.patch(f"/v1/voices/{voice['id']}", json={"name": "x"}),
        client.get(f"/v1/voices/{voice['id']}/export"),
        client.get(f"/v1/voices/{voice['id']}/clips/x"),
        client.get("/v1/voices/..%2f..%2fetc%2fpasswd"),
    ):
        assert answer.status_code == 404
        assert ErrorAnswer.model_validate(answer.json())


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 10_000}, "name"),
        ({"name": 7}, "name"),
        ({"tags": "x"}, "tags"),
        ({"language": "../.."}, "language"),
        ({"owner": "x"}, "owner"),
        ({"id": "x"}, "id"),
    ],
)
def test_bad_changes_change_nothing(client, change, param) -> None:
    voice = made(client)
    status, _, given = error_of(client.patch(f"/v1/voices/{voice['id']}", json=change))
    assert (status, given) == (400, param)
    assert client.get(f"/v1/voices/{voice['id']}").json()["changed"] == voice["changed"]


def test_a_voice_is_taken_along(client, studio) -> None:
    voice = made(client, name="Ann of Ely", transcript="One.")
    answer = client.get(f"/v1/voices/{voice['id']}/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="ann-of-ely.zip"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert zipfile.ZipFile(io.BytesIO(answer.content)).testzip() is None
    back = client.post("/v1/voices/import", files={"file": ("x", answer.content)})
    assert back.status_code == 201
    assert back.json()["consents"] == voice["consents"]
    assert back.json()["id"] != voice["id"]
    assert list(studio.voices_library.exports.iterdir()) == []


def test_voices_that_sound_like_a_recording(client) -> None:
    names = {made(client, f, name=str(f))["id"]: f for f in (200, 400, 800)}
    file = {"file": ("x", wav(tone(410)))}
    found = client.post("/v1/voices/similar", files=file, data={"limit": "2"}).json()["voices"]
    assert [names[v["voice"]["id"]] for v in found] == [400, 200]
    assert found[0]["likeness"] > found[1]["likeness"] > 0
    for limit in ("0", "x", "9" * 5000):
        answer = client.post("/v1/voices/similar", files=file, data={"limit": limit})
        assert error_of(answer)[0::2] == (400, "limit")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"consent": "false"}, "consent"),
        ({"consent": ""}, "consent"),
        ({"consent": "yes"}, "consent"),
        ({"consent_name": " "}, "consent_name"),
        ({"consent_purpose": ""}, "consent_purpose"),
        ({"name": ""}, "name"),
        ({"name": "x" * 10_000}, "name"),
        ({"name": "\x00"}, "name"),
        ({"language": "English!"}, "language"),
        ({"tags": ",".join(map(str, range(99)))}, "tags"),
        ({"transcript": "x" * 5001}, "transcript"),
        ({"denoise": "maybe"}, "denoise"),
        ({"owner": "somebody"}, "owner"),
    ],
)
def test_bad_fields_make_no_voice(client, studio, fields, param) -> None:
    status, _, given = error_of(add(client, **fields))
    assert (status, given) == (400, param)
    assert client.get("/v1/voices").json()["total"] == 0
    assert files_of(studio) == []


def test_a_name_is_just_a_name(client, studio) -> None:
    assert made(client, name="../../x")["name"] == "../../x"
    assert not (studio.settings.data_dir.parent / "x").exists()
    assert "evil" not in str([*studio.settings.data_dir.rglob("*")])


def test_a_recording_that_does_not_do(client, heard, studio) -> None:
    heard["severity"] = "bad"
    answer = add(client)
    assert error_of(answer) == (400, "bad_reference", "file")
    assert "It is quiet. Nothing to do." in answer.text
    assert files_of(studio) == []


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"", "multipart/form-data; boundary=x", 400),
        (b"--x\r\nno form", "multipart/form-data; boundary=x", 400),
        (b"--x--\r\n", "multipart/form-data", 400),
        (b"{}", "application/json", 415),
        (b"x", "", 415),
        (b"name=x", "application/x-www-form-urlencoded", 415),
    ],
)
@pytest.mark.parametrize("path", ["/v1/voices", "/v1/voices/import", "/v1/voices/similar"])
def test_what_is_no_form(client, path, data, kind, status) -> None:
    answer = client.post(path, content=data, headers={"Content-Type": kind})
    assert error_of(answer)[0] == status


def test_forms_with_too_much_or_too_little(client) -> None:
    file = ("x", wav(tone(220)))
    for parts in (
        [("file", file), ("file", file)],
        [("file", file), ("name", (None, "a")), ("name", (None, "b"))],
        [("name", file)],
        [("file", (None, "text"))],
        [("name", (None, "a"))],
        [("file", file), ("caf\u00e9" * 99, (None, "x"))],
        [("file", file), *[(f"field{n}", (None, "x")) for n in range(100)]],
        [("file", file), ("name", (None, "x" * 200_000))],
    ):
        assert error_of(client.post("/v1/voices", files=parts))[0] == 400


def test_a_form_in_an_odd_charset(client) -> None:
    """UTF-7 can spell half a surrogate pair, which no answer could hold."""
    part = b'--x\r\nContent-Disposition: form-data; name="a+2AA-"\r\n\r\n+2AA-\r\n--x--\r\n'
    kind = "multipart/form-data; boundary=x; charset=utf-7"
    answer = client.post("/v1/voices", content=part, headers={"Content-Type": kind})
    assert error_of(answer) == (400, "unknown_field", "a\\ud800")


def test_an_upload_is_read_no_further_than_allowed(client, studio) -> None:
    sent = 0

    def body():
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        while sent < 50_000_000:
            sent += 100_000
            yield bytes(100_000)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/voices", content=body(), headers=headers)
    assert error_of(answer)[:2] == (413, "request_too_large")
    size = MAX_UPLOAD + uploads.MARGIN + 1
    answer = client.post("/v1/voices", content=bytes(size), headers=headers)
    assert error_of(answer)[:2] == (413, "request_too_large")
    answer = client.post("/v1/voices", files={"file": ("x", bytes(MAX_UPLOAD + 1))})
    assert error_of(answer) == (413, "request_too_large", "file")
    assert files_of(studio) == []


def test_imports_that_are_refused(client, studio) -> None:
    bad = io.BytesIO()
    with zipfile.ZipFile(bad, "w") as file:
        file.writestr("../../x", b"x")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.json", json.dumps({"name": "x"}) + " " * 30_000_000)
    for data in (b"", b"text", bad.getvalue(), bomb.getvalue()):
        answer = client.post("/v1/voices/import", files={"file": ("x.zip", data)})
        assert error_of(answer) == (400, "bad_voice_file", "file")
    assert list(studio.voices_library.exports.iterdir()) == []


def test_nobody_meets_anothers_voices(studio) -> None:
    def who(request: Request) -> str:
        return request.headers.get("x-test-owner", "")

    app = create_app(studio)
    app.dependency_overrides[owner.owner_of] = who
    with TestClient(app, raise_server_exceptions=False) as client:
        ann, bob = {"x-test-owner": "ann"}, {"x-test-owner": "bob"}
        mine = studio.voices_library.add("ann", "Ann", "", [], [clip(220)], CONSENT)
        url = f"/v1/voices/{mine.id}"
        file = {"file": ("x", wav(tone(220)))}
        assert client.get(url, headers=ann).status_code == 200
        for answer in (
            client.get(url, headers=bob),
            client.get(f"{url}/export", headers=bob),
            client.get(f"{url}/clips/{mine.clips[0].id}", headers=bob),
            client.patch(url, json={"name": "x"}, headers=bob),
            client.delete(url, headers=bob),
        ):
            assert error_of(answer)[:2] == (404, "voice_not_found")
        assert client.get("/v1/voices", headers=bob).json() == {"voices": [], "total": 0}
        assert client.post("/v1/voices/similar", files=file, headers=bob).json() == {"voices": []}
        assert studio.voices_library.get("ann", mine.id) == mine


def test_openapi_shows_the_forms(client) -> None:
    document = client.get("/openapi.json").json()
    body = document["paths"]["/v1/voices"]["post"]["requestBody"]["content"]
    schema = body["multipart/form-data"]["schema"]
    assert {"file", "name", "consent", "consent_name"} <= set(schema["required"])
    assert "/v1/voices/{voice_id}/export" in document["paths"]


def test_the_real_recording_goes_all_the_way(tmp_path) -> None:
    """Nothing is replaced here: decoding, cleaning, the speaker encoder, the index."""
    from pathlib import Path

    recording = Path(__file__).resolve().parents[3] / "shared" / "speech" / "lj_1.wav"
    if not recording.is_file():
        pytest.skip("the recordings are not here")
    studio = Studio(Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", shared=False))
    with TestClient(create_app(studio), raise_server_exceptions=False) as client:
        file = {"file": ("lj.wav", recording.read_bytes())}
        answer = client.post("/v1/voices", data={"name": "LJ", **AGREED}, files=file)
        assert answer.status_code == 201, answer.text
        voice = answer.json()
        assert 5 < voice["clip_seconds"] < 10
        other = recording.with_name("lj_2.wav").read_bytes()
        found = client.post("/v1/voices/similar", files={"file": ("x", other)}).json()["voices"]
        assert found[0]["voice"]["id"] == voice["id"]
        assert found[0]["likeness"] > 0.8
        assert np.isclose(np.linalg.norm(studio.voices_library.embedding("", voice["id"])), 1)
        assert any(r.name == speaker.KEY for r in studio.memory.residents())
