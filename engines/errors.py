"""The one error type of Vivavoce and its subclasses.

Every message has three parts: what was given, what is allowed, what to do. A door (HTTP, UI, CLI)
shows the message as it is and looks at `code` alone to choose a status.
"""

from __future__ import annotations


class VivavoceError(Exception):
    """An error that a person can act on.

    Args:
        given: what was given or happened, with the value.
        allowed: what would have been accepted.
        todo: the next thing to try.
        param: the request field at fault, where there is one.
    """

    code = "error"

    def __init__(
        self, given: str, allowed: str = "", todo: str = "", *, param: str | None = None
    ) -> None:
        self.given = given
        self.allowed = allowed
        self.todo = todo
        self.param = param
        super().__init__(given, allowed, todo)

    def __str__(self) -> str:
        return " ".join(part for part in (self.given, self.allowed, self.todo) if part)


class InvalidRequest(VivavoceError):
    """The request itself is at fault; sending it again unchanged fails again."""

    code = "invalid_request"


class BadText(InvalidRequest):
    code = "bad_text"


class BadControl(InvalidRequest):
    code = "bad_control"


class BadReference(InvalidRequest):
    code = "bad_reference"


class UnknownFormat(InvalidRequest):
    code = "unknown_format"


class UnknownLanguage(InvalidRequest):
    code = "unknown_language"


class UnknownEngine(InvalidRequest):
    code = "unknown_engine"


class UnknownVoice(InvalidRequest):
    code = "unknown_voice"


class UnknownPreset(InvalidRequest):
    code = "unknown_preset"


class UnknownDevice(InvalidRequest):
    """A device that this machine lacks, or a name that no device has."""

    code = "unknown_device"


class UnsupportedRuntime(InvalidRequest):
    """The device exists, but the engine is not declared to run on it."""

    code = "unsupported_runtime"


class BadLexicon(VivavoceError):
    code = "bad_lexicon"


class BadPreset(VivavoceError):
    code = "bad_preset"


class BadCheckpoint(VivavoceError):
    code = "bad_checkpoint"


class MissingDependency(VivavoceError):
    """An optional package is needed for what was asked."""

    code = "missing_dependency"


class OutOfMemory(VivavoceError):
    code = "out_of_memory"


class StorageError(VivavoceError):
    """A file could not be written or read: full disk, missing rights, vanished folder."""

    code = "storage_error"


class EngineFailure(VivavoceError):
    """The engine broke while it worked, not through the request."""

    code = "engine_failure"


class QueueFull(VivavoceError):
    code = "queue_full"


class DeadlineExceeded(VivavoceError):
    code = "deadline_exceeded"


class Cancelled(VivavoceError):
    code = "cancelled"

    def __init__(self, given: str = "The request was cancelled.", *rest: str) -> None:
        super().__init__(given, *rest)
