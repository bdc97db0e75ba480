"""No command: the studio in the browser and its HTTP interface, on one port."""

from __future__ import annotations

import argparse
import logging
import os
import webbrowser
from collections.abc import Callable

from commands import flags
from studio.settings import on_space


def add_flags(parser: argparse.ArgumentParser) -> None:
    """These belong to the program itself, since serving is what it does without a command."""
    parser.add_argument(
        "--listen",
        type=flags.address,
        metavar="HOST:PORT",
        default=flags.default_address(),
        help="where to listen (default: %(default)s); 0.0.0.0:7860 lets other machines in",
    )
    flags.add_device(parser, suppress=False)
    flags.add_folders(parser, suppress=False)
    parser.add_argument(
        "--memory-budget",
        type=flags.size,
        metavar="SIZE",
        help="most memory that models may take on a device, such as 8GB (default: what is there)",
    )
    parser.add_argument(
        "--idle-ttl",
        type=flags.duration,
        metavar="TIME",
        default="10m",
        help="when a model that is not used leaves its device (default: %(default)s)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(arguments: argparse.Namespace) -> int:
    # Hugging Face's package has to come before torch, which any import below may bring
    from studio import spaces  # noqa: F401

    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio looks at itself through it

    from studio.studio import Studio

    # before the slow imports, so that what is wrong with the flags is told at once
    studio = Studio(flags.settings(arguments))

    from server.serve import serve
    from ui import shell

    serve(
        studio,
        arguments.listen.host,
        arguments.listen.port,
        ui=shell.build(studio),
        mount=shell.mount_options(),
        ready=_announcer(arguments.listen, browser=arguments.open),
    )
    return 0


def _announcer(address: flags.Address, *, browser: bool) -> Callable[[str], None]:
    """Tells the person where to go once the server answers."""
    everywhere = address.host in ("0.0.0.0", "::")

    def announce(url: str) -> None:
        local = f"http://localhost:{address.port}" if everywhere else url
        print(
            f"Vivavoce is ready: {local} (HTTP interface: {local}/docs). Ctrl-C ends it.",
            flush=True,
        )
        if everywhere and not on_space():
            print("Everybody who can reach this machine may use it.", flush=True)
        if browser:
            webbrowser.open(local)

    return announce
