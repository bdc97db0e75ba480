"""A request as the gate reads it: headers by name, cookies, who sent it."""

from __future__ import annotations

from starlette.types import Scope

from server.gate import addresses

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SPEAKING_PATHS = ("/tts_stream", "/sample/")


class Visit:
    """Of a header that came twice the last one counts."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.address: str = (scope.get("client") or ("", 0))[0]
        self.https = scope["scheme"] in ("https", "wss")
        # a WebSocket can do whatever it likes once it is open
        self.unsafe = scope.get("method", "") not in SAFE_METHODS

    @property
    def costs(self) -> bool:
        """Whether it makes the server work; a few addresses do that by being looked at."""
        return self.unsafe or self.scope["path"].startswith(SPEAKING_PATHS)

    def text(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def local(self) -> bool:
        """Whether it was sent from this machine."""
        return addresses.is_loopback_address(self.address)

    def is_preflight(self) -> bool:
        """A browser asks whether a page elsewhere may ask."""
        return (
            self.scope["method"] == "OPTIONS" and b"access-control-request-method" in self.headers
        )

    def cookie(self, name: str) -> str:
        """A cookie's value; "" where there is none of that name."""
        for part in self.text(b"cookie").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value
        return ""

    def drop_header(self, name: bytes) -> None:
        self.scope["headers"] = [pair for pair in self.scope["headers"] if pair[0] != name]
