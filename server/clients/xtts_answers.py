"""Errors as `{"detail": "…"}`, which is what clients of the XTTS dialect show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send

from engines.errors import VivavoceError
from server.context import context_of
from server.errors import RETRY_AFTER, error_object, status_of


class Told(Response):
    """A response whose error, where it fails before it has begun, is told in this dialect."""

    def __init__(self, inner: Response, *, shared: bool) -> None:
        super().__init__()
        self._inner = inner
        self._shared = shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._inner(scope, receive, send)
        except VivavoceError as error:
            await detail_of(error, shared=self._shared)(scope, receive, send)


class DetailRoute(APIRoute):
    """A route whose errors, at whatever point, have that form."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            shared = context_of(request).settings.shared
            try:
                return Told(await handle(request), shared=shared)
            except VivavoceError as error:
                return detail_of(error, shared=shared)
            except HTTPException as error:
                return JSONResponse({"detail": error.detail}, error.status_code)
            except RequestValidationError as error:
                first = error.errors()[0]
                return JSONResponse({"detail": f"{first['loc'][-1]}: {first['msg']}."}, 400)

        return told


def detail_of(error: VivavoceError, *, shared: bool) -> JSONResponse:
    status = status_of(error)
    headers = {"Retry-After": str(RETRY_AFTER)} if status in (429, 503) else None
    return JSONResponse({"detail": error_object(error, shared=shared)["message"]}, status, headers)


class Detail(BaseModel):
    detail: str = Field(description="What went wrong.")
