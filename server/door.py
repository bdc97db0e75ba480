"""What every request passes on its way in and out; kept light, since streams pass here too."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.context import Traffic

API_PATHS = (
    "/v1/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json",
    # as clients ask that were given an address without /v1
    "/audio/", "/models",
    # the XTTS API server's
    "/speakers", "/languages", "/get_tts_settings", "/set_tts_settings", "/tts_to_audio",
    "/tts_stream", "/sample/",
)  # fmt: skip
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Door:
    """Adds headers to every answer, counts those of the API, and answers HEAD like GET there."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        api = scope["path"].startswith(API_PATHS)
        head = api and scope["method"] == "HEAD"

        async def out(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
                if api:
                    self._traffic.answered(message["status"])
            elif head:
                message["body"] = b""
            await send(message)

        await self._app({**scope, "method": "GET"} if head else scope, receive, out)


class EndOfApi(BaseRoute):
    """Stands behind the API's routes: what none of them took must not reach the UI, which is
    mounted at / and would answer in its own way."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = tuple(routes)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        ours = scope["type"] == "http" and scope["path"].startswith(API_PATHS)
        return (Match.FULL if ours else Match.NONE), {}

    async def handle(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        allowed = [method for method in METHODS if self._takes({**scope, "method": method})]
        if allowed:
            names = ", ".join(allowed)
            raise HTTPException(
                405, f"{scope['method']} is not allowed here, {names} is.", {"Allow": names}
            )
        raise HTTPException(404, "There is nothing here. GET /docs lists what there is.")

    def _takes(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._routes)
