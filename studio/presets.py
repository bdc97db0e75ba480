"""Engine presets and starter voices: JSON files, checked against a schema at start."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines import registry
from engines.api import Voice
from engines.controls import validate
from engines.errors import BadControl, BadPreset, UnknownEngine, UnknownPreset, UnknownVoice
from studio.settings import PRESETS_DIR

SCHEMA_FILE = "schema.json"
STARTER = "starter"  # tag of every starter voice


@dataclass(frozen=True, slots=True)
class EnginePreset:
    """Controls for one use, such as an audiobook. Values that a request gives stand above it."""

    id: str
    title: str
    description: str
    engine: str
    voice: str | None = None
    controls: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StarterVoice:
    """A named voice that works from the first start: an engine's voice with its controls set.

    Attributes:
        id: what a request gives as its voice.
        voice: the voice id within the engine.
        aliases: other ids by which clients may ask for it.
    """

    id: str
    name: str
    description: str
    engine: str
    voice: str
    language: str
    gender: str = ""
    controls: Mapping[str, object] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    def as_voice(self) -> Voice:
        return Voice(
            id=self.id,
            name=self.name,
            engine=self.engine,
            languages=(self.language,),
            gender=self.gender,  # type: ignore[arg-type]  # the schema allows these values only
            tags=(STARTER, *self.tags),
        )


@dataclass(frozen=True, slots=True)
class Presets:
    engines: tuple[EnginePreset, ...] = ()
    voices: tuple[StarterVoice, ...] = ()

    def engine_preset(self, preset_id: str) -> EnginePreset:
        """
        Raises:
            UnknownPreset: there is none of that id.
        """
        for preset in self.engines:
            if preset.id == preset_id:
                return preset
        raise UnknownPreset(
            f"There is no preset {preset_id!r:.80}.",
            f"Presets here: {', '.join(preset.id for preset in self.engines) or 'none'}.",
            "Pick one of them or leave the preset out.",
            param="preset",
        )

    def starter_voice(self, voice_id: str | None, engine: str | None) -> StarterVoice | None:
        """The starter voice of that id or alias, if there is one.

        Raises:
            UnknownVoice: it belongs to another engine than the one asked for.
        """
        for voice in self.voices:
            if voice_id == voice.id or voice_id in voice.aliases:
                if engine is not None and engine != voice.engine:
                    raise UnknownVoice(
                        f"The voice {voice_id!r:.80} belongs to the engine {voice.engine}.",
                        f"The request asks for the engine {engine}.",
                        f"Leave the engine out or pick a voice of {engine}.",
                        param="voice",
                    )
                return voice
        return None


def load(folder: Path) -> Presets:
    """Read `folder/engines/*.json` and `folder/voices/*.json`.

    Raises:
        BadPreset: with file and line, for the first file that is broken or breaks the schema.
    """
    if not folder.is_dir():
        return Presets()
    schema = _parse(folder / SCHEMA_FILE)
    seen: dict[str, str] = {}
    engines = [_checked(file, schema, "engine", seen) for file in _files(folder / "engines")]
    voices = [_checked(file, schema, "voice", seen) for file in _files(folder / "voices")]
    return Presets(
        engines=tuple(EnginePreset(**values) for values in engines),
        voices=tuple(_starter(values) for values in voices),
    )


def load_own(
    folder: Path, shipped: Presets
) -> tuple[dict[Path, StarterVoice], tuple[BadPreset, ...]]:
    """Starter voices of the user's own, `folder/*.json`, by file; and why others are left out.

    Args:
        shipped: those that come with the program, whose ids are taken.
    """
    seen = dict.fromkeys(_ids_of(shipped), "the presets of the program")
    voices: dict[Path, StarterVoice] = {}
    faults = []
    files = _files(folder)
    schema = _parse(PRESETS_DIR / SCHEMA_FILE) if files else {}
    for file in files:
        try:
            voices[file] = _starter(_checked(file, schema, "voice", seen))
        except BadPreset as error:
            told = f"Starter voices follow {PRESETS_DIR / SCHEMA_FILE}; this one is left out."
            faults.append(BadPreset(error.given, told, error.todo))
    return voices, tuple(faults)


def _ids_of(presets: Presets) -> Iterator[str]:
    yield from (preset.id for preset in presets.engines)
    for voice in presets.voices:
        yield from (voice.id, *voice.aliases)


def _starter(values: Mapping[str, Any]) -> StarterVoice:
    lists = {name: tuple(values.get(name, ())) for name in ("tags", "aliases")}
    return StarterVoice(**{**values, **lists})


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")  # Windows' editor marks what it saves as UTF-8
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(file, 1, f"cannot be read: {error}") from None


def _parse(file: Path) -> Any:
    try:
        return json.loads(_read(file))
    except json.JSONDecodeError as error:
        raise _broken(file, error.lineno, f"is no JSON: {error.msg}") from None
    except ValueError as error:  # a number of thousands of digits
        raise _broken(file, 1, f"is no JSON: {error}") from None
    except RecursionError:
        raise _broken(file, 1, "is nested too deeply") from None


def _checked(file: Path, schema: Any, kind: str, seen: dict[str, str]) -> dict[str, Any]:
    import jsonschema

    values = _parse(file)
    validator = jsonschema.Draft202012Validator({**schema, "$ref": f"#/$defs/{kind}"})
    error = jsonschema.exceptions.best_match(validator.iter_errors(values))
    if error is not None:
        where = ".".join(str(part) for part in error.absolute_path) or "the file"
        line = _line(file, error.absolute_path)
        raise _broken(file, line, f"{where}: {error.message:.300}")
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _broken(file, 1, "an escape in it is half a character") from None
    _check_engine(file, values)
    for name in (values["id"], *values.get("aliases", ())):
        if name in seen:
            raise _broken(file, _line(file, ["id"]), f"the id {name!r} stands in {seen[name]} too")
        seen[name] = str(file)
    return dict(values)


def _check_engine(file: Path, values: Mapping[str, Any]) -> None:
    """The engine is there and takes these controls."""
    controls = values.get("controls", {})
    try:
        validate(registry.engine_class(values["engine"]).controls, controls)
    except UnknownEngine as error:
        raise _broken(file, _line(file, ["engine"]), str(error)) from None
    except BadControl as error:
        path = ["controls", error.param or ""] if error.param in controls else ["controls"]
        raise _broken(file, _line(file, path), str(error)) from None


def _line(file: Path, path: Iterable[str | int]) -> int:
    """Line of the value at `path` in a file that is JSON."""
    text = _read(file)
    at = _skip(text, 0)
    for part in path:
        at = _member(text, at, part)
    return text.count("\n", 0, at) + 1


def _member(text: str, at: int, part: str | int) -> int:
    """Offset of the member `part` of the object or array at offset `at`."""
    decode = json.JSONDecoder().raw_decode
    at = _skip(text, at + 1)
    for index in itertools.count():
        name: str | int = index
        if isinstance(part, str):
            name, at = decode(text, at)
            at = _skip(text, at)
        if name == part:
            break
        at = _skip(text, decode(text, at)[1])
    return at


def _skip(text: str, at: int) -> int:
    """Offset of the first sign from `at` on that is neither space nor punctuation of JSON."""
    match = re.compile(r"[\s,:]*").match(text, at)
    assert match is not None
    return match.end()


def _broken(file: Path, line: int, what: str) -> BadPreset:
    return BadPreset(
        f"{file}, line {line}: {what.rstrip('.')}.",
        f"Presets follow {file.parent.parent / SCHEMA_FILE}.",
        "Mend the file or move it out of the folder.",
    )
