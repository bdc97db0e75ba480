"""One download: planned, taken up where it was left, and put in its place once it is whole."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from engines.errors import Cancelled, StorageError, VivavoceError
from studio.models import record
from studio.models.catalogue import Model
from studio.models.errors import DownloadFailed
from studio.models.hub import Hub, HubFile, HubPlan
from studio.models.installed import INCOMPLETE, PART
from studio.models.pace import Pace
from studio.models.transfer import Transfer

log = logging.getLogger("vivavoce.models")

SPARE = 200 * 1000**2  # bytes that are left free on the disk


class DownloadState(str, Enum):
    ASKING = "asking"  # the Hub, what there is
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        return self in (DownloadState.DONE, DownloadState.CANCELLED, DownloadState.FAILED)


@dataclass(frozen=True, slots=True)
class Progress:
    """How a download stands. `total` is 0 until the Hub has said; `speed` in bytes a second and
    `left` in seconds are None while they cannot be said."""

    state: DownloadState
    done: int = 0
    total: int = 0
    speed: float | None = None
    left: float | None = None
    file: str = ""


class Download:
    """Brings one model into the models directory, in a thread of its own.

    Files go into `<family>/<id>.part`; each gets its name there when its checksum is right, and
    the folder gets its own when all are there. What was downloaded stays when it is broken off.

    Args:
        root: the models directory.
        accepted: when the licence was accepted, "" where that was not asked.
        reuse: folders that may hold some of the files already, and whether they are ours.
        after: a cancelled download of the same model that is still on its way out.
    """

    def __init__(
        self,
        model: Model,
        root: Path,
        hub: Hub,
        *,
        accepted: str = "",
        reuse: Sequence[tuple[Path, bool]] = (),
        after: Download | None = None,
    ) -> None:
        self.model = model
        self.error: VivavoceError | None = None
        self._home = root / model.folder
        self._part = self._home.with_name(self._home.name + PART)
        self._hub = hub
        self._note = record.Record(model.folder, accepted=accepted)
        self._reuse = reuse
        self._after = after
        self._state = DownloadState.ASKING
        self._total = 0
        self._before = 0  # bytes of the files before the current one
        self._here = 0  # bytes of the current one
        self._file = ""
        self._received = 0
        self._pace = Pace()
        self._transfer = Transfer(hub, self._count, self._stand)
        self._thread = threading.Thread(target=self._run, name=f"download-{model.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def progress(self) -> Progress:
        state, done = self._state, self._before + self._here
        if self._transfer.stopped and not state.over:
            # the thread may still wait for the network; for whoever looks it has ended
            state = DownloadState.CANCELLED
        if state is not DownloadState.RUNNING:
            return Progress(state, done, self._total)
        left = self._pace.left(self._total - done)
        return Progress(state, done, self._total, self._pace.speed(), left, self._file)

    def cancel(self) -> None:
        """Break it off; it can be taken up again. Does not wait."""
        self._transfer.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its thread; False where that is still at work."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # the thread

    def _run(self) -> None:
        try:
            if self._after is not None:
                self._after.wait()
            with _only_one(self._home):
                self._work()
            self._state = DownloadState.DONE
        except Cancelled:
            self._state = DownloadState.CANCELLED
        except Exception as error:
            if self._transfer.stopped:
                self._state = DownloadState.CANCELLED
                return
            self.error = self._in_words(error)
            self._state = DownloadState.FAILED

    def _work(self) -> None:
        self._transfer.raise_if_stopped()
        plan = self._hub.plan(self.model, accepted=bool(self._note.accepted))
        self._transfer.raise_if_stopped()
        self._part.mkdir(parents=True, exist_ok=True)
        self._take_up(plan)
        self._check_room(plan)
        self._state = DownloadState.RUNNING
        for file in plan.files:
            self._file = file.place
            if file.place not in self._note.files:
                self._obtain(file)
                self._note.files[file.place] = record.RecordedFile(file.bytes, file.digest)
                self._note.write(self._part)
            self._before, self._here = self._before + file.bytes, 0
        self._put_in_place(plan)

    def _take_up(self, plan: HubPlan) -> None:
        """Keep of an earlier try what is still wanted."""
        earlier = record.read(self._part)
        self._note.revisions = plan.commits
        self._note.total = self._total = plan.total
        for file in plan.files:
            known = record.RecordedFile(file.bytes, file.digest)
            path = self._part / file.place
            if earlier and earlier.files.get(file.place) == known and _size(path) == file.bytes:
                self._note.files[file.place] = known
        self._note.write(self._part)

    def _check_room(self, plan: HubPlan) -> None:
        here = sum(
            file.bytes if file.place in self._note.files else _size(self._unfinished(file)) or 0
            for file in plan.files
        )
        needed, free = plan.total - here + SPARE, shutil.disk_usage(self._part).free
        if needed > free:
            raise StorageError(
                f"{self.model.title} needs {needed / 1e9:.1f} GB more, but {free / 1e9:.1f} GB "
                "are free where models are kept.",
                "Nothing was downloaded.",
                "Free some space, or give another folder with --models-dir.",
            )

    def _unfinished(self, file: HubFile) -> Path:
        """Named after the content too: another revision begins anew."""
        path = self._part / file.place
        return path.with_name(f"{path.name}.{file.digest[-12:]}{INCOMPLETE}")

    def _obtain(self, file: HubFile) -> None:
        """Bring a file to its place in the part folder, with its checksum right."""
        target = self._part / file.place
        target.parent.mkdir(parents=True, exist_ok=True)
        if not self._borrow(file, target):
            self._transfer.fetch(file, self._unfinished(file))
            self._unfinished(file).replace(target)

    def _borrow(self, file: HubFile, target: Path) -> bool:
        """Take a file from another model's folder where the same one lies there."""
        for folder, ours in self._reuse:
            path = folder / file.place
            if _size(path) != file.bytes or not self._transfer.sound(file, path):
                continue
            target.unlink(missing_ok=True)
            if not (ours and _linked(path, target)):  # a person may write into his own files
                copy = self._unfinished(file)
                shutil.copyfile(path, copy)
                copy.replace(target)
            return True
        return False

    def _put_in_place(self, plan: HubPlan) -> None:
        wanted = {self._part / file.place for file in plan.files} | {self._part / record.NAME}
        for path in list(self._part.rglob("*")):
            if path.is_file() and path not in wanted:  # of an earlier revision
                path.unlink()
        old = self._home.with_name(f".{self._home.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self._home.exists():
            self._home.rename(old)
        self._part.rename(self._home)
        shutil.rmtree(old, ignore_errors=True)

    def _count(self, arrived: int) -> None:
        self._received += arrived
        self._pace.add(self._received)

    def _stand(self, here: int) -> None:
        self._here = here

    def _in_words(self, error: Exception) -> VivavoceError:
        if isinstance(error, VivavoceError):
            return error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StorageError(
                "The disk is full.",
                "What was downloaded so far is kept.",
                "Free some space and try again; it goes on where it stopped.",
            )
        if isinstance(error, OSError) and error.errno is not None:
            return StorageError(
                f"The models directory cannot be written to ({error.strerror}).",
                "",
                "Put its rights in order, or give another folder with --models-dir.",
            )
        log.exception("the download of %s broke", self.model.folder)
        return DownloadFailed(
            f"The download broke: {type(error).__name__}: {error}.", "", "Try again."
        )


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Held while a model is downloaded, against other processes too.

    Raises:
        DownloadFailed: another process holds it.
    """
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # named lazily

    home.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(WeakFileLock(lock_file(home), timeout=0.2))
        except TimeoutError:
            raise DownloadFailed(
                f"Another Vivavoce downloads {home.name} already.",
                "",
                "Wait until it has finished, or cancel it there.",
            ) from None
        yield


def lock_file(home: Path) -> Path:
    return home.with_name(f".{home.name}.lock")


def _linked(path: Path, target: Path) -> bool:
    try:
        os.link(path.resolve(), target)
    except OSError:  # another disk, or a file system without links
        return False
    return True


def _size(path: Path) -> int | None:
    """Bytes of a file; None where there is none."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def now() -> str:
    """This moment, as a record has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
