"""`devices`: what this machine can compute on, and which engines use it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from commands import console


def add(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "devices",
        help="list the devices of this machine",
        description="List the devices of this machine and the engines that run on each.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print JSON; memory in bytes")


def run(arguments: argparse.Namespace) -> int:
    from engines import registry
    from engines.runtime import device

    capabilities = [registry.engine_class(name).capability for name in registry.names()]
    rows: list[dict[str, Any]] = [
        {
            "name": info.spec.name,
            "title": info.title,
            "total": info.total,
            "free": info.free,
            "engines": [c.name for c in capabilities if info.spec.runtime in c.runtimes()],
            "note": info.note,
        }
        for info in device.available()
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    cells = [
        [
            row["name"],
            row["title"],
            console.bytes_in_words(row["total"]),
            console.bytes_in_words(row["free"]),
            ", ".join(row["engines"]) or "none yet",
            row["note"],
        ]
        for row in rows
    ]
    print(console.columns(("device", "what it is", "memory", "free", "engines", "note"), cells))
    return 0
