"""The voice library: what is kept is whole, found again, and gone when it is deleted."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from engines.api import CancelToken
from engines.errors import BadReference, Cancelled, StorageError
from studio.voices import (
    BadVoiceField,
    Consent,
    MissingConsent,
    NewClip,
    NoSuchVoice,
    VoiceLibrary,
    collection,
    files,
)
from tests.voice_helpers import CONSENT, RATE, Cloner, clip, embed, library, stored_bytes, tone, wav

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def voices(tmp_path: Path):
    made = library(tmp_path)
    yield made
    made.close()


def rows(folder: Path, table: str) -> int:
    with sqlite3.connect(folder / "voices" / collection.DATABASE) as db:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def sounds(folder: Path) -> list[Path]:
    return [path for path in (folder / "voices").rglob("*.wav") if path.is_file()]


def test_a_voice_is_what_was_given(voices, tmp_path) -> None:
    before = datetime.now(timezone.utc)
    given = [clip(220, "One two."), clip(240, "Three.")]
    made = voices.add(
        "ann", " Ann\tB. ", "en_gb", ["warm", "Warm ", "low"], given, CONSENT, notes="x"
    )
    assert (made.owner, made.name, made.language) == ("ann", "Ann B.", "en-GB")
    assert (made.tags, made.notes) == (("warm", "low"), "x")
    assert [c.transcript for c in made.clips] == ["One two.", "Three."]
    assert {c.language for c in made.clips} == {"en-GB"}
    assert (made.clip_count, made.clip_seconds) == (2, pytest.approx(1.0))
    assert before - timedelta(seconds=1) < made.created <= datetime.now(timezone.utc)
    assert [c.clip_hash for c in made.consents] == [c.sha256 for c in made.clips]
    for consent in made.consents:
        assert (consent.who, consent.purpose) == (CONSENT.who, CONSENT.purpose)
        assert consent.when is not None and consent.when.utcoffset() == timedelta(0)
    assert voices.get("ann", made.id) == made
    assert voices.clip_wav("ann", made.id, made.clips[1].id) == given[1].wav
    voices.close()
    assert library(tmp_path).get("ann", made.id) == made


def test_a_listing_shows_voices_by_name_in_pages(voices) -> None:
    for name in ("Zoë", "ärzte", "Bob", "anna", "Carl"):
        voices.add("", name, "", [], [clip()], CONSENT)
    assert [v.name for v in voices.list("").voices] == ["anna", "ärzte", "Bob", "Carl", "Zoë"]
    page = voices.list("", limit=2, offset=2)
    assert ([v.name for v in page.voices], page.total) == (["Bob", "Carl"], 5)
    assert voices.list("", limit=2, offset=99).voices == ()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("zoe", ["Zoë"]),
        ("ZOË", ["Zoë"]),
        ("o", ["Bob", "Zoë", "Anna"]),  # in the name first
        ("warm", ["Zoë"]),
        ("fr-ca", ["Bob"]),
        ("grüße strasse", ["Anna"]),
        ("strasse anna", ["Anna"]),
        ("anna warm", []),
        ("燕窝", ["Bob"]),
        ("100%", []),
        ("'", []),
        ("  ", ["Anna", "Bob", "Zoë"]),
    ],
)
def test_search_by_text(voices, query, names) -> None:
    voices.add("", "Zoë", "de", ["warm"], [clip()], CONSENT)
    voices.add("", "Anna", "", [], [clip(230, "Viele Grüße aus der Straße, oh ja.")], CONSENT)
    voices.add("", "Bob", "fr_ca", [], [clip()], CONSENT, notes="吃燕窝就选")
    assert [v.name for v in voices.search("", query).voices] == names
    assert voices.search("", query).total == len(names)


@pytest.mark.parametrize("text", ["\ud800", "\x00", "x" * 100_000, "../../x", "' OR 1=1 --", ""])
def test_any_text_may_be_asked_for(voices, text) -> None:
    voices.add("", "Ann", "", [], [clip()], CONSENT)
    voices.search("", text)
    with pytest.raises(NoSuchVoice) as caught:
        voices.get("", text)
    assert len(str(caught.value)) < 300
    str(caught.value).encode("utf-8")


def test_fields_change_alone(voices) -> None:
    made = voices.add("", "Ann", "en", ["a"], [clip()], CONSENT, notes="old")
    assert voices.rename("", made.id, "Bea").name == "Bea"
    changed = voices.update("", made.id, tags=["b"], notes="")
    assert (changed.name, changed.tags, changed.notes, changed.language) == (
        "Bea",
        ("b",),
        "",
        "en",
    )
    assert changed.changed >= made.changed
    assert voices.search("", "bea b").total == 1
    assert voices.search("", "ann").total == 0
    with pytest.raises(BadVoiceField):
        voices.update("", made.id, language="de", name=" ")
    assert voices.get("", made.id) == changed


def test_clips_come_and_go(voices, tmp_path) -> None:
    made = voices.add("", "Ann", "en", [], [clip(220)], CONSENT)
    more = voices.add_clip("", made.id, clip(300, "More."), Consent("Bea", "songs"))
    assert (more.clip_count, len(more.consents)) == (2, 2)
    assert not np.allclose(voices.embedding("", made.id), embed(tone(220), RATE))
    fixed = voices.update_clip("", made.id, more.clips[1].id, transcript="Möre!", language="de")
    assert (fixed.clips[1].transcript, fixed.clips[1].language) == ("Möre!", "de")
    assert voices.search("", "more!").total == 1
    less = voices.remove_clip("", made.id, more.clips[0].id)
    assert (less.clip_count, [c.id for c in less.clips]) == (1, [more.clips[1].id])
    assert np.allclose(voices.embedding("", made.id), embed(tone(300), RATE), atol=1e-6)
    assert len(less.consents) == 2  # kept with the voice
    assert [path.stem for path in sounds(tmp_path)] == [more.clips[1].id]
    with pytest.raises(BadVoiceField, match="only clip"):
        voices.remove_clip("", made.id, more.clips[1].id)
    for wrong in (more.clips[0].id, "../../x", "\ud800", "x" * 10_000):
        with pytest.raises(NoSuchVoice):
            voices.remove_clip("", made.id, wrong)
        with pytest.raises(NoSuchVoice):
            voices.clip_wav("", made.id, wrong)
        with pytest.raises(NoSuchVoice):
            voices.update_clip("", made.id, wrong, transcript="x")


def test_a_consent_can_neither_be_changed_nor_removed(voices, tmp_path) -> None:
    made = voices.add("", "Ann", "", [], [clip()], CONSENT)
    with sqlite3.connect(tmp_path / "voices" / collection.DATABASE) as db:
        db.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            db.execute("UPDATE consents SET who = 'x'")
        with pytest.raises(sqlite3.IntegrityError, match="as long as its voice"):
            db.execute("DELETE FROM consents")
    voices.delete("", made.id)
    assert rows(tmp_path, "consents") == 0


def test_delete_leaves_no_byte(voices, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("studio.voices.index.SAVED_FROM", 1)
    secret = "Seldom seen sentence."
    other = voices.add("", "Bob", "", [], [clip(500)], CONSENT)
    made = voices.add(
        *("", "Secretname", "en", ["rare-tag"], [clip(220, secret)]),
        Consent("Somebody Unusual", "unique purpose"),
    )
    engine = Cloner()
    voices.conditioning("", made.id, engine, "cpu", CancelToken())
    assert voices.like("", tone(221), RATE)[0].voice.id == made.id
    voices.best_reference("", made.id, clip=(tone(220), RATE))
    vector = voices.embedding("", made.id).astype("<f4").tobytes()
    there = stored_bytes(tmp_path)
    traces = [secret, "Secretname", "rare-tag", "Somebody Unusual", "unique purpose", made.id]
    traces = [trace.encode() for trace in traces]
    traces += [vector, wav(tone(220))[44:1044], made.clips[0].sha256.encode()]
    assert all(trace in there for trace in traces)
    voices.delete("", made.id)
    left = stored_bytes(tmp_path)
    assert [trace for trace in traces if trace in left] == []
    names = " ".join(str(path) for path in tmp_path.rglob("*"))
    assert made.id not in names and made.clips[0].id not in names
    assert rows(tmp_path, "pending") == 0
    assert [v.voice.id for v in voices.like("", tone(221), RATE)] == [other.id]
    with pytest.raises(NoSuchVoice):
        voices.get("", made.id)
    with pytest.raises(NoSuchVoice):
        voices.delete("", made.id)


def test_owners_never_meet(voices) -> None:
    mine = voices.add("ann", "Same", "", [], [clip(220)], CONSENT)
    theirs = voices.add("bob", "Same", "", [], [clip(220)], CONSENT)
    for owner, own in (("ann", mine), ("bob", theirs)):
        assert [v.id for v in voices.list(owner).voices] == [own.id]
        assert [v.id for v in voices.search(owner, "same").voices] == [own.id]
        assert [v.voice.id for v in voices.like(owner, tone(220), RATE)] == [own.id]
    assert voices.list("").total == 0
    foreign, there = theirs.id, theirs.clips[0].id
    for attempt in (
        lambda: voices.get("ann", foreign),
        lambda: voices.rename("ann", foreign, "x"),
        lambda: voices.delete("ann", foreign),
        lambda: voices.clip_wav("ann", foreign, there),
        lambda: voices.clip_wav("ann", mine.id, there),
        lambda: voices.add_clip("ann", foreign, clip(300), CONSENT),
        lambda: voices.remove_clip("ann", foreign, there),
        lambda: voices.update_clip("ann", foreign, there, transcript="x"),
        lambda: voices.embedding("ann", foreign),
        lambda: voices.references("ann", foreign),
        lambda: voices.best_reference("ann", foreign, text="x"),
        lambda: voices.best_reference("ann", foreign, clip=(tone(220), RATE)),
        lambda: voices.conditioning("ann", foreign, Cloner(), "cpu", CancelToken()),
        lambda: voices.export_zip("ann", foreign, voices.exports / "x.zip"),
    ):
        with pytest.raises(NoSuchVoice):
            attempt()
    assert voices.get("bob", foreign) == theirs
    assert not (voices.exports / "x.zip").exists()


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "CON", "a" * 100, "\u202ee\x00vil\n"])
def test_a_name_is_just_a_name(voices, tmp_path, name) -> None:
    made = voices.add(name, name, "", [name[:40]], [clip()], CONSENT)
    assert made.name == name.replace("\u202e", "").replace("\x00", "").strip()
    owner, voice, sound = sounds(tmp_path)[0].relative_to(tmp_path / "voices").parts
    assert all(part.removesuffix(".wav").isalnum() for part in (owner, voice, sound))


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "\x00\n \u202e"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x" * 10_000}, "name"),
        ({"language": "English, please"}, "language"),
        ({"language": "../x"}, "language"),
        ({"tags": ["x" * 41]}, "tags"),
        ({"tags": [str(n) for n in range(21)]}, "tags"),
        ({"notes": "x" * 5001}, "notes"),
        ({"clips": []}, "file"),
        ({"clips": [NewClip(wav(tone(220)), "x" * 5001)]}, "transcript"),
        ({"clips": [clip(220), clip(220)]}, "file"),
    ],
)
def test_bad_fields_leave_nothing(voices, tmp_path, wrong, param) -> None:
    given = {"name": "Ann", "language": "", "tags": [], "clips": [clip()], "notes": ""} | wrong
    with pytest.raises(BadVoiceField) as caught:
        voices.add("", consent=CONSENT, **given)
    assert caught.value.param == param
    assert len(str(caught.value)) < 400
    assert_nothing_is_there(tmp_path)


def assert_nothing_is_there(folder: Path) -> None:
    for table in ("voices", "clips", "consents", "embeddings", "pending"):
        assert rows(folder, table) == 0
    assert sounds(folder) == []
    assert list((folder / "voices").glob(f"{files.INCOMING}/*")) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"This is a text.", "no sound file"),
        (b"", "no sound file"),
        (wav(np.zeros((2400, 2), np.float32)), "2 channels"),
        (wav(tone(220, 0.1)), "0.10 s"),
        (wav(tone(220, 301, 8000), 8000), "301.00 s"),
        (wav(tone(220, 1, 4000), 4000), "4,000 Hz"),
        (wav(np.full(24_000, np.nan, np.float32), subtype="FLOAT"), "no numbers"),
        (b"RIFF" + b"\x00" * 100, "no sound file"),
    ],
)
def test_bad_clips_leave_nothing(voices, tmp_path, data, said) -> None:
    with pytest.raises(BadReference, match=said):
        voices.add("", "Ann", "", [], [clip(), NewClip(data)], CONSENT)
    assert_nothing_is_there(tmp_path)


def test_a_clip_with_another_hash(voices, tmp_path) -> None:
    with pytest.raises(BadReference, match="SHA-256"):
        voices.add("", "Ann", "", [], [NewClip(clip().wav, sha256="0" * 64)], CONSENT)
    assert_nothing_is_there(tmp_path)


@pytest.mark.parametrize(("who", "purpose"), [("", "books"), ("Ann", " \n"), ("\x00", "books")])
def test_no_voice_without_consent(voices, tmp_path, who, purpose) -> None:
    with pytest.raises(MissingConsent):
        voices.add("", "Ann", "", [], [clip()], Consent(who, purpose))
    assert_nothing_is_there(tmp_path)


def test_cancelled_midway(voices, tmp_path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        voices.add("", "Ann", "", [], [clip()], CONSENT, cancel=cancel)
    assert_nothing_is_there(tmp_path)


def test_many_threads_at_once(voices, tmp_path) -> None:
    shared = voices.add("", "Shared", "", [], [clip(2000)], CONSENT)
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        for turn in range(4):
            pitch = 200 + 40 * number + 10 * turn
            made = voices.add("", f"V{number}", "", [], [clip(pitch)], CONSENT)
            voices.add_clip("", shared.id, clip(pitch, str(pitch)), CONSENT)
            if turn % 2:
                voices.delete("", made.id)
            assert voices.like("", tone(pitch), RATE)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert voices.list("").total == 1 + 4 * 2
    assert voices.get("", shared.id).clip_count == 1 + 16
    assert len(sounds(tmp_path)) == 4 * 2 + 17
    assert rows(tmp_path, "pending") == 0


def test_two_libraries_on_one_folder_agree(tmp_path) -> None:
    first, second = library(tmp_path), library(tmp_path)
    made = first.add("", "Ann", "", [], [clip(220)], CONSENT)
    assert [v.voice.id for v in second.like("", tone(220), RATE)] == [made.id]
    later = second.add("", "Bea", "", [], [clip(600)], CONSENT)
    assert first.like("", tone(600), RATE)[0].voice.id == later.id
    second.delete("", made.id)
    assert [v.voice.id for v in first.like("", tone(220), RATE)] == [later.id]
    first.close()
    second.close()


def test_a_full_disk_loses_nothing(voices, tmp_path, monkeypatch) -> None:
    made = voices.add("", "Ann", "", [], [clip(220)], CONSENT)
    with monkeypatch.context() as patch:
        patch.setattr("studio.voices.files.os.fsync", _full)
        with pytest.raises(StorageError, match="No space left"):
            voices.add("", "Bea", "", [], [clip(300)], CONSENT)
        with pytest.raises(StorageError, match="No space left"):
            voices.add_clip("", made.id, clip(300), CONSENT)
        with pytest.raises(StorageError, match="No space left"):
            voices.export_zip("", made.id, voices.exports / "a.zip")
    assert list(voices.exports.iterdir()) == []
    assert voices.get("", made.id) == made
    assert voices.list("").total == 1
    assert len(sounds(tmp_path)) == 1
    assert rows(tmp_path, "pending") == 0


def _full(_handle: int) -> None:
    raise OSError(28, "No space left on device")


KILLED = """
import os, sys
from pathlib import Path
from studio.voices import files
from tests.voice_helpers import CONSENT, clip, library
folder, step, voice_id = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
original = getattr(files.VoiceFiles, step)
def and_die(self, stage, path):
    original(self, stage, path)
    os._exit(9)
setattr(files.VoiceFiles, step, and_die)
voices = library(folder)
if step == "publish":
    voices.add("", "Bea", "", [], [clip(300)], CONSENT)
else:
    voices.add_clip("", voice_id, clip(300), CONSENT)
"""


@pytest.mark.parametrize("step", ["publish", "publish_clips"])
def test_killed_between_files_and_rows(tmp_path, step) -> None:
    """The process dies when the files are in place and the rows are not yet."""
    voices = library(tmp_path)
    made = voices.add("", "Ann", "", [], [clip(220)], CONSENT)
    voices.close()
    command = [sys.executable, "-c", KILLED, str(tmp_path), step, made.id]
    assert subprocess.run(command, cwd=ROOT, timeout=60).returncode == 9
    assert len(sounds(tmp_path)) == 2  # left behind
    again = library(tmp_path)
    assert [v.name for v in again.list("").voices] == ["Ann"]
    assert again.get("", made.id) == made
    assert len(sounds(tmp_path)) == 1
    assert_swept(tmp_path)
    again.close()


def assert_swept(folder: Path) -> None:
    assert rows(folder, "pending") == 0
    assert list((folder / "voices").glob(f"{files.INCOMING}/*")) == []


def test_a_crash_while_deleting(tmp_path, monkeypatch) -> None:
    voices = library(tmp_path)
    made = voices.add("", "Ann", "", [], [clip(220)], CONSENT)
    with monkeypatch.context() as patch:
        patch.setattr(files.VoiceFiles, "remove", lambda self, path: _full(0))
        with pytest.raises(StorageError, match="No space"):
            voices.delete("", made.id)
    assert len(sounds(tmp_path)) == 1
    voices.close()
    again = library(tmp_path)
    assert again.list("").total == 0
    assert sounds(tmp_path) == []
    again.close()


def test_what_a_dead_process_was_adding_is_swept(tmp_path) -> None:
    incoming = tmp_path / "voices" / files.INCOMING
    dead, alive = incoming / "999999999-ab", incoming / "1-ab"
    for stage in (dead, alive):
        stage.mkdir(parents=True)
        (stage / "x.wav").write_bytes(b"x")
    library(tmp_path).close()
    assert not dead.exists()
    assert alive.exists()


def test_a_lost_database_takes_no_sound_with_it(tmp_path) -> None:
    voices = library(tmp_path)
    voices.add("", "Ann", "", [], [clip(220)], CONSENT)
    voices.close()
    for path in (tmp_path / "voices").glob("voices.sqlite*"):
        path.unlink()
    again = library(tmp_path)
    assert again.list("").total == 0
    assert len(sounds(tmp_path)) == 1
    again.close()


def test_a_damaged_database_is_named_and_left_alone(tmp_path) -> None:
    voices = library(tmp_path)
    voices.add("", "Ann", "", [], [clip(220)], CONSENT)
    voices.close()
    database = tmp_path / "voices" / collection.DATABASE
    damaged = b"no database at all" * 1000
    database.write_bytes(damaged)
    before = sorted(path.name for path in sounds(tmp_path))
    with pytest.raises(StorageError) as caught:
        library(tmp_path)
    assert str(database) in str(caught.value)
    assert database.read_bytes() == damaged
    assert sorted(path.name for path in sounds(tmp_path)) == before


def test_missing_and_damaged_clips_are_said(voices, tmp_path) -> None:
    made = voices.add("", "Ann", "", [], [clip(220)], CONSENT)
    (path,) = sounds(tmp_path)
    path.write_bytes(clip(230).wav)
    with pytest.raises(StorageError, match="damaged"):
        voices.references("", made.id)
    path.unlink()
    with pytest.raises(StorageError, match=path.name):
        voices.clip_wav("", made.id, made.clips[0].id)
    voices.delete("", made.id)
    assert voices.list("").total == 0


def test_a_voice_has_a_most_of_clips(voices, monkeypatch) -> None:
    monkeypatch.setattr("studio.voices.shelf.MAX_CLIPS", 2)
    made = voices.add("", "Ann", "", [], [clip(220), clip(230)], CONSENT)
    with pytest.raises(BadVoiceField, match="3 clips"):
        voices.add_clip("", made.id, clip(240), CONSENT)
    assert voices.get("", made.id) == made


def test_a_folder_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "voices").write_text("a file")
    with pytest.raises(StorageError, match="voices"):
        VoiceLibrary(tmp_path / "voices", tmp_path / "cache", embed=embed)
