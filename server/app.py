"""The HTTP application: routes, errors, life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from server import (
    catalogue,
    conversion,
    errors,
    health,
    history_api,
    kept_api,
    metrics,
    models_api,
    speech,
    voices_api,
)
from server.answers import ErrorAnswer
from server.clients import xtts
from server.context import ServerContext
from server.door import Door, EndOfApi
from server.gate.gate import Gate, Rules
from server.schemas import openapi
from studio.studio import Studio

TITLE = "Vivavoce"
SUMMARY = "Text to speech on your own machine, for OpenAI's clients and others."


def create_app(studio: Studio, *, title: str = TITLE, rules: Rules | None = None) -> FastAPI:
    """The API of a studio. A UI may be mounted at / afterwards: the API's paths stay its own.

    The studio is closed when the application shuts down.

    Args:
        rules: who may ask for what; None lets everybody in from everywhere, which is for tests and
            for programs with a gate of their own.
    """
    context = ServerContext.of(studio)
    shared = studio.settings.shared

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        context.state = "ready"
        yield
        context.state = "stopping"
        await to_thread.run_sync(studio.close)

    app = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/assets",
        title=title,
        summary=SUMMARY,
        lifespan=life,
        responses={"default": {"model": ErrorAnswer, "description": "What went wrong."}},
    )
    app.state.context = context
    for router in (speech.router, catalogue.router, history_api.router, health.router):
        app.include_router(router)
    app.include_router(models_api.router)
    app.include_router(kept_api.router)  # or `kept` would be the id of a voice
    app.include_router(voices_api.router)
    app.include_router(conversion.router)
    xtts.install(app)
    if not shared:
        app.include_router(metrics.router)
    errors.install(app, shared=shared)
    app.router.routes.append(EndOfApi(app.routes))
    app.add_middleware(Door, traffic=context.traffic)
    if rules is not None:  # the last one is the outermost
        app.add_middleware(Gate, rules=rules, context=context)
    app.openapi = lambda: _openapi(app, studio)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI, studio: Studio) -> dict:
    if app.openapi_schema is None:
        app.openapi_schema = openapi(app, studio)
    return app.openapi_schema
