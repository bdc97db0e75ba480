"""Serving a studio over HTTP until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import uvicorn

from server.app import create_app
from server.context import ServerContext
from server.errors import AddressInUse, ShuttingDown
from server.gate import addresses, gradio_safety
from server.gate.access import Access
from server.gate.certificate import Certificate
from server.gate.gate import Rules
from server.gate.hosts import Hosts
from server.gate.rates import bounded_protocol, may_have_many_connections
from studio.settings import on_space
from studio.studio import Studio

if TYPE_CHECKING:
    import gradio

GRACE = 20.0  # seconds that requests in work may still take once a signal came
LAST_CALLS = 1  # seconds for connections that carry no speech, such as an open browser page
BACKLOG = 512


def serve(
    studio: Studio,
    host: str,
    port: int,
    *,
    ui: gradio.Blocks | None = None,
    mount: dict[str, Any] | None = None,
    ready: Callable[[str], None] | None = None,
    grace: float = GRACE,
    rules: Rules | None = None,
    tls: Certificate | None = None,
) -> None:
    """Serve the API and, at /, the UI. Returns once a SIGINT or SIGTERM has ended it: requests in
    work get `grace` seconds, new ones are refused, a second SIGINT ends at once.

    Args:
        port: 0 takes a free one.
        mount: further arguments of `gradio.mount_gradio_app`, such as theme and css.
        ready: called with the URL as soon as the server answers.
        rules: who may ask for what; without, everybody who names this machine rightly.
        tls: speaks HTTPS with it.

    Raises:
        AddressInUse: something else listens there, or the address is not this machine's.
    """
    listener = _listen(host, port)
    rules = rules or Rules(Access(), Hosts(host), own_things=studio.settings.shared)
    app = create_app(studio, rules=rules)
    stopping = []
    if ui is not None:
        import gradio

        given = {"allowed_paths": [], "ssr_mode": False, **(mount or {})}
        gradio.mount_gradio_app(app, ui, path="/", **given)
        gradio_safety.harden(ui)
        # without this each open page holds the server up until it is cut off
        stopping.append(app.routes[-1].app.stop_event.set)  # type: ignore[attr-defined]
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=LAST_CALLS,
        http=bounded_protocol(may_have_many_connections),
        ws="none",
        # a Space is reached through Hugging Face's proxies alone
        forwarded_allow_ips="*" if on_space() else None,
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    server = _Server(config, app.state.context, grace)
    if ready is not None:
        server.on_ready.append(lambda: ready(_url(listener, "https" if tls else "http")))
    server.on_stop.extend(stopping)
    with contextlib.closing(listener):
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Uvicorn that lets speech in work end before it closes its doors, and then returns."""

    def __init__(self, config: uvicorn.Config, context: ServerContext, grace: float) -> None:
        super().__init__(config)
        self._context = context
        self._grace = grace
        self.on_ready: list[Callable[[], object]] = []
        self.on_stop: list[Callable[[], object]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for call in self.on_ready:
            call()

    async def main_loop(self) -> None:
        await super().main_loop()
        self._context.state = "stopping"
        await self._until_idle(self._grace)
        for job in self._context.studio.jobs():
            job.cancel(ShuttingDown())
        await self._until_idle(LAST_CALLS)
        for call in self.on_stop:
            call()

    async def _until_idle(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._context.slots.open or self._context.studio.jobs():
            if self.force_exit or time.monotonic() > until:
                return
            await asyncio.sleep(0.05)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As Uvicorn's, but the signal is used up: whoever called `serve` goes on after it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise AddressInUse(
            f"Cannot listen on {host}:{port} ({error}).",
            "The address has to be this machine's, and the port free.",
            "Stop what uses it, or give another with --listen HOST:PORT.",
        ) from None


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{addresses.bracketed(host)}:{port}"
