"""Is the process alive, does it take requests."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from server.context import context_of
from server.errors import RETRY_AFTER

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="200 as long as the process answers at all")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="200 while requests are taken, 503 while the server starts or shuts down",
    responses={503: {"description": "Starting or shutting down; the body's status says which."}},
)
async def readyz(request: Request) -> JSONResponse:
    context = context_of(request)
    body = {"status": context.state}
    if context.state == "ready":
        return JSONResponse(body)
    return JSONResponse(body, 503, {"Retry-After": str(RETRY_AFTER)})
