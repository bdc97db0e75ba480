"""By which names this server may be asked, and from which web pages.

A page of another site can point a name of its own at our address and then reads our answers as
its own (DNS rebinding). It cannot choose the Host header, so a name that is not ours gives it away.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from engines.errors import InvalidRequest
from server.gate import addresses

LOOK_AGAIN = 10.0  # seconds between two looks at this machine's addresses
NAME = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*)(?:\.[a-z0-9_-]+)*")
HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]/@\s]+))(?::\d{1,5})?")
DEFAULT_PORTS = {"http": "80", "https": "443"}


class BadHostName(InvalidRequest):
    code = "bad_host_name"


class BadOrigin(InvalidRequest):
    code = "bad_origin"


class Hosts:
    """The names of this server. For the event loop's thread alone.

    Args:
        listening: the host it listens at.
        allowed: further names; `*.example` stands for every name that ends so.
        check: False where a proxy decides it, as on a Space.
    """

    def __init__(
        self,
        listening: str,
        allowed: Iterable[str] = (),
        *,
        check: bool = True,
        own_addresses: Callable[[], frozenset[str]] = addresses.interface_addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._own_addresses = own_addresses
        self._clock = clock
        self._looked = clock()
        self._addresses = own_addresses()
        given = [listening.lower(), *addresses.names(), *allowed]
        self._names = {name for name in given if not name.startswith("*.")}
        self._endings = tuple(name[1:] for name in given if name.startswith("*."))

    def allows(self, header: str) -> bool:
        """Whether a Host header names this server."""
        return not self._check or self._is_ours(header)

    def is_loopback(self, header: str) -> bool:
        name = host_name(header)
        return name is not None and _is_loopback(name)

    def _is_ours(self, header: str) -> bool:
        name = host_name(header)
        if name is None:
            return False
        if _is_loopback(name) or name in self._names or name.endswith(self._endings):
            return True
        return _is_address(name) and self._is_own_address(name)

    def _is_own_address(self, address: str) -> bool:
        # a laptop gets another address in another network
        if address not in self._addresses and self._clock() >= self._looked + LOOK_AGAIN:
            self._looked = self._clock()
            self._addresses = self._own_addresses()
        return address in self._addresses


def host_name(header: str) -> str | None:
    """Name or address in a Host header, in one spelling; None where it holds none."""
    match = HOST.fullmatch(header)
    if match is None:
        return None
    if match["six"]:
        try:
            return str(ipaddress.IPv6Address(match["six"]))
        except ValueError:
            return None
    return match["name"].lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    is_name = name == "localhost" or name.endswith(".localhost")
    return is_name or addresses.is_loopback_address(name)


def same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header names the host and port of a Host header. Schemes may differ: a
    proxy in front of us may be the one that speaks TLS."""
    scheme, _, authority = origin.partition("://")
    default = DEFAULT_PORTS.get(scheme)
    if default is None or not authority or not host:
        return False
    return _with_port(authority, default) == _with_port(host, default)


def _with_port(authority: str, default: str) -> str:
    name = host_name(authority)
    port = re.search(r":(\d+)$", authority)
    return f"{name or authority} {port[1] if port else default}"


def read_host_name(text: str) -> str:
    """Read a value of --allow-host; a port is left out, since every port counts.

    Raises:
        BadHostName: it is no name.
    """
    name = text.lower() if text.startswith("*.") else host_name(text)
    if name is None or not (NAME.fullmatch(name) or _is_address(name)):
        raise BadHostName(
            f"{text!r:.80} is no host name.",
            "It has to be a name such as studio.example, an address, or *.example for all names "
            "that end so.",
            "Write it without http:// and without a path.",
        )
    return name


def read_origin(text: str) -> str:
    """Read a value of --allow-origin, in the form that browsers send.

    Raises:
        BadOrigin: it is none.
    """
    try:
        parts = urlsplit(text.lower())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or not plain or "*" in text:
        raise BadOrigin(
            f"{text!r:.80} is no origin.",
            "An origin is the beginning of a page's address, such as https://chat.example:3000.",
            "Name each one; * is not taken, since any page of the internet could then use this.",
        )
    host = addresses.bracketed(parts.hostname)
    shown = "" if port is None or str(port) == DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{host}{shown}"
