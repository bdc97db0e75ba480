"""What is printed once the server answers: where to go, and who may come."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TextIO
from urllib.parse import quote

from server.gate import addresses


def urls(scheme: str, listening: str, port: int) -> list[str]:
    """Addresses for other machines, the likely one first."""
    hosts = addresses.reachable(listening)
    return [f"{scheme}://{addresses.bracketed(host)}:{port}" for host in hosts]


def with_token(url: str, token: str) -> str:
    """A link that logs in."""
    return f"{url}/?token={quote(token)}" if token else url


def lines(
    *,
    local: str,
    others: Sequence[str],
    token: str,
    login: str,
    fingerprint: str = "",
    public: str = "",
) -> list[str]:
    """
    Args:
        local: address on this machine.
        others: addresses for other machines; empty where only this one is let in.
        token: that logs in; "" where there is none to show.
        login: who may come in: "everybody", "token", "key" or "user".
        fingerprint: of a certificate that nobody vouches for; "" without.
        public: address of the tunnel; "" without.
    """
    said = [
        f"Vivavoce is ready: {with_token(local, token)} (HTTP interface: {local}/docs). "
        "Ctrl-C ends it."
    ]
    if others:
        said.append("On other machines and phones in this network:")
        said += [f"  {with_token(url, token)}" for url in others]
    if public:
        said.append(f"From everywhere, until Vivavoce ends: {with_token(public, token)}")
    if others or public:
        said.append(WHO[login])
    if fingerprint:
        said.append(
            "The browser will warn once, because this machine made its certificate by itself. "
            f"It is the right one if its SHA-256 fingerprint is {fingerprint}"
        )
    elif others:
        said.append("Browsers there give the microphone only with --https.")
    return said


WHO = {
    "everybody": "Everybody who can reach this machine may use it: --no-auth was given.",
    "token": "The link holds the key: who has it may use Vivavoce. Programs send it as API key.",
    "key": "Whoever has a key may use Vivavoce; browsers are asked for it.",
    "user": "Whoever has a name and password may use Vivavoce; browsers are asked for them.",
}


def qr_code(url: str, terminal: TextIO) -> str:
    """The address as a QR code for a terminal; "" where there is no person to see it."""
    if not terminal.isatty():
        return ""
    import segno

    drawn = io.StringIO()
    segno.make(url, error="l", micro=False).terminal(drawn, border=2, compact=True)
    code = drawn.getvalue()
    try:
        code.encode(terminal.encoding or "utf-8")
    except UnicodeEncodeError:
        return ""
    return code
