"""What this machine is called and where others reach it."""

from __future__ import annotations

import ipaddress
import re
import socket

import psutil

# of containers and virtual machines: nobody on the network reaches these
INNER = re.compile(r"docker|br-|veth|virbr|vmnet|vboxnet|cni|flannel|podman|lxc|lxd")
NOWHERE = ("192.0.2.1", 9)  # an address kept for documentation; nothing is sent to it


def is_everywhere(host: str) -> bool:
    return host in ("0.0.0.0", "::")


def is_loopback_address(text: str) -> bool:
    """Whether this is an address of the machine to itself; a name is none."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def is_loopback(host: str) -> bool:
    """Whether a host to listen at is this machine's alone. A name counts by what it stands for."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(is_loopback_address(str(each[4][0])) for each in found)


def names() -> tuple[str, ...]:
    """Names of this machine, in small letters, as other machines on the network may say them."""
    full = socket.gethostname().lower().rstrip(".")
    short = full.partition(".")[0]
    return tuple(dict.fromkeys(name for name in (full, short, f"{short}.local") if short))


def interface_addresses() -> frozenset[str]:
    """Every address of every interface."""
    return frozenset(address for _, address in _addresses())


def reachable(listening: str) -> list[str]:
    """Addresses under which other machines reach a server that listens at `listening`, the likely
    one first."""
    if not is_everywhere(listening):
        return [listening]
    found = []
    for name, address in _addresses():
        parsed = ipaddress.ip_address(address)
        fits = (parsed.version == 6) == (listening == "::")
        if fits and not parsed.is_loopback and not parsed.is_link_local and not INNER.match(name):
            found.append(address)
    usual = _usual_address()
    return sorted(dict.fromkeys(found), key=lambda address: address != usual)


def _addresses() -> list[tuple[str, str]]:
    """Interface and address, for each that is up."""
    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    return [
        (name, str(ipaddress.ip_address(each.address.partition("%")[0])))
        for name, addresses in psutil.net_if_addrs().items()
        for each in addresses
        if name in up and each.family in (socket.AF_INET, socket.AF_INET6)
    ]


def _usual_address() -> str:
    """The address from which this machine talks to others; "" without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(NOWHERE)
            return str(probe.getsockname()[0])
        except OSError:
            return ""


def bracketed(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
