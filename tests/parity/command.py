"""The command line of the parity replay; `python -m tests.parity --help` shows it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from engines.errors import VivavoceError
from tests.parity.replay import (
    FAMILIES,
    Result,
    converted,
    family_named,
    manifest_reports,
    read_cases,
    replay,
)
from tests.parity.runtimes import RUNTIMES, open_runtime


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if (options.folder is None) == (options.manifest is None):
        _parser().error("give either DIR or --manifest FILE")
    try:
        if options.manifest is not None:
            return _check_manifest(options)
        return _replay(options)
    except VivavoceError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.parity", description="Replay reference cases of a model family."
    )
    parser.add_argument("family", choices=sorted(FAMILIES))
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="holds cases.json")
    parser.add_argument("--runtime", choices=RUNTIMES, default="eager")
    parser.add_argument("--stage", help="only cases of this stage")
    parser.add_argument("--manifest", type=Path, metavar="FILE")
    return parser


def _replay(options: argparse.Namespace) -> int:
    cases = read_cases(options.folder, options.stage)
    with tempfile.TemporaryDirectory(prefix="vivavoce-parity-") as scratch:
        folder = converted(options.folder, Path(scratch) / "checkpoints")
        runtime = open_runtime(options.runtime, Path(scratch) / "stages")
        family = family_named(options.family)(folder, runtime)
        width = max((len(case.name) for case in cases), default=0)
        counts = dict.fromkeys(("pass", "FAIL", "NO HANDLER", "left out"), 0)
        for case in cases:
            result = replay(case, family)
            counts[result.verdict] += 1
            print(_line(result, width), flush=True)
    print(
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count or not cases)
    )
    return 1 if counts["FAIL"] or counts["NO HANDLER"] or not counts["pass"] else 0


def _line(result: Result, width: int) -> str:
    figures = (
        f"abs {result.worst_abs:9.2e}  rel {result.worst_rel:9.2e}  "
        if result.verdict in ("pass", "FAIL") and result.compared
        else ""
    )
    return f"{result.case.name:{width}}  {figures}{result.verdict}  {result.why}".rstrip()


def _check_manifest(options: argparse.Namespace) -> int:
    worst = 0
    for report, about in manifest_reports(options.family, options.manifest):
        print(f"{'pass' if report.ok else 'FAIL'}  {report.file} ({about})")
        for kind in ("missing", "unexpected", "wrong"):
            for key in getattr(report, kind):
                print(f"    {kind}: {key}")
        worst = max(worst, 0 if report.ok else 1)
    return worst
