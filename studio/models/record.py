"""The note that a download leaves in its folder: what came from where, with which checksum."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from studio.models.patterns import is_safe

NAME = ".vivavoce.json"
MOST_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file whose content was checked. `digest` is "sha256:…", or "git:…" for a small file."""

    bytes: int
    digest: str


@dataclass(slots=True)
class Record:
    """What lies in a folder.

    Attributes:
        model: `family/id`.
        revisions: repository → commit.
        total: bytes of the whole download.
        files: path → what it is; while a download is on, those that are finished.
        accepted: when the licence was accepted, UTC in ISO 8601; "" where that was not asked.
    """

    model: str
    revisions: dict[str, str] = field(default_factory=dict)
    total: int = 0
    files: dict[str, RecordedFile] = field(default_factory=dict)
    accepted: str = ""

    def write(self, folder: Path) -> None:
        """
        Raises:
            OSError: it cannot be written.
        """
        new = folder / f"{NAME}.new"
        new.write_text(json.dumps(asdict(self), indent=1), "utf-8")
        new.replace(folder / NAME)


def read(folder: Path) -> Record | None:
    """The record of a folder; None where there is none or somebody spoilt it."""
    path = folder / NAME
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        values = json.loads(path.read_text("utf-8"))
        files = {name: RecordedFile(**file) for name, file in values["files"].items()}
        record = Record(**{**values, "files": files})
        sound = (
            isinstance(record.model, str)
            and isinstance(record.total, int)
            and all(is_safe(name) for name in files)
            and all(isinstance(file.bytes, int) for file in files.values())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return record if sound else None
