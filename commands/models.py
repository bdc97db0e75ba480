"""`models`: which published models there are, which are here; download and delete them."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from commands import console, flags
from engines.errors import Cancelled, InvalidRequest

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from studio.models import Download, Installed, Model, ModelShelf

EVERY = 0.2  # seconds between two looks at a download


def add(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "models",
        help="list, download and delete published models",
        description="List the published models and what is installed, download one, delete one.",
    )
    parser.set_defaults(run=_list, json=False)
    _add_common(parser)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", parser_class=flags.Parser)
    listing = actions.add_parser("list", help="list them (what is done without an action)")
    listing.set_defaults(run=_list)
    listing.add_argument("--json", action="store_true", help="print JSON; sizes in bytes")
    download = actions.add_parser("download", help="download a model, or go on where it stopped")
    download.set_defaults(run=_download)
    download.add_argument("name", metavar="NAME", help="such as ljspeech_vits; see the list")
    download.add_argument(
        "--accept-licence",
        action="store_true",
        help="you have read its licence and accept it; needed where it sets limits",
    )
    download.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    remove = actions.add_parser("remove", help="delete a model's folder")
    remove.set_defaults(run=_remove)
    remove.add_argument("name", metavar="NAME", help="a model or its folder, as listed")
    remove.add_argument("-y", "--yes", action="store_true", help="do not ask")
    for action in (listing, download, remove):
        _add_common(action)


def _add_common(parser: argparse.ArgumentParser) -> None:
    flags.add_folders(parser, suppress=True)
    flags.add_offline(parser)


def _shelf(arguments: argparse.Namespace) -> ModelShelf:
    from studio.models import ModelShelf

    settings = flags.settings(arguments)
    settings.make_folders()
    return ModelShelf(settings)


# listing


def _list(arguments: argparse.Namespace) -> int:
    shelf = _shelf(arguments)
    installed = shelf.installed()
    rows = [_row(one, installed) for one in shelf.catalogue.models() if one.downloadable]
    others = [one for one in installed if one.key.removesuffix(".part") != one.model.folder]
    if arguments.json:
        listed = {"models": rows, "other folders": [_other(one) for one in others]}
        print(json.dumps({"directory": str(shelf.root), **listed}, indent=2))
        return 0
    cells = [
        [
            row["name"],
            _size(row["bytes"], exact=row["exact"]),
            row["licence"] + ("" if row["commercial"] == "allowed" else " *"),
            ",".join(row["languages"]),
            row["state"],
        ]
        for row in rows
    ]
    print(console.columns(("model", "size", "licence", "languages", "installed"), cells))
    print("\n* sets limits or may do so: read it before you download.")
    if others:
        print("\nOther folders in the models directory:")
        table = [[one.key, one.model.title, one.state.value] for one in others]
        print(console.columns(("folder", "what it is", "state"), table))
    wrong = [(one.key, fault) for one in installed for fault in one.faults]
    if wrong:
        print("\nWhat is wrong:")
        print("\n".join(f"{key}: {fault}" for key, fault in wrong))
    silent = [family.title for family in shelf.catalogue.families if not family.speaks]
    if silent:
        print(f"\nThis version cannot speak with {', '.join(silent)} yet; downloads work.")
    print(f"Models are kept in {shelf.root}.")
    return 0


def _row(model: Model, installed: tuple[Installed, ...]) -> dict[str, Any]:
    size, exact = model.size()
    here = [one for one in installed if one.key.removesuffix(".part") == model.folder]
    return {
        "name": model.id,
        "family": model.family,
        "title": model.title,
        "languages": list(model.languages),
        "licence": model.licence.name,
        "commercial": model.licence.commercial,
        "repositories": [source.repo for source in model.sources],
        "bytes": size,
        "exact": exact,
        "state": ", ".join("unfinished" if o.unfinished else o.state.value for o in here),
        "faults": [fault for one in here for fault in one.faults],
    }


def _other(one: Installed) -> dict[str, Any]:
    return {
        "folder": one.key,
        "model": one.model.id,
        "state": one.state.value,
        "bytes": one.bytes,
        "faults": list(one.faults),
    }


def _size(count: int, *, exact: bool) -> str:
    if not count:
        return "unknown"
    return ("" if exact else "~") + f"{count / 1e9:.2f} GB"


# downloading


def _download(arguments: argparse.Namespace) -> int:
    from studio.models.errors import LicenceNotAccepted

    with closing(_shelf(arguments)) as shelf:
        model = shelf.catalogue.model(arguments.name)
        accepted = arguments.accept_licence or _asks(model)
        try:
            download = shelf.download(model.folder, accept_licence=accepted)
        except LicenceNotAccepted as error:
            raise LicenceNotAccepted(
                error.given, error.allowed, f"{error.todo} Then add --accept-licence."
            ) from None
        try:
            _follow(download, quiet=arguments.quiet)
        except KeyboardInterrupt:
            download.cancel()
            print(
                "What was downloaded so far is kept; the same command goes on there.",
                file=sys.stderr,
            )
            raise
        if download.error is not None:
            raise download.error
        if not arguments.quiet:
            print(f"{model.title} is in {shelf.root / model.folder}.")
    return 0


def _asks(model: Model) -> bool:
    """Show a licence that sets limits to the person at the terminal, if one is there."""
    licence = model.licence
    if not licence.must_be_read or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"{model.title}: {licence.name}. {licence.note} {licence.url}", file=sys.stderr)
    return _yes("Have you read this licence, and do you accept it?")


def _yes(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    raise Cancelled("Nothing was done.")


def _follow(download: Download, *, quiet: bool) -> None:
    """Show a download until it has ended."""
    if quiet or not sys.stderr.isatty():
        while not download.wait(EVERY):
            pass
        return
    with _bars() as bars:
        task = bars.add_task(download.model.title, total=None)
        while not download.wait(EVERY):
            progress = download.progress()
            bars.update(
                task,
                total=progress.total or None,
                completed=progress.done,
                description=progress.file or "asking the Hub",
            )


def _bars() -> Bars:
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


# deleting


def _remove(arguments: argparse.Namespace) -> int:
    with closing(_shelf(arguments)) as shelf:
        key = _key(shelf, arguments.name)
        here = shelf.in_folder(key)
        titles = ", ".join(one.model.title for one in here)
        if not arguments.yes:
            _check_meant(f"Delete {here[0].folder} ({titles})?")
        freed = shelf.remove(key)
    print(f"{key} is deleted, {freed / 1e9:.2f} GB are free again.")
    return 0


def _check_meant(question: str) -> None:
    if not sys.stdin.isatty():
        raise InvalidRequest(question, "Nobody is there to answer.", "Add --yes if it is meant.")
    _yes(question)


def _key(shelf: ModelShelf, name: str) -> str:
    """The folder that is meant: one given as such, or that of a model, finished or not."""
    keys = [one.key for one in shelf.installed()]
    homes = [model.folder for model in shelf.catalogue.models() if model.id == name]
    wanted = [name, f"{name}.part", *homes, *(f"{home}.part" for home in homes)]
    return next((key for key in wanted if key in keys), name)
