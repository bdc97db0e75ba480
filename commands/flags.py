"""Flags that several commands share, and how their values are read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

from commands import console
from engines.errors import InvalidRequest
from studio.settings import Settings, default_data_dir, on_space

Value = TypeVar("Value")

PORT = 7860
SIZE_UNITS = {
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
}
TIME_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Parser(argparse.ArgumentParser):
    """argparse's, with a mistake told in two lines instead of the whole usage.

    `late_epilog` makes the end of the help when help is asked for, so that what it lists need not
    be loaded for anything else.
    """

    late_epilog: Callable[[], str] | None = None

    def format_help(self) -> str:
        if self.late_epilog is not None:
            self.epilog = self.late_epilog()
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        self.exit(
            console.BAD_INPUT,
            f"Error: {message[:1].upper()}{message[1:]}\n       See `{self.prog} --help`.\n",
        )


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def default_address() -> Address:
    """Loopback; on a Space the address that Hugging Face looks at."""
    return Address("0.0.0.0" if on_space() else "127.0.0.1", PORT)


def address(text: str) -> Address:
    """Read `HOST:PORT`, `:PORT` (every interface), `HOST` (port 7860) or `[IPv6]:PORT`."""
    match = re.fullmatch(
        r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]\s]*))(?::(?P<port>\d+))?", text
    )
    port = int(match["port"] or PORT) if match else 0
    if not match or not text or not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address. Write HOST:PORT, such as 127.0.0.1:7860, :7860 for every "
            "interface, or [::1]:7860; ports go from 1 to 65535."
        )
    return Address(match["six"] or match["host"] or "0.0.0.0", port)


def size(text: str) -> int:
    """Read a size such as `8GB` or `512MiB`; returns bytes."""
    number, unit = _number_and_unit(text)
    if number is None or number <= 0 or unit not in SIZE_UNITS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size. Write a number above 0 with MB, GB, MiB or GiB, such as 8GB."
        )
    return int(number * SIZE_UNITS[unit])


def duration(text: str) -> float:
    """Read a time such as `90s`, `10m` or `1h`; returns seconds. A bare number is seconds."""
    number, unit = _number_and_unit(text)
    if number is None or number <= 0 or unit not in TIME_UNITS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time. Write a number above 0 with s, m or h, such as 10m."
        )
    return number * TIME_UNITS[unit]


def _number_and_unit(text: str) -> tuple[float | None, str]:
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    return (float(match[1]), match[2].lower()) if match else (None, "")


def checked(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """A reader that raises InvalidRequest, as argparse wants it. What was typed is in the message
    only if the reader puts it there."""

    def argument(text: str) -> Value:
        try:
            return read(text)
        except InvalidRequest as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return argument


def add_folders(parser: argparse.ArgumentParser, *, suppress: bool) -> None:
    """`--data-dir` and `--models-dir`. In a subcommand `suppress` keeps its default from
    overwriting the same flag given before the subcommand's name."""
    default = argparse.SUPPRESS if suppress else None
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        default=default,
        help=f"where the lexicon and caches live (default: {default_data_dir()})",
    )
    parser.add_argument(
        "--models-dir",
        type=Path,
        metavar="DIR",
        default=default,
        help="where downloaded models live (default: models in the data folder)",
    )


def add_offline(parser: argparse.ArgumentParser) -> None:
    """`--offline` in a subcommand, beside the program's own."""
    parser.add_argument(
        "--offline",
        action="store_true",
        default=argparse.SUPPRESS,
        help="never make a connection to another machine",
    )


def add_device(parser: argparse.ArgumentParser, *, suppress: bool) -> None:
    parser.add_argument(
        "--device",
        metavar="NAME",
        default=argparse.SUPPRESS if suppress else "auto",
        help="auto, cpu, cuda, cuda:1, mps, xla, onnx or onnx:cuda (default: auto)",
    )


def settings(arguments: argparse.Namespace) -> Settings:
    """The settings of this run; what a command has no flag for keeps its default."""
    given = {
        "data_dir": arguments.data_dir or default_data_dir(),
        "models_dir": arguments.models_dir,
        "device": arguments.device,
        "memory_budget": arguments.memory_budget,
        "idle_ttl": arguments.idle_ttl,
        "history": arguments.history,
        "history_bytes": arguments.history_size,
        "max_upload": arguments.max_upload,
        "offline": arguments.offline or None,  # else Hugging Face's variable decides
    }
    return Settings(**{name: value for name, value in given.items() if value is not None})
