"""A voice as a zip: it comes back as it went, and nothing else comes in."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engines.api import CancelToken
from engines.errors import Cancelled, InvalidRequest, StorageError
from studio.voices import (
    BadVoiceField,
    BadVoiceFile,
    Consent,
    MissingConsent,
    NoSuchVoice,
    archive,
    fields,
    files,
)
from tests.voice_helpers import CONSENT, clip, library, wav

NOW = datetime.now(timezone.utc)
CLIP = clip(220).wav
HASH = hashlib.sha256(CLIP).hexdigest()
MANIFEST = {
    "format": "vivavoce-voice",
    "version": 1,
    "name": "Ann",
    "language": "en-GB",
    "tags": ["warm"],
    "notes": "",
    "clips": [{"file": "clips/00000.wav", "sha256": HASH, "transcript": "One.", "language": "en"}],
    "consents": [{"who": "Ann", "purpose": "books", "when": NOW.isoformat(), "clip_hash": HASH}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def voices(folder):
    made = library(folder)
    yield made
    made.close()


def zipped(members: dict[str, bytes] | list[tuple], compression=zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in members.items() if isinstance(members, dict) else members:
            file.writestr(name, data)
    return buffer.getvalue()


def voice_file(changes: dict | None = None, **members: bytes) -> bytes:
    text = json.dumps(MANIFEST | (changes or {}))
    return zipped({"manifest.json": text.encode(), "clips/00000.wav": CLIP} | members)


def refused(voices, path: Path, data: bytes, error=BadVoiceFile) -> str:
    """The error that an import leads to. It leaves nothing behind, inside the library's folders or
    beside them."""
    path.write_bytes(data)
    root = voices.exports.parents[2]
    before = {entry for entry in root.rglob("*") if files.INCOMING not in entry.parts}
    with pytest.raises(error) as caught:
        voices.import_zip("refused", path)
    assert len(str(caught.value)) < 1200
    assert voices.list("refused").total == 0
    assert {entry for entry in root.rglob("*") if files.INCOMING not in entry.parts} == before
    assert list(root.glob(f"voices/{files.INCOMING}/*")) == []
    return str(caught.value)


def test_a_voice_comes_back_as_it_went(tmp_path) -> None:
    here, there = library(tmp_path / "here"), library(tmp_path / "there")
    sounds = [clip(220, "Eins."), clip(300, "Zwei?")]
    made = here.add("ann", "Änn", "de", ["warm", "燕"], sounds, CONSENT, notes="a\nb")
    made = here.add_clip("ann", made.id, clip(400), Consent("Bea", "songs"))
    path = here.export_zip("ann", made.id, tmp_path / "voice.zip")
    told: list[tuple[int, int]] = []
    back = there.import_zip("bob", path, progress=lambda done, of: told.append((done, of)))
    for name in ("name", "language", "tags", "notes", "clip_count", "clip_seconds", "consents"):
        assert getattr(back, name) == getattr(made, name)
    assert back.id != made.id and back.owner == "bob"
    assert told == [(1, 3), (2, 3), (3, 3)]
    for clip_here, clip_there in zip(made.clips, back.clips, strict=True):
        assert clip_here.transcript == clip_there.transcript
        assert clip_here.language == clip_there.language
        assert here.clip_wav("ann", made.id, clip_here.id) == there.clip_wav(
            "bob", back.id, clip_there.id
        )
    assert np.allclose(here.embedding("ann", made.id), there.embedding("bob", back.id), atol=1e-6)
    again = there.export_zip("bob", back.id, tmp_path / "again.zip")
    assert again.read_bytes() == path.read_bytes()
    twice = there.import_zip("bob", path)
    assert (twice.name, there.list("bob").total) == (back.name, 2)
    here.close()
    there.close()


def test_a_consent_of_a_removed_clip_goes_along(tmp_path) -> None:
    voices = library(tmp_path)
    made = voices.add("", "Ann", "", [], [clip(220), clip(300)], CONSENT)
    made = voices.remove_clip("", made.id, made.clips[0].id)
    back = voices.import_zip("", voices.export_zip("", made.id, tmp_path / "a.zip"))
    assert back.consents == made.consents
    assert len(back.consents) == 2
    voices.close()


def test_the_plain_file_is_taken(voices, tmp_path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(voice_file())
    made = voices.import_zip("", path)
    assert (made.name, made.clips[0].transcript, made.clips[0].sha256) == ("Ann", "One.", HASH)
    assert made.consents == (Consent("Ann", "books", NOW, HASH),)
    deflated = zipped(
        {"manifest.json": json.dumps(MANIFEST).encode(), "clips/00000.wav": CLIP},
        zipfile.ZIP_DEFLATED,
    )
    path.write_bytes(deflated)
    assert voices.import_zip("", path, Consent("Bob", "tests")).consents[1].who == "Bob"


def test_consent_can_be_given_with_the_file(voices, tmp_path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(voice_file({"consents": []}))
    with pytest.raises(MissingConsent, match="1 of 1"):
        voices.import_zip("", path)
    made = voices.import_zip("", path, Consent("Bob", "tests"))
    assert [(c.who, c.clip_hash) for c in made.consents] == [("Bob", HASH)]
    with pytest.raises(MissingConsent):
        voices.import_zip("", path, Consent("", "tests"))


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "../../x",
        "clips/../../x",
        "/etc/x",
        "\\x",
        "C:\\x",
        "clips/00001.wav",
        "clips/00000.WAV",
        "manifest.json/x",
        "x",
        "clips/",
        "a\x00b",
        "y" * 10_000,
    ],
)
def test_members_that_the_manifest_does_not_name(voices, tmp_path, name) -> None:
    said = refused(voices, tmp_path / "a.zip", voice_file(None, **{name: b"x"}))
    assert "holds" in said or "zip file" in said
    assert not (tmp_path.parent / "x").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"clips": [{**MANIFEST["clips"][0], "file": "../00000.wav"}]},
        {"clips": [{**MANIFEST["clips"][0], "file": "clips/../../../../tmp/x.wav"}]},
        {"clips": [{**MANIFEST["clips"][0], "file": "/clips/00000.wav"}]},
        {
            "clips": [{**MANIFEST["clips"][0], "sha256": "0" * 64}],
            "consents": [{**MANIFEST["consents"][0], "clip_hash": "0" * 64}],
        },
        {"clips": [{**MANIFEST["clips"][0], "sha256": "x"}]},
        {"clips": [{**MANIFEST["clips"][0], "command": "rm"}]},
        {"clips": MANIFEST["clips"] * 2},
        {"clips": [*MANIFEST["clips"], {"file": "clips/00001.wav", "sha256": HASH}]},
        {"clips": []},
        {"clips": None},
        {"format": "other"},
        {"version": 2},
        {"extra": 1},
        {"name": None},
        {"name": "x" * 200_000},
        {"consents": [{**MANIFEST["consents"][0], "when": "yesterday"}]},
        {"consents": [{**MANIFEST["consents"][0], "when": "2020-01-01T00:00:00"}]},
        {"consents": [{**MANIFEST["consents"][0], "when": (NOW + timedelta(9)).isoformat()}]},
    ],
)
def test_bad_manifests(voices, tmp_path, changes) -> None:
    refused(voices, tmp_path / "a.zip", voice_file(changes))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": ""}, BadVoiceField),
        ({"name": "x" * 10_000}, BadVoiceField),
        ({"language": "../.."}, BadVoiceField),
        ({"tags": [str(n) for n in range(99)]}, BadVoiceField),
        ({"consents": []}, MissingConsent),
        ({"consents": [{**MANIFEST["consents"][0], "who": " "}]}, MissingConsent),
        ({"consents": [{**MANIFEST["consents"][0], "clip_hash": "0" * 64}]}, MissingConsent),
    ],
)
def test_fields_that_a_voice_does_not_take(voices, tmp_path, changes, error) -> None:
    refused(voices, tmp_path / "a.zip", voice_file(changes), error)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"This is a text.",
        CLIP,
        b"PK\x05\x06" + b"\x00" * 18,
        b"PK\x05\x06" + b"\xff" * 18,
        voice_file()[: len(voice_file()) // 2],
        voice_file()[:-10],
        voice_file()[10:],
        zipped({"clips/00000.wav": CLIP}),
        zipped({"manifest.json": b"{"}),
        zipped({"manifest.json": b"[" * 100_000}),
        zipped({"manifest.json": b"\xff\xfe"}),
        zipped({}),
    ],
)
def test_what_is_no_voice_file(voices, tmp_path, data) -> None:
    refused(voices, tmp_path / "a.zip", data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice(voices, tmp_path) -> None:
    members = [("manifest.json", json.dumps(MANIFEST)), *[("clips/00000.wav", CLIP)] * 2]
    assert "twice" in refused(voices, tmp_path / "a.zip", zipped(members))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_the_like(voices, tmp_path, kind) -> None:
    link = zipfile.ZipInfo("clips/00000.wav")
    link.external_attr = (kind | 0o777) << 16
    data = zipped([("manifest.json", json.dumps(MANIFEST)), (link, b"/etc/passwd")])
    assert "a link" in refused(voices, tmp_path / "a.zip", data)


def test_a_zip_bomb(voices, tmp_path, monkeypatch) -> None:
    zeros = bytes(50_000_000)
    members = {"manifest.json": json.dumps(MANIFEST).encode(), "clips/00000.wav": zeros}
    bomb = zipped_small(members)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # refused before it is unpacked
    assert "50,00" in refused(voices, tmp_path / "a.zip", bomb)


def zipped_small(members) -> bytes:
    return zipped(members, zipfile.ZIP_DEFLATED)


def test_a_bomb_that_lies_about_its_size(voices, tmp_path) -> None:
    data = bytearray(zipped_small({"manifest.json": b" " * 20_000_000}))
    entry = data.rfind(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<L", 1000)
    assert "manifest" in refused(voices, tmp_path / "a.zip", bytes(data))


def test_a_list_of_members_is_not_read_when_it_is_too_long(voices, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archive, "MAX_CLIPS", 50)
    crowd = zipped({f"clips/{n:05d}.wav": b"" for n in range(60)})
    monkeypatch.setattr(archive.zipfile, "ZipFile", None)
    assert "60 members" in refused(voices, tmp_path / "a.zip", crowd)
    monkeypatch.setattr(archive, "MAX_CLIPS", 100)
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 1000)
    assert "bytes" in refused(voices, tmp_path / "a.zip", crowd)


def test_files_that_are_too_large(voices, tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(archive, "MAX_BYTES", 1000)
        refused(voices, tmp_path / "a.zip", voice_file())
    with monkeypatch.context() as patch:
        patch.setattr(archive.clips, "MAX_BYTES", 1000)
        refused(voices, tmp_path / "a.zip", voice_file())
    monkeypatch.setattr(archive, "MAX_MANIFEST", 100)
    refused(voices, tmp_path / "a.zip", voice_file())


def test_clips_that_are_no_sound(voices, tmp_path) -> None:
    for number, data in enumerate((b"text", b"", wav(np.zeros((9600, 8), np.float32)))):
        sha256 = hashlib.sha256(data).hexdigest()
        changes = {
            "clips": [{"file": "clips/00000.wav", "sha256": sha256}],
            "consents": [{**MANIFEST["consents"][0], "clip_hash": sha256}],
        }
        contents = {"clips/00000.wav": data}
        refused(voices, tmp_path / f"{number}.zip", voice_file(changes, **contents), InvalidRequest)


def test_every_flipped_byte_is_refused_or_harmless(voices, tmp_path) -> None:
    """A byte that no reader looks at may be anything; otherwise the file is refused cleanly."""
    good = voice_file()
    path = tmp_path / "a.zip"
    random = np.random.default_rng(3)
    ends = [*range(60), *range(len(good) - 200, len(good))]
    for at in [*random.choice(ends, 60, replace=False), *random.integers(0, len(good), 60)]:
        data = bytearray(good)
        data[at] ^= 0x41
        path.write_bytes(data)
        try:
            made = voices.import_zip("flipped", path)
        except InvalidRequest:
            continue
        assert made.clips[0].sha256 == HASH
        voices.delete("flipped", made.id)


def test_cancelled_midway(voices, tmp_path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(voice_file())
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        voices.import_zip("refused", path, cancel=cancel)


def test_a_file_that_is_not_there(voices, tmp_path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        voices.import_zip("refused", tmp_path / "none.zip")
    with pytest.raises(NoSuchVoice):
        voices.export_zip("", "0" * 16, tmp_path / "none.zip")
    assert not (tmp_path / "none.zip").exists()


def test_an_export_that_fails_leaves_nothing(voices, tmp_path, monkeypatch) -> None:
    made = voices.add("export", "Ann", "", [], [clip(220), clip(300)], CONSENT)
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    with pytest.raises(BadVoiceFile, match="Split"):
        voices.export_zip("export", made.id, tmp_path / "a.zip")
    with pytest.raises(StorageError):
        voices.export_zip("export", made.id, tmp_path / "missing" / "a.zip")
    assert list(tmp_path.iterdir()) == []


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    name=st.text(max_size=130),
    tags=st.lists(st.text(max_size=45), max_size=5),
    notes=st.text(max_size=200),
    said=st.text(max_size=100),
)
def test_any_text_is_taken_or_refused_and_goes_around(voices, tmp_path, name, tags, notes, said):
    try:
        given_clip = clip(220, said)
        made = voices.add("any", name, "", tags, [given_clip], Consent("Ann", "tests"), notes=notes)
    except BadVoiceField as error:
        assert error.param in ("name", "tags", "notes", "transcript")
        return
    assert 1 <= len(made.name) <= 100
    assert made.name.isprintable() or all(ord(c) > 31 for c in made.name)
    assert voices.search("any", made.name).total >= 1
    back = voices.import_zip("any", voices.export_zip("any", made.id, tmp_path / "a.zip"))
    for part in ("name", "tags", "notes"):
        assert getattr(back, part) == getattr(made, part)
    assert back.clips[0].transcript == made.clips[0].transcript
    voices.delete("any", made.id)
    voices.delete("any", back.id)


@given(st.text())
@example("𝓐")
@example("ẞ\u0345Ⅷ각")
def test_cleaning_twice_changes_nothing(text) -> None:
    for clean in (fields.one_line, fields.lines, fields.fold):
        assert clean(clean(text)) == clean(text)
