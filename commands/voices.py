"""`voices`: what can speak, and which controls and presets there are."""

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


def add(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "voices",
        help="list voices, controls and presets",
        description="List the voices; with --controls or --presets list those instead.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--engine", metavar="NAME", help="of this engine only")
    parser.add_argument("--language", metavar="TAG", help="that speak this language, such as de")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--controls", action="store_true", help="list each engine's controls")
    what.add_argument("--presets", action="store_true", help="list the engine presets")
    parser.add_argument("--json", action="store_true", help="print JSON")
    flags.add_folders(parser, suppress=True)


def run(arguments: argparse.Namespace) -> int:
    from studio.studio import Studio

    with closing(Studio(flags.settings(arguments))) as studio:
        if arguments.controls:
            header, rows = _controls(studio, arguments.engine)
        elif arguments.presets:
            header, rows = _presets(studio, arguments.engine)
        else:
            header, rows = _voices(studio.voices(arguments.engine), arguments.language)
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        print(console.columns(header, [[_cell(row[name]) for name in header] for row in rows]))
    return 0


def _voices(
    voices: Sequence[Voice], language: str | None
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    chosen = [voice for voice in voices if language is None or _speaks(voice, language)]
    if not chosen:
        known = sorted({tag.split("-")[0] for voice in voices for tag in voice.languages})
        raise UnknownLanguage(
            f"No voice speaks {language!r:.40}.",
            f"The voices here speak {', '.join(known)}.",
            "Give one of these as a BCP 47 tag, such as en-US or de.",
        )
    rows = [dataclasses.asdict(voice) for voice in chosen]
    return ("id", "name", "engine", "languages", "gender", "tags"), rows


def _speaks(voice: Voice, language: str) -> bool:
    wanted = language.lower().replace("_", "-")
    return not voice.languages or any(
        f"{tag.lower()}-".startswith(f"{wanted}-") for tag in voice.languages
    )


def _controls(studio: Studio, engine: str | None) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    from engines import registry
    from engines.controls import describe

    named = registry.names() if engine is None else (engine,)
    rows = [
        {
            "engine": name,
            "control": spec.name,
            "takes": spec.allowed,
            "default": spec.default,
            "help": spec.help,
        }
        for name in named
        for spec in describe(studio.controls(name))
    ]
    return ("engine", "control", "takes", "default", "help"), rows


def _presets(studio: Studio, engine: str | None) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    rows = [
        {
            "id": preset.id,
            "title": preset.title,
            "engine": preset.engine,
            "controls": dict(preset.controls),
            "description": preset.description,
        }
        for preset in studio.presets.engines
        if engine in (None, preset.engine)
    ]
    return ("id", "title", "engine", "controls", "description"), rows


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={part}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ",".join(str(part) for part in value)
    return str(value)
