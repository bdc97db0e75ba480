"""One serving process for each data directory: two would sweep away each other's files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

from engines.errors import StorageError

NAME = "serving.lock"


class DataLock:
    """Held from construction until `close`, or until the process ends, however it ends.

    Args:
        data_dir: made where it is missing.

    Raises:
        StorageError: another process holds it; the message names its number.
    """

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / NAME
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = path.open("a+", encoding="ascii")
        except OSError as error:
            raise StorageError(
                f"{path} cannot be written ({error.strerror}).",
                "",
                "Put its rights in order, or give another folder with --data-dir.",
            ) from error
        if not _locked(self._file):
            self._file.seek(0)
            holder = self._file.read(20).strip() or "unknown"
            self._file.close()
            raise StorageError(
                f"Another Vivavoce (process {holder}) works in {data_dir}.",
                "One at a time may serve a data folder.",
                "Stop that one, or give this one a folder of its own with --data-dir.",
            )
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


def _locked(file: IO[str]) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
