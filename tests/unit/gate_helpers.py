"""A gate around a small application that tells what reached it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from server.context import ServerContext
from server.gate.access import Access
from server.gate.gate import Gate, Rules
from server.gate.hosts import Hosts
from server.limits import StreamSlots
from studio.settings import Settings

KEY = "a-key-for-programs"
PASSWORD = "correct horse"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HERE = "http://192.168.1.5:7860"
OTHER_MACHINE = ("192.168.1.9", 50_000)
JSON_LIMIT = 1000


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def echo(request: Request) -> Response:
    """What reached the application."""
    body = await request.body()
    return JSONResponse(
        {
            "path": request.url.path,
            "size": len(body),
            "owner": getattr(request.state, "owner", None),
            "forwarded": request.headers.get("x-forwarded-host"),
        },
        headers={"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"},
    )


async def page(_request: Request) -> Response:
    return HTMLResponse("<p>The studio.</p>")


def hosts(**options: Any) -> Hosts:
    own = frozenset({"127.0.0.1", "::1", "192.168.1.5", "fd00::5"})
    return Hosts("0.0.0.0", **{"own_addresses": lambda: own, **options})


def context() -> ServerContext:
    """As much of a server's context as the gate looks at."""
    settings = Settings(data_dir=Path("nowhere"), max_upload=5000, shared=False)
    studio: Any = SimpleNamespace(settings=settings)
    return ServerContext(studio, StreamSlots(settings), JSON_LIMIT)


def client(
    access: Access | None = None,
    *,
    sender: tuple[str, int] = OTHER_MACHINE,
    url: str = HERE,
    routes: dict[str, Callable[..., Any]] | None = None,
    **rules: Any,
) -> TestClient:
    """A browser or program on another machine, with cookies, that follows no redirect."""
    given = {"access": access or Access(), "hosts": hosts(), **rules}
    methods = ["GET", "POST", "PUT", "DELETE"]
    paths = [Route(path, made, methods=methods) for path, made in (routes or {}).items()]
    inner = Starlette(
        routes=[*paths, Route("/", page), Route("/{path:path}", echo, methods=methods)]
    )
    gate = Gate(inner, Rules(**given), context())
    return TestClient(gate, base_url=url, client=sender, follow_redirects=False)
