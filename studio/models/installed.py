"""What lies in the models directory, found by looking: downloads of ours, and folders that a
person put there in a published layout, whatever they are called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from studio.models import record
from studio.models.catalogue import Catalogue, Mark, Model
from studio.models.damage import Checks
from studio.models.patterns import forms, satisfying

PART = ".part"  # ending of a folder that is still downloaded into
INCOMPLETE = ".incomplete"  # ending of a file that is still downloaded
DEEPEST = 3  # levels at which a model's folder is looked for
MOST_FOLDERS = 2_000
MOST_FILES = 5_000  # of one model
MOST_FAULTS = 8  # that are named
MARK_BYTES = 1024**2


class InstalledState(str, Enum):
    COMPLETE = "complete"
    PARTIAL = "partial"
    DAMAGED = "damaged"
    UNUSABLE = "unusable"  # its files are there, and its engine says that they do not do


@dataclass(frozen=True, slots=True)
class Installed:
    """A model in the models directory.

    Attributes:
        key: its folder relative to the models directory, with /.
        bytes: of its files on disk.
        faults: what is missing or broken, a sentence each.
        ours: it was downloaded by this program.
        unfinished: a download of ours that was broken off; it can be taken up again.
        total: bytes that an unfinished one will have; 0 where unknown.
        revisions: repository → commit, where it was downloaded.
    """

    key: str
    folder: Path
    model: Model
    state: InstalledState
    bytes: int
    faults: tuple[str, ...] = ()
    ours: bool = False
    unfinished: bool = False
    total: int = 0
    revisions: tuple[tuple[str, str], ...] = ()


class Scanner:
    """Looks through a models directory.

    Args:
        root: the models directory; it need not be there.
    """

    def __init__(self, root: Path, catalogue: Catalogue) -> None:
        self.root = root
        self._catalogue = catalogue
        self._checks = Checks()
        self._homes = {model.folder: model for model in catalogue.models() if model.downloadable}

    def scan(self) -> tuple[Installed, ...]:
        """Every model there is, sorted by folder. A folder may hold several."""
        found: list[Installed] = []
        level, looked_at = [self.root], 0
        for _ in range(DEEPEST):
            below: list[Path] = []
            for folder in (child for parent in level for child in _folders(parent)):
                looked_at += 1
                if looked_at > MOST_FOLDERS:
                    return tuple(found)
                here = self.look(folder)
                found += here
                if not here:
                    below.append(folder)
            level = below
        return tuple(sorted(found, key=lambda one: one.key))

    def look(self, folder: Path) -> list[Installed]:
        """The models in one folder, not in those below it."""
        key = folder.relative_to(self.root).as_posix()
        unfinished = key.endswith(PART)
        home = self._homes.get(key.removesuffix(PART))
        if home is None and unfinished:
            return []
        models = [home] if home else self._recognised(folder)
        if not models:
            return []
        files = dict(_files(folder))
        if not files and not unfinished:
            return []
        return [self._judge(key, folder, model, files, unfinished) for model in models]

    def _recognised(self, folder: Path) -> list[Model]:
        known = [m for m in self._catalogue.models() if any(_holds(folder, x) for x in m.marks)]
        families = {model.family for model in known if model.downloadable}
        # a layout that has a name of its own is not "another" one of its family as well
        return [m for m in known if m.downloadable or m.family not in families]

    def _judge(
        self, key: str, folder: Path, model: Model, files: dict[str, int], unfinished: bool
    ) -> Installed:
        note = record.read(folder)
        note = note if note and note.model == model.folder else None
        missing: list[str] = []
        mine: set[str] = set()
        for need in model.needs:
            paths = satisfying(need, files)
            mine.update(paths)
            if not paths:
                missing.append(need)
        recorded = note.files if note else {}
        missing += [path for path in recorded if path not in files and path not in missing]
        broken = [] if unfinished else list(self._broken(folder, sorted(mine), recorded, files))
        state = InstalledState.PARTIAL if missing or unfinished else InstalledState.COMPLETE
        faults = [] if unfinished else broken + [f"{path} is missing." for path in missing]
        return Installed(
            key,
            folder,
            model,
            InstalledState.DAMAGED if broken else state,
            # beside other models in the same folder only its own files count
            sum(files.values()) if note or unfinished else sum(files[path] for path in mine),
            tuple(faults[:MOST_FAULTS]),
            ours=note is not None,
            unfinished=unfinished,
            total=note.total if note else 0,
            revisions=tuple(sorted(note.revisions.items())) if note else (),
        )

    def _broken(
        self,
        folder: Path,
        needed: list[str],
        recorded: dict[str, record.RecordedFile],
        files: dict[str, int],
    ) -> Iterator[str]:
        for path in needed:
            if fault := self._checks.fault(folder / path):
                yield f"{path} {fault}."
            elif path in recorded and recorded[path].bytes != files[path]:
                yield f"{path} has {files[path]:,} bytes instead of {recorded[path].bytes:,}."


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(
            child for child in parent.iterdir() if child.name[0] != "." and child.is_dir()
        )
    except OSError:
        return []


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Path and bytes of each file; names that begin with a dot are tools' own."""
    count = 0
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(top, name)
            if name.startswith("."):
                continue
            count += 1
            if count > MOST_FILES:
                return
            try:
                yield path.relative_to(folder).as_posix(), path.stat().st_size
            except OSError:  # a link to nowhere
                continue


def _holds(folder: Path, mark: Mark) -> bool:
    """Whether a folder bears a mark."""
    try:
        for path in (path for form in forms(mark.file) for path in folder.glob(form)):
            if not mark.says:
                return path.is_file()
            with path.open("rb") as file:
                text = file.read(MARK_BYTES).decode("utf-8", "replace")
            if re.search(mark.says, text, re.MULTILINE):
                return True
    except OSError:
        pass
    return False
