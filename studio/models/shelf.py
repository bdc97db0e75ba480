"""The models of this machine: what is there, what is on its way, what may go."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engines.errors import StorageError
from engines.memory import ResidentInfo
from studio.models import catalogue as catalogues
from studio.models.catalogue import Catalogue, Model
from studio.models.download import Download, lock_file, now
from studio.models.errors import LicenceNotAccepted, ModelInUse, NotAllowedHere, UnknownModel
from studio.models.hub import Hub, offline
from studio.models.installed import PART, Installed, Scanner
from studio.models.judging import Judges, judged, judges
from studio.settings import Settings

GOODBYE = 2.0  # seconds that closing waits for each download


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes: `used` by models, `free` on their disk (None where that cannot be seen)."""

    used: int
    free: int | None


class ModelShelf:
    """
    Args:
        endpoint: address of the Hub; None takes HF_ENDPOINT, or the public one.
        catalogue: which models there are; None takes the program's own.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        endpoint: str | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        self.root = settings.models
        self.offline = settings.offline
        self._shared = settings.shared
        self._hub = Hub(endpoint)
        self._given = catalogue
        self._scanner: Scanner | None = None
        self._judges: Judges = {}
        self._downloads: dict[str, Download] = {}
        self._lock = threading.Lock()

    @property
    def catalogue(self) -> Catalogue:
        return self._given or catalogues.load()

    def installed(self) -> tuple[Installed, ...]:
        """What lies in the models directory, by looking."""
        with self._lock:
            if self._scanner is None:
                self._scanner = Scanner(self.root, self.catalogue)
                self._judges = judges(self.root, self.catalogue)
            return judged(self._scanner.scan(), self._judges, self.root, self.catalogue)

    def room(self, installed: Iterable[Installed]) -> Room:
        folders = {one.key: one.folder for one in installed}
        used = sum(_bytes(folder) for folder in folders.values())
        try:
            return Room(used, shutil.disk_usage(self.root).free)
        except OSError:
            return Room(used, None)

    # downloads

    def downloads(self) -> dict[str, Download]:
        """The last download of each model in this run, by `family/id`."""
        with self._lock:
            return dict(self._downloads)

    def download(self, name: str, *, accept_licence: bool = False) -> Download:
        """Begin to bring a model here, or take it up again; one that is on is returned as it is.

        Args:
            name: `id` or `family/id`.
            accept_licence: its licence was read and accepted.

        Raises:
            UnknownModel: there is none of that name.
            NotAllowedHere: the machine is shared.
            Offline: no connection is made in this run.
            LicenceNotAccepted: its licence has to be accepted first.
        """
        model = self.catalogue.model(name)
        self._check_own("downloaded")
        if self.offline:
            raise offline()
        if model.licence.must_be_read and not accept_licence:
            raise _unread(model)
        reuse = [
            (one.folder, one.ours)
            for one in self.installed()
            if one.model.family == model.family and not one.unfinished
        ]
        with self._lock:
            last = self._downloads.get(model.folder)
            if last is not None and not last.progress().state.over:
                return last
            started = Download(
                model,
                self.root,
                self._hub,
                accepted=now() if accept_licence else "",
                reuse=reuse,
                after=last,
            )
            self._downloads[model.folder] = started
            started.start()
        return started

    def cancel(self, name: str) -> bool:
        """Break a download off; False where none is on.

        Raises:
            UnknownModel, NotAllowedHere: as for `download`.
        """
        model = self.catalogue.model(name)
        self._check_own("cancelled")
        download = self.downloads().get(model.folder)
        if download is None or download.progress().state.over:
            return False
        download.cancel()
        return True

    def close(self) -> None:
        """Break every download off."""
        downloads = self.downloads().values()
        for download in downloads:
            download.cancel()
        for download in downloads:
            download.wait(GOODBYE)

    # removing

    def in_folder(self, key: str) -> tuple[Installed, ...]:
        """The models in one folder of the models directory.

        Raises:
            UnknownModel: there is none in it.
        """
        installed = self.installed()
        here = tuple(one for one in installed if one.key == key)
        if not here:
            keys = ", ".join(dict.fromkeys(one.key for one in installed))
            raise UnknownModel(
                f"There is no model in {key!r:.80}.",
                f"Folders with models: {keys}." if keys else "No model is installed.",
                "Pick one of them.",
                param="model",
            )
        return here

    def remove(self, key: str) -> int:
        """Delete a folder of the models directory in which models were found; of a link only the
        link goes. Returns the bytes that it had.

        Raises:
            UnknownModel: no model was found in it.
            NotAllowedHere: the machine is shared.
            ModelInUse: a download into it is on.
            StorageError: it cannot be deleted, or does not lie in the models directory.
        """
        self._check_own("deleted")
        folder = self.in_folder(key)[0].folder
        self._check_idle(key)
        root = self.root.resolve()
        if not folder.parent.resolve().is_relative_to(root):
            raise StorageError(
                f"{key} does not lie in the models directory: a folder above it is a link.",
                "Only what lies in the models directory is deleted.",
                "Delete it by hand.",
            )
        size = 0 if folder.is_symlink() else _bytes(folder)
        try:
            if folder.is_symlink():
                folder.unlink()
            else:
                # at one stroke: half a model must never look like one
                gone = self.root / f".removed-{uuid.uuid4().hex}"
                folder.rename(gone)
                shutil.rmtree(gone)
        except OSError as error:
            raise StorageError(
                f"{key} cannot be deleted ({error.strerror}).",
                "",
                "Close whatever uses it, put its rights in order, and try again.",
            ) from error
        _tidy(folder, root)
        return size

    def _check_idle(self, key: str) -> None:
        download = self.downloads().get(key.removesuffix(PART))
        if download is not None and not download.wait(0):
            raise ModelInUse(
                f"{key} is being downloaded.", "", "Cancel the download first.", param="model"
            )

    def _check_own(self, what: str) -> None:
        if self._shared:
            raise NotAllowedHere(
                f"Models cannot be {what} here.",
                "This machine is shared: whoever runs it decides which models it has.",
                "Run Vivavoce on a machine of your own.",
            )


def of_engine(residents: Iterable[ResidentInfo], engine: str) -> tuple[ResidentInfo, ...]:
    """What of an engine is in memory: a resident's key begins with its engine's name."""
    return tuple(one for one in residents if one.name.split(" ", 1)[0] == engine)


def _unread(model: Model) -> LicenceNotAccepted:
    licence = model.licence
    why = {
        "forbidden": "does not allow commercial use",
        "unknown": "may not allow every use",
    }[licence.commercial]
    return LicenceNotAccepted(
        f"{model.title} has the licence {licence.name}, which {why}.",
        licence.note,
        "Read it, then confirm that you accept it" + (f": {licence.url}." if licence.url else "."),
        param="accept_licence",
    )


def _bytes(folder: Path) -> int:
    """Of all files in a folder; links are not followed."""
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(top, name).lstat().st_size
    return total


def _tidy(folder: Path, root: Path) -> None:
    """Drop the lock and the family's folder where nothing else is in it."""
    home = folder.with_name(folder.name.removesuffix(PART))
    with contextlib.suppress(OSError):
        if not home.exists():
            lock_file(home).unlink(missing_ok=True)
        if folder.parent.resolve() != root:
            folder.parent.rmdir()
