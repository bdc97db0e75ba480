"""Found by sound: the index says what comparing with every row would say, whatever happened."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from studio.speaker import unit
from studio.voices import collection, index, store
from studio.voices.fit import best_for_text
from studio.voices.index import SoundIndex, voices_of
from studio.voices.records import VoiceClip
from studio.voices.rows import Rows
from studio.voices.store import Fields
from tests.voice_helpers import CONSENT, RATE, clip, embed, library, tone

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def voices(tmp_path):
    made = library(tmp_path)
    yield made
    made.close()


def test_voices_like_a_clip(voices) -> None:
    for frequency in (200, 400, 800, 1600):
        voices.add("", f"{frequency}", "", [], [clip(frequency)], CONSENT)
    found = voices.like("", tone(410, 1.0), RATE, limit=3)
    assert [like.voice.name for like in found][:2] == ["400", "200"]
    assert len(found) == 3
    assert [like.likeness for like in found] == sorted(
        (like.likeness for like in found), reverse=True
    )
    assert found[0].likeness == pytest.approx(embed(tone(400), RATE) @ embed(tone(410), RATE))
    assert voices.like("", tone(410), RATE, limit=0) == ()
    assert len(voices.like("", tone(410), RATE, limit=9_999_999)) == 4
    assert voices.like("nobody", tone(410), RATE) == ()


def test_a_voice_is_found_by_its_mean(voices) -> None:
    made = voices.add("", "Ann", "", [], [clip(200), clip(300)], CONSENT)
    mean = unit(embed(tone(200), RATE) + embed(tone(300), RATE))
    assert np.allclose(voices.embedding("", made.id), mean, atol=1e-6)
    assert voices.near("", mean)[0].likeness == pytest.approx(1.0, abs=1e-5)
    assert voices.near("", 7 * mean)[0].likeness == pytest.approx(1.0, abs=1e-5)


def test_the_clip_of_a_voice_that_is_like_a_clip(voices) -> None:
    made = voices.add("", "Ann", "", [], [clip(f) for f in (200, 400, 800)], CONSENT)
    voices.add("", "Bob", "", [], [clip(600)], CONSENT)
    assert voices.best_reference("", made.id, clip=(tone(620), RATE)).id in (
        made.clips[1].id,
        made.clips[2].id,
    )
    assert voices.best_reference("", made.id, clip=(tone(390), RATE)) == made.clips[1]
    voices.remove_clip("", made.id, made.clips[1].id)
    assert voices.best_reference("", made.id, clip=(tone(390), RATE)) != made.clips[1]


def utterance(transcript: str, language: str = "en", seconds: float = 5.0) -> VoiceClip:
    return VoiceClip(transcript, transcript, language, seconds, "", None)  # type: ignore[arg-type]


CLIPS = (
    utterance("The boat left the harbour before dawn."),
    utterance("Did the boat leave the harbour before dawn?"),
    utterance("What a lovely boat that is!"),
    utterance("Yes."),
    utterance("Das Boot verließ den Hafen vor der Dämmerung.", "de"),
    utterance("", "en"),
    utterance("The boat left the harbour before dawn.", "en", 0.5),
)


@pytest.mark.parametrize(
    ("text", "language", "best"),
    [
        ("Would they leave before the ferry comes?", "en", 1),
        ("“Would they leave before the ferry comes?”", "en-GB", 1),
        ("How lovely it all was!", "en", 2),
        ("They left before the ferry came.", "en", 0),
        ("Die Fähre verließ uns vor dem Abend.", "de-AT", 4),
        ("Yes, yes.", "en", 3),
        ("", "", 0),
    ],
)
def test_the_clip_that_fits_a_text(text, language, best) -> None:
    assert best_for_text(CLIPS, text, language) is CLIPS[best]


def test_the_library_answers_for_a_text(voices) -> None:
    given = [clip(220, "It rained all day."), clip(240, "Did it rain all day?")]
    made = voices.add("", "Ann", "en", [], given, CONSENT)
    assert voices.best_reference("", made.id, text="Will it snow?", language="en") == made.clips[1]


# the index by itself


@pytest.fixture
def rows(tmp_path):
    made = Rows(tmp_path / "voices" / collection.DATABASE)
    yield made
    made.close()


def fill(rows, count: int, seed: int = 0, owner: str = "") -> np.ndarray:
    """Rows of voices with random embeddings; returns them [count, 256]."""
    vectors = np.random.default_rng(seed).normal(size=(count, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with rows.writing() as db:
        for number, vector in enumerate(vectors):
            fields = Fields(f"v{number}", "", (), "")
            voice = store.add_voice(db, f"{owner}{seed}-{number}", owner, fields, time.time())
            store._add_embedding(db, voice, None, vector)
        store.changed(db, [voices_of(owner).name])
    return vectors


def nearest(rows, vectors, found: list[tuple[int, float]]) -> list[int]:
    """Positions in `vectors` of what was found."""
    with rows.reading() as db:
        kept = {
            row["number"]: store.vector(row["vector"])
            for row in db.execute("SELECT number, vector FROM embeddings")
        }
    return [int(np.argmax(vectors @ kept[number])) for number, _ in found]


def test_thousands_are_found_as_brute_force_does(rows, tmp_path) -> None:
    vectors = fill(rows, 3000)
    found_by = SoundIndex(rows, tmp_path / "index")
    right = 0
    for wanted in range(0, 3000, 100):
        query = unit(vectors[wanted] + 0.02)
        best = np.argsort(-(vectors @ query))[:5].tolist()
        found = found_by.nearest(voices_of(""), query, 5)
        assert nearest(rows, vectors, found)[0] == wanted
        assert found[0][1] == pytest.approx(float(vectors[wanted] @ query), abs=1e-5)
        right += len(set(best) & set(nearest(rows, vectors, found)))
    assert right >= 0.9 * 30 * 5


def test_the_file_saves_the_work(rows, tmp_path, monkeypatch) -> None:
    vectors = fill(rows, index.SAVED_FROM)
    folder = tmp_path / "index"
    first = SoundIndex(rows, folder).nearest(voices_of(""), vectors[3], 2)
    monkeypatch.setattr(index, "_add", None)  # anything that had to be added would fail
    assert SoundIndex(rows, folder).nearest(voices_of(""), vectors[3], 2) == first


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: data[:500] + b"\xff" * 500 + data[1000:],
    ],
)
def test_a_damaged_file_is_made_again(rows, tmp_path, damage) -> None:
    vectors = fill(rows, index.SAVED_FROM)
    folder = tmp_path / "index"
    first = SoundIndex(rows, folder).nearest(voices_of(""), vectors[3], 2)
    (path,) = folder.iterdir()
    good = path.read_bytes()
    path.write_bytes(damage(good))
    assert SoundIndex(rows, folder).nearest(voices_of(""), vectors[3], 2) == first
    assert len(path.read_bytes()) == len(good)


def test_an_old_file_is_brought_up_to_date(rows, tmp_path) -> None:
    vectors = fill(rows, index.SAVED_FROM)
    folder, scope = tmp_path / "index", voices_of("")
    gone = SoundIndex(rows, folder).nearest(scope, vectors[3], 1)[0][0]
    late = fill(rows, 20, seed=1)
    with rows.writing() as db:
        db.execute("DELETE FROM embeddings WHERE number = ?", (gone,))
        store.changed(db, [scope.name])
    found_by = SoundIndex(rows, folder)
    assert found_by.nearest(scope, late[7], 1)[0][1] == pytest.approx(1.0, abs=1e-5)
    assert gone not in [number for number, _ in found_by.nearest(scope, vectors[3], 50)]


def test_no_file_keeps_what_was_removed(rows, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(index, "SAVED_FROM", 1)
    vectors = fill(rows, 40)
    scope, folder = voices_of(""), tmp_path / "index"
    found_by = SoundIndex(rows, folder)
    gone = found_by.nearest(scope, vectors[3], 1)[0][0]
    (path,) = folder.iterdir()
    assert vectors[3].tobytes() in path.read_bytes()
    with rows.writing() as db:
        db.execute("DELETE FROM embeddings WHERE number = ?", (gone,))
        store.changed(db, [scope.name])
    found_by.forget(scope, file_only=True)
    fill(rows, 5, seed=1)
    assert len(found_by.nearest(scope, vectors[3], 100)) == 44
    assert not path.exists() or vectors[3].tobytes() not in path.read_bytes()


def test_random_changes_never_confuse_it(rows, tmp_path) -> None:
    """After each of many additions and removals a search finds exactly what the rows hold."""
    random = np.random.default_rng(7)
    scope, found_by = voices_of(""), SoundIndex(rows, tmp_path / "index")
    for step in range(40):
        if random.random() < 0.5:
            fill(rows, int(random.integers(1, 6)), seed=100 + step)
        else:
            with rows.writing() as db:
                db.execute("DELETE FROM embeddings WHERE number % 5 = ?", (step % 5,))
                store.changed(db, [scope.name])
        with rows.reading() as db:
            wanted = {row[0] for row in db.execute("SELECT number FROM embeddings")}
        query = unit(random.normal(size=256))
        assert {number for number, _ in found_by.nearest(scope, query, 1000)} == wanted


def test_a_disk_that_is_full_costs_only_the_file(rows, tmp_path, monkeypatch) -> None:
    vectors = fill(rows, index.SAVED_FROM)
    monkeypatch.setattr("studio.voices.files.os.fsync", _full)
    found = SoundIndex(rows, tmp_path / "index").nearest(voices_of(""), vectors[3], 1)
    assert found[0][1] == pytest.approx(1.0, abs=1e-5)
    assert list((tmp_path / "index").iterdir()) == []


def _full(_handle: int) -> None:
    raise OSError(28, "No space left on device")


def test_indexes_of_many_owners_do_not_pile_up(rows, tmp_path) -> None:
    found_by = SoundIndex(rows, tmp_path / "index")
    kept = {
        owner: fill(rows, 2, seed=n, owner=owner) for n, owner in enumerate("abcdefghijklmnopqrst")
    }
    for _ in range(2):
        for owner, vectors in kept.items():
            assert len(found_by.nearest(voices_of(owner), vectors[0], 9)) == 2
    assert len(found_by._held) <= index.KEPT


def test_a_listing_takes_the_same_number_of_queries_whatever_its_length(voices, tmp_path) -> None:
    statements: list[str] = []
    for count in (1, 12):
        while voices.list("").total < count:
            voices.add("", "Ann", "", ["x"], [clip()], CONSENT)
        with voices._rows.reading() as db:
            db.set_trace_callback(statements.append)
            voices.list("")
            db.set_trace_callback(None)
    assert len(statements) == 4
    assert all(isinstance(s, str) and s.startswith("SELECT") for s in statements)


TOGETHER = """
import numpy as np
from studio.voices import index
made = index._empty()
made.add(np.arange(2), np.eye(256, dtype=np.float32)[:2])
import onnxruntime, soundfile, torch
try:
    onnxruntime.InferenceSession(b"no model")
except Exception:
    assert made.search(np.ones(256, np.float32), 2).keys.size == 2
    print("well")
"""


def test_the_index_library_upsets_no_other() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", TOGETHER], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout == "well\n", ran.stderr
