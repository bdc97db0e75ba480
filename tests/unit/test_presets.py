"""Presets: those that come with the program fit its engines; broken ones name file and line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import registry
from engines.api import EngineContext
from engines.controls import validate
from engines.errors import BadPreset, UnknownPreset, UnknownVoice
from engines.memory import MemoryManager
from studio import presets
from studio.settings import PRESETS_DIR
from tests import fakes

OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "nova"),
    *("onyx", "sage", "shimmer", "verse", "marin", "cedar"),
)
VOICE = {
    "id": "ann",
    "name": "Ann",
    "description": "A tone.",
    "engine": "tone",
    "voice": "sine",
    "language": "en-US",
}
PRESET = {
    "id": "low",
    "title": "Low",
    "description": "Low tones.",
    "engine": "tone",
    "controls": {"frequency": 100},
}


@pytest.fixture(autouse=True)
def tone(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(PRESETS_DIR / presets.SCHEMA_FILE, tmp_path)
    for kind in ("engines", "voices"):
        (tmp_path / kind).mkdir()
    return tmp_path


def complaint(folder: Path, text: str | bytes, kind: str = "voices") -> str:
    """The error that one file in the folder leads to, without the folder's name."""
    file = folder / kind / "x.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadPreset) as caught:
        presets.load(folder)
    assert str(file) in caught.value.given
    return caught.value.given.removeprefix(f"{file}, ")


# what comes with the program

SHIPPED = presets.load(PRESETS_DIR)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory):
    folder, memory = tmp_path_factory.mktemp("engines"), MemoryManager()
    context = EngineContext(folder, folder, memory)
    made = {name: registry.engine_class(name)(context) for name in registry.names()}
    yield made
    for engine in made.values():
        engine.close()
    memory.close()


@pytest.mark.parametrize("preset", SHIPPED.engines, ids=lambda preset: preset.id)
def test_a_shipped_preset_fits_its_engine(preset: presets.EnginePreset, engines) -> None:
    engine = engines[preset.engine]
    changed = validate(engine.controls, preset.controls)
    assert changed != engine.controls(), "a preset that changes nothing is none"
    if preset.voice is not None:
        engine.voice(preset.voice)


@pytest.mark.parametrize("starter", SHIPPED.voices, ids=lambda voice: voice.id)
def test_a_starter_voice_is_one_of_its_engine(starter: presets.StarterVoice, engines) -> None:
    engine = engines[starter.engine]
    validate(engine.controls, starter.controls)
    voice = engine.voice(starter.voice)
    assert starter.language.lower() in [tag.lower() for tag in voice.languages]
    assert voice.gender in ("", starter.gender)


def test_the_uses_and_languages_that_were_promised() -> None:
    assert {"audiobook", "assistant", "announcement"} <= {p.id for p in SHIPPED.engines}
    assert len(SHIPPED.voices) >= 8
    assert len({voice.language.split("-")[0] for voice in SHIPPED.voices}) >= 4
    assert len({voice.name for voice in SHIPPED.voices}) == len(SHIPPED.voices)


def test_names_that_openai_clients_send_are_voices() -> None:
    found = {name: SHIPPED.starter_voice(name, None) for name in OPENAI_VOICES}
    assert all(found.values()), found
    assert all(voice.language.startswith("en") for voice in found.values())
    assert len({voice.id for voice in found.values()}) >= 4


def test_no_starter_voice_hides_a_voice_of_an_engine(engines) -> None:
    own = {voice.id for engine in engines.values() for voice in engine.voices()}
    named = {name for voice in SHIPPED.voices for name in (voice.id, *voice.aliases)}
    assert not own & named


# looking up


def test_a_voice_is_found_by_id_and_alias_but_not_for_another_engine(folder: Path) -> None:
    (folder / "voices" / "ann.json").write_text(json.dumps({**VOICE, "aliases": ["alloy"]}))
    loaded = presets.load(folder)
    assert loaded.starter_voice("ann", None) is loaded.starter_voice("alloy", "tone")
    assert loaded.starter_voice("bob", None) is None
    assert loaded.starter_voice(None, None) is None
    with pytest.raises(UnknownVoice, match=r"belongs to the engine tone.*espeak"):
        loaded.starter_voice("ann", "espeak")


def test_an_unknown_preset_is_told_with_those_that_there_are(folder: Path) -> None:
    (folder / "engines" / "low.json").write_text(json.dumps(PRESET))
    loaded = presets.load(folder)
    assert loaded.engine_preset("low").controls == {"frequency": 100}
    with pytest.raises(UnknownPreset, match=r"'high'.*low"):
        loaded.engine_preset("high")


def test_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert presets.load(tmp_path / "none") == presets.Presets()


def test_a_byte_order_mark_does_no_harm(folder: Path) -> None:
    (folder / "voices" / "x.json").write_text(json.dumps(VOICE), "utf-8-sig")
    assert presets.load(folder).voices[0].id == "ann"


# broken files


def pretty(values: object, **options: object) -> str:
    return json.dumps(values, indent=2, **options)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", "line 1: is no JSON"),
        ('{\n "id": "ann",\n "name"\n}', "line 4: is no JSON"),
        ("[]", "line 1: the file: [] is not of type 'object'"),
        (b'{"id": "\xff"}', "line 1: cannot be read"),
        ("[" * 100_000, "line 1: is nested too deeply"),
        (pretty({**VOICE, "id": "Ann!"}), "line 2: id: 'Ann!' does not match"),
        (pretty({**VOICE, "language": 7}), "line 7: language: 7 is not of type 'string'"),
        (pretty({**VOICE, "gender": "cat"}), "line 8: gender: 'cat' is not one of"),
        (pretty({**VOICE, "aliases": ["a", "b", ""]}), "line 11: aliases.2: ''"),
        (pretty({**VOICE, "colour": 1}), "line 1: the file: Additional properties"),
        (pretty({**VOICE, "controls": {"speed": [1]}}), "line 9: controls.speed: [1]"),
        (pretty({**VOICE, "controls": {"speed": 99}}), "line 9: speed was 99. It takes a number"),
        (pretty({**VOICE, "controls": {"depth": 1}}), "line 9: There is no control 'depth'"),
        (pretty({**VOICE, "engine": "none"}), "line 5: There is no engine 'none'"),
        ('\n\n{"id": "ann"}', "line 3: the file: 'name' is a required property"),
    ],
)
def test_a_broken_file_is_told_with_its_line(folder: Path, text: str | bytes, start: str) -> None:
    assert complaint(folder, text).startswith(start)


def test_nan_is_no_value_of_a_control(folder: Path) -> None:
    text = pretty({**PRESET, "controls": {"frequency": float("nan")}})
    assert complaint(folder, text, "engines").startswith("line 7: frequency was nan")


@pytest.mark.parametrize(
    "text",
    [
        pretty({**VOICE, "gender": "cat"}).replace("  ", "\t"),
        pretty({**VOICE, "name": 'Zoë \U0001f600 \\ " / \x00', "gender": "cat"}),
        pretty({**VOICE, "tags": ["]", "}", ",", ":"], "name": "{", "gender": "cat"}),
    ],
    ids=["tabs", "escapes", "punctuation"],
)
def test_the_line_is_right_whatever_the_file_is_written_like(folder: Path, text: str) -> None:
    wanted = text[: text.index('"cat"')].count("\n") + 1
    assert complaint(folder, text).startswith(f"line {wanted}: gender")


def test_an_id_stands_once(folder: Path) -> None:
    (folder / "voices" / "a.json").write_text(json.dumps(VOICE))
    said = complaint(folder, pretty({**VOICE, "id": "bob", "aliases": ["ann"]}))
    assert said.startswith("line 2: the id 'ann' stands in ") and "a.json" in said


def test_a_broken_schema_file_is_told_too(folder: Path) -> None:
    (folder / presets.SCHEMA_FILE).write_text("{")
    (folder / "voices" / "a.json").write_text(json.dumps(VOICE))
    with pytest.raises(BadPreset, match=r"schema\.json, line 1"):
        presets.load(folder)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.dictionaries(st.sampled_from([*VOICE, "controls", "tags", "x"]), ANYTHING))
def test_any_json_is_taken_or_refused_as_a_bad_preset(folder: Path, values: dict) -> None:
    (folder / "voices" / "x.json").write_text(pretty({**VOICE, **values}))
    try:
        assert len(presets.load(folder).voices) == 1
    except BadPreset as error:
        assert "x.json, line " in error.given
