"""Names out of the library's files of speakers, without torch and without running anything."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.checkpoint import bad_file

LARGEST = 256 << 20  # bytes of a file of speakers


def speaker_names(path: Path) -> tuple[str, ...]:
    """The speakers that a file lists, in its order.

    The library's files are JSON or torch files: a number for each speaker; or for each clip its
    speaker's name and embedding; or for each speaker of XTTS its latents.

    Raises:
        BadCheckpoint: the file is damaged, or holds something else.
    """
    found = _json(path) if path.suffix == ".json" else _pickled(path)
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise bad_file(path, "lists no speakers by name")
    clips = [
        each["name"] for each in found.values() if isinstance(each, Mapping) and "name" in each
    ]
    return tuple(sorted(set(map(str, clips)))) if clips else tuple(found)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes()[:LARGEST])
    except (OSError, ValueError, RecursionError) as error:
        raise bad_file(path, f"is no JSON ({error!s:.200})") from error


def _pickled(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            inner = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            if archive.getinfo(inner).file_size > LARGEST:
                raise bad_file(path, "is too large for a file of speakers")
            return _Skeleton(io.BytesIO(archive.read(inner))).load()
    except (zipfile.BadZipFile, OSError, StopIteration) as error:
        raise bad_file(path, f"is damaged or no torch file ({error!s:.200})") from error
    except Exception as error:  # whatever a spoilt pickle makes of its bytes
        raise bad_file(path, f"cannot be read ({error!s:.200})") from error


class _Skeleton(pickle.Unpickler):
    """Reads what stands around the tensors. Whatever a file calls is nothing here."""

    def find_class(self, module: str, name: str) -> Any:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Nothing

    def persistent_load(self, pid: Any) -> _Nothing:  # noqa: ARG002 - a tensor's storage
        return _Nothing()


class _Nothing:
    """Stands for every function and class, and for what they would make."""

    def __new__(cls, *_args: object, **_named: object) -> _Nothing:
        return super().__new__(cls)

    def __call__(self, *_args: object, **_named: object) -> _Nothing:
        return self

    def __setstate__(self, state: object) -> None:
        pass
