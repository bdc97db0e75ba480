"""What engines compute from a voice is computed once and read back whole, or computed again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engines.api import CancelToken
from engines.errors import BadReference, Cancelled, EngineFailure, UnknownVoice
from studio.voices import conditioning
from tests.voice_helpers import CONSENT, RATE, Cloner, clip, library


@pytest.fixture
def voices(tmp_path):
    made = library(tmp_path)
    yield made
    made.close()


@pytest.fixture
def ann(voices) -> str:
    return voices.add("", "Ann", "en", [], [clip(220, "One.")], CONSENT).id


def kept(folder: Path) -> list[Path]:
    return list((folder / "cache").rglob("*.safetensors"))


def get(voices, voice_id, engine, **how):
    return voices.conditioning("", voice_id, engine, "cpu", CancelToken(), **how)


def test_it_is_computed_once_and_read_back(voices, ann, tmp_path) -> None:
    engine = Cloner()
    first = get(voices, ann, engine)
    voices.close()
    again = get(library(tmp_path), ann, engine)
    assert engine.entered == 1
    assert first.keys() == again.keys() == {"lengths", "scale", "mel"}
    for name, array in first.items():
        assert np.array_equal(array, again[name])
        assert (array.dtype, array.shape) == (again[name].dtype, again[name].shape)


def test_it_depends_on_clips_engine_and_version(voices, ann) -> None:
    engine = Cloner()
    get(voices, ann, engine)
    get(voices, ann, newer := Cloner("2"))
    assert newer.entered == 1
    changed = voices.add_clip("", ann, clip(300, "Two."), CONSENT)
    assert len(get(voices, ann, engine)["lengths"]) == 2
    voices.update_clip("", ann, changed.clips[0].id, transcript="Other.")
    get(voices, ann, engine)
    assert engine.entered == 3
    picked = get(voices, ann, engine, clip_ids=[changed.clips[1].id])
    assert len(picked["lengths"]) == 1
    voices.rename("", ann, "Bea")
    get(voices, ann, engine)
    assert engine.entered == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"no tensors",
        lambda data: data[:-1],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"\xff" * len(data),
    ],
)
def test_a_damaged_file_is_computed_again(voices, ann, tmp_path, damage) -> None:
    engine = Cloner()
    first = get(voices, ann, engine)
    (path,) = kept(tmp_path)
    data = path.read_bytes()
    path.write_bytes(damage(data))
    assert get(voices, ann, engine)["lengths"].tolist() == first["lengths"].tolist()
    assert engine.entered == 2
    assert path.read_bytes() == data
    get(voices, ann, engine)
    assert engine.entered == 2


def test_many_callers_compute_once(voices, ann) -> None:
    engine = Cloner()
    engine.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(get, voices, ann, engine) for _ in range(4)]
        while not engine.entered:
            threading.Event().wait(0.01)
        engine.gate.set()
        found = [each.result() for each in asked]
    assert engine.entered == 1
    assert len({array["lengths"].tobytes() for array in found}) == 1


def test_who_waits_can_leave(voices, ann) -> None:
    engine, cancel = Cloner(), CancelToken()
    engine.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(get, voices, ann, engine)
        while not engine.entered:
            threading.Event().wait(0.01)
        cancel.cancel()
        with pytest.raises(Cancelled):
            voices.conditioning("", ann, engine, "cpu", cancel)
        engine.gate.set()
        assert first.result()["lengths"].tolist() == [RATE // 2]


def test_nothing_is_kept_of_a_voice_that_goes_meanwhile(voices, ann, tmp_path) -> None:
    engine = Cloner()
    engine.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(get, voices, ann, engine)
        while not engine.entered:
            threading.Event().wait(0.01)
        voices.delete("", ann)
        engine.gate.set()
        asked.result()
    assert kept(tmp_path) == []
    with pytest.raises(UnknownVoice):
        get(voices, ann, engine)


def test_an_engines_refusal_is_not_kept(voices, ann, tmp_path) -> None:
    engine = Cloner()
    engine.condition = lambda *_args, **_options: (_ for _ in ()).throw(BadReference("Too short."))
    with pytest.raises(BadReference):
        get(voices, ann, engine)
    engine.condition = lambda *_args, **_options: {"x": "no array of numbers"}
    with pytest.raises(EngineFailure):
        get(voices, ann, engine)
    assert kept(tmp_path) == []


def test_a_disk_that_is_full_costs_only_the_cache(voices, ann, tmp_path, monkeypatch) -> None:
    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("studio.voices.files.os.fsync", full)
    assert get(voices, ann, Cloner())["lengths"].tolist() == [RATE // 2]
    assert kept(tmp_path) == []


def test_an_engine_gets_the_first_minute(voices, monkeypatch) -> None:
    monkeypatch.setattr(conditioning, "REFERENCE_SECONDS", 1.2)
    given = [clip(200 + 20 * number, f"Number {number}.") for number in range(4)]
    made = voices.add("", "Ann", "en", [], given, CONSENT)
    references = voices.references("", made.id)
    assert [reference.transcript for reference in references] == ["Number 0.", "Number 1."]
    assert references[0].sample_rate == RATE
    assert (references[0].samples.dtype, references[0].samples.shape) == (np.float32, (RATE // 2,))
    assert (references[0].language, references[0].sha256) == ("en", made.clips[0].sha256)
    picked = voices.references("", made.id, [made.clips[3].id])
    assert [reference.transcript for reference in picked] == ["Number 3."]
    with pytest.raises(UnknownVoice):
        voices.references("", made.id, ["../../x"])
