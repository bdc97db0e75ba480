"""What the gate says no to: as OpenAI's error for programs, as a page for people."""

from __future__ import annotations

import json

from starlette.types import Scope, Send

from engines.errors import VivavoceError
from server.door import API_PATHS
from server.errors import Refusal, error_object, status_of
from server.gate import pages

PROGRAM_PATHS = (*API_PATHS, "/gradio_api/")
PLACES = {"/docs"}  # of the API's paths, where a person goes


def is_api(path: str) -> bool:
    return path.startswith(API_PATHS)


def wants_page(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether a person's browser asks for something to look at."""
    path = scope["path"]
    return (
        scope["method"] in ("GET", "HEAD")
        and b"text/html" in headers.get(b"accept", b"")
        and (path in PLACES or not path.startswith(PROGRAM_PATHS))
    )


async def send_refusal(error: VivavoceError, send: Send, *, page: bool) -> None:
    status = status_of(error)
    headers = dict(error.headers) if isinstance(error, Refusal) else {}
    if page:
        body = pages.message(error.given, " ".join((error.allowed, error.todo)).strip())
        headers |= pages.HEADERS
    else:
        body = json.dumps({"error": error_object(error, shared=False)}).encode()
        headers["Content-Type"] = "application/json"
    if status == 408:  # else uvicorn goes on waiting for the rest
        headers["Connection"] = "close"
    await send_answer(send, status, body, headers)


async def send_answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    """A whole answer; a header's name may stand in it once."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
