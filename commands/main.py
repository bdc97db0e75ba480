"""Flags to commands, errors to exit codes: 0 done, 1 failed, 2 bad input, 130 Ctrl-C."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from commands import (
    console,
    convert,
    devices,
    doctor,
    flags,
    history,
    models,
    say,
    serve,
    voices,
)
from engines.errors import VivavoceError

SUBCOMMANDS = (say, voices, history, models, convert, devices, doctor)
DESCRIPTION = """\
Without a command: open the studio in the browser and answer HTTP requests.

Examples:
  python app.py
  python app.py --listen 0.0.0.0:7860
  python app.py say "Good morning." -o morning.wav
  python app.py voices --language de"""


def build_parser() -> argparse.ArgumentParser:
    parser = flags.Parser(
        prog="python app.py",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=serve.run)
    serve.add_flags(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=flags.Parser)
    for command in SUBCOMMANDS:
        command.add(commands)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a sign must not end us
    arguments = build_parser().parse_args(argv)
    if arguments.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # libraries look there when they are imported
    try:
        code = arguments.run(arguments)
        sys.stdout.flush()
    except VivavoceError as error:
        return console.complain(error)
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return console.INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has left; Python's own flush at exit must not complain again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return console.BROKEN_PIPE
    return code
