"""`--wyoming`: speech for Home Assistant, beside the browser studio."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from commands import flags

if TYPE_CHECKING:
    from studio.studio import Studio

PORT = 10200  # by custom


def address(text: str) -> flags.Address:
    """As `flags.address`, with Wyoming's port where none is given."""
    given = flags.address(text)
    return given if re.search(r":\d+$", text) else given._replace(port=PORT)


def add_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wyoming",
        type=address,
        metavar="HOST:PORT",
        help=f"also speak for Home Assistant there, such as 127.0.0.1:{PORT}; the protocol knows "
        f"no password, so give 0.0.0.0:{PORT} only in a network that you trust (default: off)",
    )


@contextlib.contextmanager
def listening(studio: Studio, arguments: argparse.Namespace) -> Iterator[None]:
    """Answer Home Assistant while the block runs, where it was asked for.

    Raises:
        AddressInUse: nothing can listen at the address.
    """
    at: flags.Address | None = arguments.wyoming
    if at is None:
        yield
        return
    from server.gate.addresses import is_loopback
    from server.wyoming.server import listening

    with listening(studio, at.host, at.port):
        print(f"Home Assistant finds it by the integration Wyoming: {at}.", flush=True)
        if not is_loopback(at.host):
            print(
                f"Wyoming has no password: everybody who can reach port {at.port} may have texts "
                "spoken, with every voice that is here.",
                flush=True,
            )
        yield
