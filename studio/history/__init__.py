"""The history: every take that was made, found again, heard again, made again."""

from studio.history.history import History, Page, Sameness
from studio.history.recorder import Recorder
from studio.history.records import (
    NoSound,
    TakeRecord,
    TakeState,
    TakeUnfinished,
    UnknownTake,
    kept,
    request_of,
    tags_of,
)
from studio.history.retention import Totals

__all__ = [
    "History",
    "NoSound",
    "Page",
    "Recorder",
    "Sameness",
    "TakeRecord",
    "TakeState",
    "TakeUnfinished",
    "Totals",
    "UnknownTake",
    "kept",
    "request_of",
    "tags_of",
]
