"""`history`: the takes that the studio kept; search, export and delete them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands import console, flags
from engines.errors import InvalidRequest

if TYPE_CHECKING:
    from studio.history import History, TakeRecord

SHOWN = 20
TEXT = 50  # characters of a text in the table


def add(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "history",
        help="list, search, export and delete takes that were kept",
        description="List the newest takes, search them, export or delete one by its id.",
    )
    parser.set_defaults(run=_list, words="", limit=SHOWN, json=False)
    _add_common(parser)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", parser_class=flags.Parser)
    listing = actions.add_parser("list", help="list the newest (what is done without an action)")
    search = actions.add_parser("search", help="list those that hold some words")
    search.add_argument("words", metavar="WORDS", help="words, or parts of words, of the text")
    for action in (listing, search):
        action.set_defaults(run=_list)
        action.add_argument("--limit", type=_count, default=SHOWN, metavar="N", help="at most")
        action.add_argument("--json", action="store_true", help="print JSON")
    export = actions.add_parser("export", help="write a take to a file")
    export.set_defaults(run=_export)
    export.add_argument("id", metavar="ID", help="as listed")
    export.add_argument("-o", "--output", required=True, metavar="FILE", help="its ending decides")
    delete = actions.add_parser("delete", help="delete takes and their files")
    delete.set_defaults(run=_delete)
    delete.add_argument("ids", nargs="+", metavar="ID", help="as listed")
    delete.add_argument("-y", "--yes", action="store_true", help="do not ask")
    for action in (listing, search, export, delete):
        _add_common(action)


def _add_common(parser: argparse.ArgumentParser) -> None:
    flags.add_folders(parser, suppress=True)
    parser.add_argument(
        "--owner",
        default=argparse.SUPPRESS,
        metavar="NAME",
        help="takes of this user (with --auth); without, those that belong to nobody by name",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of takes. Give 1 to 1000.")
    return int(text)


def _list(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as (history, owner):
        takes = history.page(owner, arguments.words, limit=arguments.limit).takes
        count = history.count(owner)
    if arguments.json:
        print(json.dumps([_values(take) for take in takes], indent=2, ensure_ascii=False))
        return 0
    if takes:
        header = ("ID", "MADE", "STATE", "SECONDS", "VOICE", "TEXT")
        print(console.columns(header, [_cells(take) for take in takes]))
    if arguments.words:
        print(f"{len(takes)} shown that hold {arguments.words!r:.80}; {count:,} takes in all.")
    else:
        print(f"{len(takes)} of {count:,} takes." if takes else "No takes yet.")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from commands import output

    path = Path(arguments.output)
    with _opened(arguments) as (history, owner):
        take = history.get(owner, arguments.id)
        if path.suffix.lower() in output.CAPTIONS:
            captions = output.captions_target(path)
            assert captions is not None
            captions.write(history.timings(take))
            return 0
        if not take.frames:
            raise InvalidRequest("This take has no sound.", "", "Pick another one of the list.")
        place = output.target(arguments.output, None)
        if place.path is None:
            raise InvalidRequest("A take is written to a file.", "", "Add `-o speech.wav`.")
        history.export(take, place.fmt, place.path)
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as (history, owner):
        takes = [history.get(owner, take_id) for take_id in dict.fromkeys(arguments.ids)]
        if not arguments.yes and not _sure(takes):
            print("Nothing was deleted.")
            return 0
        for take in takes:
            history.delete(owner, take.id)
    print(f"Deleted: {len(takes)}.")
    return 0


def _sure(takes: list[TakeRecord]) -> bool:
    if not sys.stdin.isatty():
        raise InvalidRequest(
            "Nobody can be asked whether to delete.", "This is no terminal.", "Add --yes."
        )
    for take in takes:
        print("  ".join(_cells(take)))
    return input("Delete for good? [y/N] ").strip().lower() in ("y", "yes")


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[tuple[History, str]]:
    """The history for a short look: a studio that serves it meanwhile is not disturbed."""
    from studio.history import History

    folder = flags.settings(arguments).history_dir
    with closing(History(folder, tend=False)) as history:
        yield history, getattr(arguments, "owner", "")


def _cells(take: TakeRecord) -> tuple[str, ...]:
    line = " ".join(take.excerpt.split())
    return (
        take.id,
        time.strftime("%Y-%m-%d %H:%M", time.localtime(take.made)),
        take.state.value,
        f"{take.seconds:.1f}",
        f"{take.engine} {take.voice}",
        line if len(line) <= TEXT else line[: TEXT - 1] + "…",
    )


def _values(take: TakeRecord) -> dict[str, Any]:
    return {
        "id": take.id,
        "made": take.made,
        "state": take.state.value,
        "seconds": take.seconds,
        "engine": take.engine,
        "voice": take.voice,
        "language": take.language,
        "seed": take.seed,
        "controls": dict(take.controls),
        "pinned": take.pinned,
        "excerpt": take.excerpt,
    }
