"""No command: the studio in the browser and its HTTP interface, on one port."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from commands import flags, wyoming
from server.gate import hosts, passwords
from studio.data_lock import DataLock
from studio.settings import Settings, on_space

if TYPE_CHECKING:
    from server.gate.entrance import Entrance, Wishes


def add_flags(parser: argparse.ArgumentParser) -> None:
    """These belong to the program itself, since serving is what it does without a command."""
    parser.add_argument(
        "--listen",
        type=flags.address,
        metavar="HOST:PORT",
        default=flags.default_address(),
        help="where to listen (default: %(default)s); 0.0.0.0:7860 lets other machines in",
    )
    wyoming.add_flag(parser)
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
    _add_storage(parser)
    _add_access(parser.add_argument_group("who may come in"))
    _add_network(parser.add_argument_group("how they come in"))


def _add_storage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--history",
        choices=("all", "page", "off"),
        help="which takes are kept: all, those of the page, or none (default: all)",
    )
    parser.add_argument(
        "--history-size",
        type=flags.size,
        metavar="SIZE",
        help="most room that takes may fill; the oldest go first (default: 5GB)",
    )
    parser.add_argument(
        "--max-upload",
        type=flags.size,
        metavar="SIZE",
        help="longest file that may be uploaded (default: 200MiB)",
    )
    parser.add_argument(
        "--offline", action="store_true", help="never make a connection to another machine"
    )


def _add_access(group: argparse._ArgumentGroup) -> None:
    """Nothing is needed for this machine alone; for others a key is made where none is given."""
    group.add_argument(
        "--api-key",
        action="append",
        type=flags.checked(passwords.read_key),
        metavar="KEY",
        default=[],
        help="let in whoever has this key; may be given several times",
    )
    group.add_argument(
        "--auth",
        action="append",
        type=flags.checked(passwords.read_user),
        metavar="NAME:PASSWORD",
        default=[],
        help="let in this user, whose voices and takes are kept apart; may be given several times",
    )
    group.add_argument(
        "--auth-file",
        type=Path,
        metavar="FILE",
        help="the same from a file, a NAME:PASSWORD on each line; other programs cannot see it",
    )
    group.add_argument(
        "--no-auth", action="store_true", help="let in everybody who reaches this machine"
    )
    group.add_argument(
        "--allow-host",
        action="append",
        type=flags.checked(hosts.read_host_name),
        metavar="NAME",
        default=[],
        help="answer to this name too, such as studio.example or *.example",
    )
    group.add_argument(
        "--allow-origin",
        action="append",
        type=flags.checked(hosts.read_origin),
        metavar="URL",
        default=[],
        help="let pages of this site use the HTTP interface, such as https://chat.example",
    )


def _add_network(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--https",
        action="store_true",
        help="HTTPS with a certificate made here, so that browsers on other machines give the "
        "microphone",
    )
    group.add_argument("--ssl-cert", type=Path, metavar="FILE", help="HTTPS with your certificate")
    group.add_argument("--ssl-key", type=Path, metavar="FILE", help="and its key")
    group.add_argument(
        "--share", action="store_true", help="open a public address through Gradio's tunnel"
    )


def run(arguments: argparse.Namespace) -> int:
    # Hugging Face's package has to come before torch, which any import below may bring
    from studio import spaces  # noqa: F401

    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio looks at itself through it

    settings = flags.settings(arguments)
    with contextlib.closing(DataLock(settings.data_dir)):
        _serve(arguments, settings)
    return 0


def _serve(arguments: argparse.Namespace, settings: Settings) -> None:
    from server.gate import entrance
    from studio.studio import Studio

    # before the slow imports, so that what is wrong with the flags is told at once
    prepared = entrance.prepare(_wishes(arguments), settings)
    studio = Studio(settings)

    from server.serve import serve
    from ui import shell

    with wyoming.listening(studio, arguments):
        serve(
            studio,
            arguments.listen.host,
            arguments.listen.port,
            ui=shell.build(studio),
            mount=shell.mount_options(settings.max_upload),
            ready=_announcer(arguments.listen, prepared, browser=arguments.open),
            rules=prepared.rules,
            tls=prepared.tls,
        )


def _wishes(arguments: argparse.Namespace) -> Wishes:
    from server.gate.entrance import Wishes

    return Wishes(
        arguments.listen.host,
        arguments.listen.port,
        keys=tuple(arguments.api_key),
        users=tuple(arguments.auth),
        users_file=arguments.auth_file,
        no_auth=arguments.no_auth,
        hosts=tuple(arguments.allow_host),
        origins=tuple(arguments.allow_origin),
        https=arguments.https,
        ssl_cert=arguments.ssl_cert,
        ssl_key=arguments.ssl_key,
        share=arguments.share,
    )


def _announcer(
    address: flags.Address, prepared: Entrance, *, browser: bool
) -> Callable[[str], None]:
    """Tells the person where to go once the server answers."""
    from server.gate import addresses, welcome

    scheme = "https" if prepared.tls else "http"
    alone = addresses.is_loopback(address.host) or on_space()

    def announce(url: str) -> None:
        local = url
        if addresses.is_everywhere(address.host):
            local = f"{scheme}://localhost:{address.port}"
        others = [] if alone else welcome.urls(scheme, address.host, address.port)
        for line in welcome.lines(
            local=local,
            others=others,
            token=prepared.token,
            login=prepared.login,
            fingerprint=prepared.tls.fingerprint if prepared.tls and prepared.tls.own else "",
            public=prepared.public,
        ):
            print(line, flush=True)
        if phone := prepared.public or next(iter(others), ""):
            print(welcome.qr_code(welcome.with_token(phone, prepared.token), sys.stdout))
        if browser:
            webbrowser.open(welcome.with_token(local, prepared.token))

    return announce
