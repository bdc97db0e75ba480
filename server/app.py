"""The HTTP application: routes, errors, life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from server import catalogue, errors, health, metrics, speech
from server.answers import ErrorAnswer
from server.context import ServerContext
from server.door import Door, EndOfApi
from server.schemas import openapi
from studio.studio import Studio

TITLE = "Vivavoce"
SUMMARY = "Text to speech on your own machine, for OpenAI's clients and others."


def create_app(studio: Studio, *, title: str = TITLE) -> FastAPI:
    """The API of a studio. A UI may be mounted at / afterwards: the API's paths stay its own.

    The studio is closed when the application shuts down.
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
    for router in (speech.router, catalogue.router, health.router):
        app.include_router(router)
    if not shared:
        app.include_router(metrics.router)
    errors.install(app, shared=shared)
    app.router.routes.append(EndOfApi(app.routes))
    # who may ask at all (keys, hosts, rates) is decided here, outside of everything that works
    app.add_middleware(Door, traffic=context.traffic)
    app.openapi = lambda: _openapi(app, studio)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI, studio: Studio) -> dict:
    if app.openapi_schema is None:
        app.openapi_schema = openapi(app, studio)
    return app.openapi_schema
