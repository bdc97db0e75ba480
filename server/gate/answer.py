"""An answer on its way out: what the gate adds to it, and its end where the gate steps in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.errors import VivavoceError
from server.errors import RequestTimeout, RequestTooLarge

# Gradio's page makes functions from text and writes styles; it need not talk to any other host
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
PERMISSIONS = "microphone=(self), camera=(), geolocation=(), payment=(), usb=()"
# On a Space, Hugging Face's page is around ours and brings a script along
FRAMED_POLICY = (
    POLICY.replace("script-src 'self'", "script-src 'self' https://cdnjs.cloudflare.com")
    + " https://huggingface.co https://*.hf.space"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", PERMISSIONS.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
FRAMED_HEADERS = (
    (b"content-security-policy", FRAMED_POLICY.encode()),
    *HEADERS[4:],
)
# a page elsewhere may read these of an answer
EXPOSED = (
    "Content-Disposition, Retry-After, X-Vivavoce-Synthetic, X-Vivavoce-Job, X-Vivavoce-Engine, "
    "X-Vivavoce-Voice, X-Vivavoce-Made-Voice, X-Vivavoce-Language, X-Vivavoce-Device, "
    "X-Vivavoce-Seed, X-Vivavoce-Sample-Rate, X-Vivavoce-Note"
)
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
HEADER_NAMES = re.compile(r"[A-Za-z0-9_, -]{0,1000}")
PREFLIGHT_SECONDS = 600


class Answer:
    """
    Args:
        origin: the web page elsewhere that may read it; "" for none.
        framed: the page may stand in Hugging Face's frame.
    """

    def __init__(self, send: Send, *, origin: str, framed: bool) -> None:
        self._send = send
        self._origin = origin
        self._framed = framed
        self._more: list[tuple[bytes, bytes]] = []
        self._private = False
        self._started = False
        self._cut = False  # the gate has answered in place of the application
        self._watcher: Callable[[bytes], None] | None = None

    def add_header(self, name: str, value: str) -> None:
        self._more.append((name.lower().encode("ascii"), value.encode("latin-1")))

    def add_cookie(self, cookie: str) -> None:
        if cookie:
            self.add_header("Set-Cookie", cookie)

    def keep_private(self) -> None:
        """A proxy on the way must not keep it for others."""
        self._private = True

    def watch(self, watcher: Callable[[bytes], None]) -> None:
        """Show every part of the answer to `watcher` before it goes out."""
        self._watcher = watcher

    async def send(self, message: Message) -> None:
        if self._cut:
            return
        if message["type"] == "http.response.start":
            self._started = True
            message["headers"] = self._headers(message.get("headers", ()))
        elif self._watcher is not None and message.get("body"):
            self._watcher(message["body"])
        await self._send(message)

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        """Let the application answer. A body that is refused while it comes is a client that left,
        as far as the application knows.

        Raises:
            RequestTooLarge, RequestTimeout: of the body, where nothing was answered yet.
        """
        refused: list[VivavoceError] = []

        async def checked() -> Message:
            if refused:
                return {"type": "http.disconnect"}
            try:
                return await receive()
            except (RequestTooLarge, RequestTimeout) as error:
                refused.append(error)
                self._cut = True
                return {"type": "http.disconnect"}

        try:
            await app(scope, checked, self.send)
        except Exception:
            if not refused:
                raise
        if refused and not self._started:
            self._cut = False
            raise refused[0]

    async def preflight(self, names: str) -> None:
        headers = [
            (b"access-control-allow-methods", METHODS.encode()),
            (b"access-control-max-age", str(PREFLIGHT_SECONDS).encode()),
            (b"access-control-allow-private-network", b"true"),
            (b"content-length", b"0"),
        ]
        if names and HEADER_NAMES.fullmatch(names):
            headers.append((b"access-control-allow-headers", names.encode()))
        await self.send({"type": "http.response.start", "status": 204, "headers": headers})
        await self.send({"type": "http.response.body", "body": b""})

    def _headers(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        # who may read an answer is decided here alone; Gradio would let every origin
        made = [pair for pair in given if not pair[0].lower().startswith(b"access-control-allow-o")]
        made = [pair for pair in made if pair[0].lower() != b"access-control-allow-credentials"]
        names = {name.lower() for name, _ in made}
        made += [pair for pair in self._defaults() if pair[0] not in names]
        made += self._more
        if self._origin:
            made += [
                (b"access-control-allow-origin", self._origin.encode("latin-1")),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", EXPOSED.encode()),
                (b"vary", b"Origin"),
            ]
        return made

    def _defaults(self) -> Iterable[tuple[bytes, bytes]]:
        yield from FRAMED_HEADERS if self._framed else HEADERS
        if self._private:
            yield b"cache-control", b"private"
