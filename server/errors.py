"""Every error of the program as OpenAI's `{"error": {...}}`, with one status for each class."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from engines import errors
from engines.errors import InvalidRequest, VivavoceError
from studio.history import NoSound, TakeUnfinished, UnknownTake
from studio.models.errors import BadCatalogue, DownloadFailed, NotAllowedHere, Offline

log = logging.getLogger("vivavoce.server")


class BadBody(InvalidRequest):
    """The body of the request is no JSON object."""

    code = "bad_body"


class UnknownField(InvalidRequest):
    code = "unknown_field"


class UnsupportedMediaType(InvalidRequest):
    code = "unsupported_media_type"


class RequestTooLarge(InvalidRequest):
    code = "request_too_large"


class RequestTimeout(InvalidRequest):
    """The client took too long to send its request."""

    code = "request_timeout"


class ModelNotFound(InvalidRequest):
    """The path of a model that there is not."""

    code = "model_not_found"


class ShuttingDown(VivavoceError):
    code = "shutting_down"

    def __init__(self) -> None:
        super().__init__("The server is shutting down.", "", "Try again in a few seconds.")


class AddressInUse(VivavoceError):
    """The server cannot listen at the address that it was given."""

    code = "address_in_use"


class ShareFailed(VivavoceError):
    """The public address could not be opened."""

    code = "share_failed"


class Refusal(VivavoceError):
    """Somebody or something is not let in: an answer of the gate in place of the application's.

    Attributes:
        headers: beside those that every answer has.
    """

    code = "forbidden"

    def __init__(
        self, given: str, allowed: str = "", todo: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(given, allowed, todo)
        self.headers = headers or {}


class NotLoggedIn(Refusal):
    code = "invalid_api_key"


class WrongHost(Refusal):
    """A name that this server does not answer to: a web page may have been pointed at us."""

    code = "wrong_host"


class ForeignOrigin(Refusal):
    """Another web site's page asks for something to be done."""

    code = "foreign_origin"


class FileOfAnother(Refusal):
    code = "not_your_file"


class ClosedDoor(Refusal):
    """A part of Gradio that nothing here uses."""

    code = "not_found"


class TooMany(Refusal):
    """
    Args:
        wait: seconds until it is worth another try.
    """

    code = "rate_limited"

    def __init__(self, given: str, allowed: str, wait: float) -> None:
        seconds = max(1, math.ceil(wait))
        todo = f"Try again in {seconds} s."
        super().__init__(given, allowed, todo, {"Retry-After": str(seconds)})


CLIENT_LEFT = 499  # nginx's number for a client that closed its connection
RETRY_AFTER = 2  # seconds

# the nearest class of an error's ancestry counts, so that a new subclass is covered
STATUS: dict[type[VivavoceError], int] = {
    InvalidRequest: 400,
    NotLoggedIn: 401,
    Refusal: 403,
    NotAllowedHere: 403,
    ClosedDoor: 404,
    WrongHost: 421,
    TooMany: 429,
    ModelNotFound: 404,
    UnknownTake: 404,
    NoSound: 404,
    TakeUnfinished: 409,
    RequestTimeout: 408,
    RequestTooLarge: 413,
    UnsupportedMediaType: 415,
    errors.QueueFull: 429,
    errors.Cancelled: CLIENT_LEFT,
    errors.EngineFailure: 500,
    errors.BadLexicon: 500,
    errors.BadPreset: 500,
    errors.BadCheckpoint: 500,
    BadCatalogue: 500,
    DownloadFailed: 502,
    Offline: 503,
    AddressInUse: 500,
    ShareFailed: 500,
    errors.MissingDependency: 501,
    errors.OutOfMemory: 503,
    ShuttingDown: 503,
    errors.DeadlineExceeded: 504,
    errors.StorageError: 507,
}

HIDDEN_IF_SHARED = (
    errors.EngineFailure,
    errors.BadLexicon,
    errors.BadPreset,
    errors.BadCheckpoint,
    errors.StorageError,
)


def status_of(error: VivavoceError) -> int:
    """The HTTP status of an error; 500 for one whose class says nothing."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def error_object(error: VivavoceError, *, shared: bool) -> dict[str, Any]:
    """OpenAI's error object. On a shared machine nothing is said about the host."""
    message = str(error)
    if shared and isinstance(error, HIDDEN_IF_SHARED):
        log.error("%s", message)
        message = "The server could not do this. Try again; if it stays, tell whoever runs it."
    return _error(status_of(error), message, error.param, error.code)


def error_response(error: VivavoceError, *, shared: bool) -> JSONResponse:
    status = status_of(error)
    headers = {}
    if status in (429, 503):
        headers["Retry-After"] = str(RETRY_AFTER)
    elif status >= 500:
        headers["X-Should-Retry"] = "false"  # OpenAI's clients would send it twice more
    return JSONResponse({"error": error_object(error, shared=shared)}, status, headers)


def header_text(text: str) -> str:
    """Text as a header value: printable ASCII stays, everything else is percent-encoded UTF-8."""
    return quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")


def install(app: FastAPI, *, shared: bool) -> None:
    """Make every error of `app` an OpenAI error."""

    async def ours(_request: Request, error: VivavoceError) -> JSONResponse:
        return error_response(error, shared=shared)

    async def http(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path:.200}: {error.detail}"
        code = HTTPStatus(error.status_code).name.lower()
        body = {"error": _error(error.status_code, message, None, code)}
        return JSONResponse(body, error.status_code, error.headers)

    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        param = str(first["loc"][-1])
        message = f"{param} was {first['input']!r:.80}. {first['msg']}. Change it and try again."
        return JSONResponse({"error": _error(400, message, param, "invalid_request")}, 400)

    async def unforeseen(_request: Request, _cause: Exception) -> JSONResponse:
        message = "Something broke in the server. Its log says what."
        return JSONResponse({"error": _error(500, message, None, "internal_error")}, 500)

    app.add_exception_handler(VivavoceError, ours)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, http)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, invalid)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, unforeseen)


def _error(status: int, message: str, param: str | None, code: str) -> dict[str, Any]:
    if status == 429:
        kind = "rate_limit_error"
    else:
        kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"message": message, "type": kind, "param": param, "code": code}
