"""XTTS in stages as a part of the engine of the library's models."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engines.api import CancelToken, EngineContext, Span, Utterance
from engines.coqui.controls import CoquiControls
from engines.coqui.engine import CoquiEngine
from engines.coqui.opaque import Opaque
from engines.coqui.performing import Saying
from engines.coqui.xtts.config import read_config
from engines.coqui.xtts.performing import StagedXtts, _parts, how_of
from engines.errors import BadCheckpoint, Cancelled, UnsupportedRuntime
from engines.memory import MemoryManager
from tests import xtts_saying
from tests.xtts_release import write_release

TWO = "the other man. No one in town!"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_release(tmp_path_factory.mktemp("house") / "models" / "tiny")


@pytest.fixture
def engine(folder):
    memory = MemoryManager()
    yield xtts_saying.engine_of(folder, memory)
    memory.close()


def chunks(engine: CoquiEngine, text: str, **controls):
    voice = engine.voice("tiny.Ada-Tester")
    how = CoquiControls(top_k=1, **controls)
    given = {"device": "cpu", "seed": 1, "cancel": CancelToken()}
    return engine.speak(Utterance((Span(text, text),), "en"), voice, how, **given)


def sound(engine: CoquiEngine, text: str, **controls) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks(engine, text, **controls)])


def saying(text: str, language: str, **controls) -> Saying:
    return Saying(text, language, "", None, CoquiControls(**controls))


def test_stages_take_xtts_and_leave_the_rest(engine, folder):
    [installed] = engine._shelf.models()
    for device in ("cpu", "cuda:0", "mps", "onnx", "onnx:cuda", "xla:0"):
        assert isinstance(engine._performer(installed, device), StagedXtts)
    other = SimpleNamespace(id="v", kind=SimpleNamespace(name="vits", title="VITS"))
    assert isinstance(engine._performer(other, "cpu"), Opaque)
    for device in ("onnx", "xla:0"):
        with pytest.raises(UnsupportedRuntime, match=f"VITS.*{device}.*cuda, mps, cpu"):
            engine._performer(other, device)


def test_the_first_version_is_left_to_the_library(tmp_path):
    folder = write_release(tmp_path / "models" / "tiny")
    path = folder / "config.json"
    data = json.loads(path.read_text())
    data["model_args"]["gpt_use_perceiver_resampler"] = False
    path.write_text(json.dumps(data))
    memory = MemoryManager()
    engine = xtts_saying.engine_of(folder, memory)
    [installed] = engine._shelf.models()
    assert isinstance(engine._performer(installed, "cpu"), Opaque)
    with pytest.raises(BadCheckpoint, match="XTTS v1"):
        xtts_saying.say(engine, "No.", "onnx")
    memory.close()


def test_sound_comes_before_the_sentence_is_done(engine):
    text = xtts_saying.TEXTS[2]
    parts = [chunk.samples for chunk in chunks(engine, text) if chunk.samples.size]
    assert len(parts) > 1
    cancel = CancelToken()
    voice = engine.voice("tiny.Ada-Tester")
    spoken = engine.speak(
        Utterance((Span(text, text),), "en"),
        voice,
        CoquiControls(),
        device="cpu",
        seed=1,
        cancel=cancel,
    )
    next(spoken)
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(spoken)


def test_signs_that_have_no_sound_are_told(engine):
    notes = [note for chunk in chunks(engine, "No ∆ and ◊.") for note in chunk.notes]
    assert len(notes) == 1 and "∆ ◊" in notes[0] and "tiny" in notes[0]
    assert not [note for chunk in chunks(engine, "No.") for note in chunk.notes]


def test_sentences_are_cut_where_it_is_asked_for(engine):
    assert _parts(saying(TWO, "en")) == [TWO]
    first, second = _parts(saying(TWO, "en", split_sentences=True))
    assert (first, second) == ("the other man.", "No one in town!")
    together = sound(engine, TWO, split_sentences=True)
    # the likeliest codes depend on no draw, so each sentence sounds as it does alone
    alone = np.concatenate([sound(engine, each) for each in (first, second)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_what_is_longer_than_the_model_can_say_is_cut():
    long = "一二三四五六七八九十，" * 20
    parts = _parts(saying(long, "zh-cn"))
    assert "".join(parts) == long and max(map(len, parts)) <= 82
    assert _parts(saying("a b " * 40, "en")) == ["a b " * 39 + "a b"]


def test_what_is_not_set_is_the_releases_own(folder):
    config = read_config(folder)
    own = how_of(CoquiControls(), config)
    assert (own.sampling.temperature, own.sampling.top_k) == (config.temperature, config.top_k)
    assert own.sampling.repetition_penalty == config.repetition_penalty and own.speed == 1
    given = how_of(CoquiControls(temperature=0.3, top_p=0.5, speed=2), config)
    assert (given.sampling.temperature, given.sampling.top_p, given.speed) == (0.3, 0.5, 2)


def test_a_release_that_changed_is_read_again(tmp_path):
    folder = write_release(tmp_path / "models" / "tiny")
    memory = MemoryManager()
    staged = StagedXtts(EngineContext(folder.parent, tmp_path / "cache", memory))
    engine = xtts_saying.engine_of(folder, memory)
    [installed] = engine._shelf.models()
    before = staged._release(installed)
    assert staged._release(installed) is before
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**data, "temperature": 0.123}))
    [changed] = engine._shelf.models()
    assert changed.version != installed.version
    assert staged._release(changed).config.temperature == 0.123
    memory.close()
