"""`voices`: what can speak, which controls and presets there are, and what is kept by name."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from commands import console, flags
from engines.errors import UnknownLanguage

if TYPE_CHECKING:
    from engines.api import Voice
    from studio.studio import Studio

Rows = list[dict[str, Any]]

SHOWN = ("id", "name", "engine", "languages", "gender", "tags", "sample_rate")  # of a voice


def add(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "voices",
        help="list voices, controls and presets; keep a voice under a name",
        description="List the voices; with --controls or --presets list those instead. An action "
        "keeps a voice that an engine made up under a name, or lets it go.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--engine", metavar="NAME", help="of this engine only")
    parser.add_argument("--language", metavar="TAG", help="that speak this language, such as de")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--controls", action="store_true", help="list each engine's controls")
    what.add_argument("--presets", action="store_true", help="list the engine presets")
    parser.add_argument("--json", action="store_true", help="print JSON")
    flags.add_folders(parser, suppress=True)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", parser_class=flags.Parser)
    keep = actions.add_parser("keep", help="keep a voice of an engine under a name")
    keep.set_defaults(run=_keep)
    keep.add_argument("id", metavar="ID", help="as a note tells of it, or as listed")
    keep.add_argument("name", metavar="NAME", help="what it is to be called")
    keep.add_argument("--engine", metavar="NAME", default=argparse.SUPPRESS, help="whose it is")
    keep.add_argument(
        "--language",
        metavar="TAG",
        default=argparse.SUPPRESS,
        help="under which it is listed (default: its first)",
    )
    forget = actions.add_parser("forget", help="let go of a voice that is kept under a name")
    forget.set_defaults(run=_forget)
    forget.add_argument("name", metavar="NAME", help="its name or its id")
    for action in (keep, forget):
        flags.add_folders(action, suppress=True)


def run(arguments: argparse.Namespace) -> int:
    if arguments.controls:
        _print_controls(arguments.engine, as_json=arguments.json)
        return 0
    from studio.studio import Studio

    with closing(Studio(flags.settings(arguments))) as studio:
        if arguments.presets:
            rows = _presets(studio, arguments.engine)
        else:
            rows = _voices(studio, arguments.engine, arguments.language)
    if arguments.json:
        print(json.dumps(rows, indent=2))
    elif rows:
        print(console.columns(list(rows[0]), [[_cell(v) for v in row.values()] for row in rows]))
    return 0


def _keep(arguments: argparse.Namespace) -> int:
    from studio import kept
    from studio.studio import Studio

    asked = {"engine": arguments.engine, "language": arguments.language}
    with closing(Studio(flags.settings(arguments))) as studio:
        voice = kept.keep(studio, arguments.name, arguments.id, **asked)
    print(f"{voice.name} is kept: speak with `say --voice {voice.id}`.")
    return 0


def _forget(arguments: argparse.Namespace) -> int:
    from studio import kept
    from studio.studio import Studio

    with closing(Studio(flags.settings(arguments))) as studio:
        voice = kept.forget(studio, arguments.name)
    print(f"{voice.name} is no longer kept.")
    return 0


def _print_controls(engine: str | None, *, as_json: bool) -> None:
    from commands.catalogue import control_lines
    from engines import registry
    from engines.controls import describe

    names = registry.names() if engine is None else (engine,)
    if as_json:
        controls = {name: describe(registry.engine_class(name).controls) for name in names}
        listed = {n: [dataclasses.asdict(spec) for spec in c] for n, c in controls.items()}
        print(json.dumps(listed, indent=2))
    else:
        print("\n".join(line for name in names for line in control_lines(name)))


def _voices(studio: Studio, engine: str | None, language: str | None) -> Rows:
    voices = studio.voices(engine)
    aliases = {voice.id: voice.aliases for voice in studio.presets.voices}
    rows = [
        {name: getattr(voice, name) for name in SHOWN} | {"also": aliases.get(voice.id, ())}
        for voice in voices
        if language is None or _speaks(voice, language)
    ]
    if not rows and language is not None:
        raise _unspoken(language, voices)
    return rows


def _speaks(voice: Voice, language: str) -> bool:
    wanted = language.lower().replace("_", "-")
    return not voice.languages or any(
        f"{tag.lower()}-".startswith(f"{wanted}-") for tag in voice.languages
    )


def _unspoken(language: str | None, voices: Sequence[Voice]) -> UnknownLanguage:
    known = sorted({tag.split("-")[0] for voice in voices for tag in voice.languages})
    return UnknownLanguage(
        f"No voice speaks {language!r:.40}.",
        f"The voices here speak {', '.join(known)}.",
        "Give one of these as a BCP 47 tag, such as en-US or de.",
    )


def _presets(studio: Studio, engine: str | None) -> Rows:
    return [
        {
            "id": preset.id,
            "engine": preset.engine,
            "controls": dict(preset.controls),
            "description": preset.description,
        }
        for preset in studio.presets.engines
        if engine in (None, preset.engine)
    ]


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={part}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ",".join(str(part) for part in value)
    return str(value)
