"""Every error has a status and OpenAI's form."""

import json

import pytest

import server.app  # noqa: F401  (loads every module that may define an error)
from engines.errors import (
    BadControl,
    Cancelled,
    DeadlineExceeded,
    EngineFailure,
    InvalidRequest,
    OutOfMemory,
    QueueFull,
    StorageError,
    UnknownVoice,
    VivavoceError,
)
from server.answers import ErrorAnswer
from server.errors import (
    STATUS,
    ModelNotFound,
    RequestTooLarge,
    ShuttingDown,
    error_response,
    header_text,
    status_of,
)


def subclasses(kind: type) -> list[type]:
    return [each for sub in kind.__subclasses__() for each in (sub, *subclasses(sub))]


@pytest.mark.parametrize("kind", subclasses(VivavoceError), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_a_code_of_its_own(kind) -> None:
    assert any(base in STATUS for base in kind.__mro__), "add it to server.errors.STATUS"
    assert kind.code not in ("error", *(base.code for base in kind.__mro__[1:-3]))


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (BadControl("a"), 400, "invalid_request_error"),
        (UnknownVoice("a"), 400, "invalid_request_error"),
        (ModelNotFound("a"), 404, "invalid_request_error"),
        (RequestTooLarge("a"), 413, "invalid_request_error"),
        (QueueFull("a"), 429, "rate_limit_error"),
        (Cancelled("a"), 499, "invalid_request_error"),
        (EngineFailure("a"), 500, "server_error"),
        (OutOfMemory("a"), 503, "server_error"),
        (ShuttingDown(), 503, "server_error"),
        (DeadlineExceeded("a"), 504, "server_error"),
        (StorageError("a"), 507, "server_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_statuses(error, status, kind) -> None:
    answer = error_response(error, shared=False)
    assert answer.status_code == status_of(error) == status
    body = ErrorAnswer.model_validate_json(answer.body)
    assert body.error.type == kind
    assert body.error.code == error.code
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert (answer.headers.get("x-should-retry") == "false") == (status in (500, 504, 507))


def test_the_message_has_all_three_parts() -> None:
    answer = error_response(InvalidRequest("One.", "Two.", "Three.", param="seed"), shared=False)
    assert json.loads(answer.body)["error"] == {
        "message": "One. Two. Three.",
        "type": "invalid_request_error",
        "param": "seed",
        "code": "invalid_request",
    }


@pytest.mark.parametrize("kind", [EngineFailure, StorageError])
def test_a_shared_machine_tells_nothing_about_the_host(kind) -> None:
    error = kind("The file /home/ann/x cannot be read.")
    assert b"/home/ann" in error_response(error, shared=False).body
    assert b"/home/ann" not in error_response(error, shared=True).body


def test_a_shared_machine_still_says_what_is_wrong_with_a_request() -> None:
    assert b"speed" in error_response(BadControl("speed was 0."), shared=True).body


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ('inline; filename="a-b_c.mp3"', 'inline; filename="a-b_c.mp3"'),
        ("en-us+f3", "en-us+f3"),
        ("Jürgen", "J%C3%BCrgen"),
        ("50%", "50%25"),
        ("a\r\nX-Evil: 1", "a%0D%0AX-Evil: 1"),
        ("音", "%E9%9F%B3"),
    ],
)
def test_header_values_are_printable_ascii(text, header) -> None:
    assert header_text(text) == header
