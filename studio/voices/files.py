"""The library's files: written whole or not at all, under names that no user chose."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from engines.errors import StorageError

INCOMING = ".incoming"
ID = re.compile(r"[0-9a-f]{16}")


def new_id() -> str:
    return secrets.token_hex(8)


def owner_key(owner: str) -> str:
    """The name of an owner's folder: it tells nothing of the owner's own name."""
    return hashlib.sha256(f"owner:{owner}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def clips_path(owner: str, voice_id: str) -> str:
    """Where a voice's clips are, as `VoiceFiles.at` takes it."""
    return f"clips/{owner_key(owner)}/{voice_id}"


def derived_path(owner: str, voice_id: str) -> str:
    return f"derived/{owner_key(owner)}/{voice_id}"


class VoiceFiles:
    """Clips are `folder/<owner>/<voice>/<clip>.wav`; what can be made again from them is under
    `cache/conditioning/<owner>/<voice>/` and `cache/index/`.

    Raises:
        StorageError: from every method, where the disk does not do what is asked.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self._roots = {
            "clips": folder,
            "derived": cache / "conditioning",
            "index": cache / "index",
        }
        for root in self._roots.values():
            with translated(root):
                root.mkdir(parents=True, exist_ok=True)
        self._sweep_incoming()

    def at(self, path: str) -> Path:
        """The place of a path such as "clips/<owner>/<voice>": its first part names the root."""
        root, _, rest = path.partition("/")
        return self._roots[root] / rest

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder of this process, for files that no row names yet; gone afterwards."""
        stage = self.folder / INCOMING / f"{os.getpid()}-{new_id()}"
        with translated(stage):
            stage.mkdir(parents=True)
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)

    def publish(self, stage: Path, path: str) -> None:
        """Make a staging folder the folder of a new voice."""
        target = self.at(path)
        with translated(target):
            target.parent.mkdir(exist_ok=True)
            sync_folder(stage)
            stage.rename(target)
            sync_folder(target.parent)
            sync_folder(self.folder)

    def publish_clips(self, stage: Path, path: str) -> None:
        """Move the clips of a staging folder to a voice's folder."""
        target = self.at(path)
        with translated(target):
            for clip in sorted(stage.iterdir()):
                clip.rename(target / clip.name)
            sync_folder(target)

    def remove(self, path: str) -> None:
        """Remove a file or a folder. Harmless where nothing is there."""
        place = self.at(path)
        with translated(place):
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        if place.parent not in self._roots.values():
            with contextlib.suppress(OSError):  # it may hold more
                place.parent.rmdir()

    def _sweep_incoming(self) -> None:
        """Remove what a process left that ended in the middle of an addition."""
        incoming = self.folder / INCOMING
        for stage in incoming.iterdir() if incoming.is_dir() else ():
            pid = stage.name.partition("-")[0]
            if pid.isdecimal() and int(pid) != os.getpid() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(stage, ignore_errors=True)


def write(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole, also after a power cut, or not at all.

    Raises:
        StorageError: it could not be written; nothing of it stays.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with translated(path):
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no handles of folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """The system's errors in words that say what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read or written ({error.strerror or error}).",
            "The voice library keeps its files there.",
            "Free some space or put its rights in order, then try again.",
        ) from error
