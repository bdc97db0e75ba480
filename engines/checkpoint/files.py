"""Files of weights: which are opened, and how they become tensors.

safetensors is always opened. A torch file is a pickle, a program: torch runs only harmless parts
of it with `weights_only`, and had holes in that before 2.10. An older torch refuses such files.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from engines.errors import BadCheckpoint

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("vivavoce.checkpoint")

SUFFIX = ".safetensors"
SAFE_TORCH = (2, 10)
CONVERT = "Convert it where torch is newer: `python app.py convert DIR`."


def opens_pth() -> bool:
    """Whether the installed torch is new enough to open torch files safely."""
    import torch

    major, minor = torch.__version__.split(".")[:2]
    return (int(major), int(minor)) >= SAFE_TORCH


def inside(folder: Path, path: str, source: Path) -> Path:
    """A path that a file of the release names, as long as it stays inside the release.

    Args:
        folder: the release.
        path: relative, with slashes.
        source: the file that names it, for the error.

    Raises:
        BadCheckpoint: it leads out of the folder, also by a link.
    """
    parts, found = PurePosixPath(path), folder / path
    plain = bool(path) and not set(path) & {"\\", "\0"} and ".." not in parts.parts
    if not plain or parts.is_absolute() or Path(path).drive or not stays(found, folder):
        raise BadCheckpoint(
            f"{source} names {path!r:.200}, which leads out of {folder}.",
            "A release uses its own files only.",
            "Download it again from where it was published.",
        )
    return found


def stays(path: Path, folder: Path) -> bool:
    """Whether a path lies in the folder once its links are followed; a Hugging Face cache keeps the
    files of a snapshot in `blobs` beside it."""
    real, root = path.resolve(), folder.resolve()
    blobs = root.parent.parent / "blobs"
    linked = root.parent.name == "snapshots" and real.is_relative_to(blobs)
    return real.is_relative_to(root) or linked


def read(
    path: Path,
    *,
    trust: bool = False,
    allow: Sequence[Any] = (),
    within: str = "",
    mapped: bool = True,
) -> dict[str, Tensor]:
    """All tensors of a file by name, floats in float32, on the CPU.

    Where a safetensors file of the same name lies beside a torch file, that one is read.

    Args:
        path: ".safetensors", or anything else for a torch file.
        trust: open a torch file (with `weights_only` all the same) although torch is too old to
            do so safely: only for a file that is known.
        allow: types that the torch file may hold beside torch's own; as (type, "module.Name") one
            stands for a type of that name.
        within: the name under which the tensors stand in a torch file, where there is one.
        mapped: leave the tensors of a torch file on the disk until they are used. What is used
            takes its place twice until the first copy is let go; without, all of it once.

    Raises:
        BadCheckpoint: it is missing, damaged, holds code or anything else than tensors, or may
            not be opened by this torch.
    """
    beside = path.with_suffix(SUFFIX)
    if path.suffix != SUFFIX and beside.is_file():
        path = beside
    if not path.is_file():
        raise bad_file(path, "is missing", "Download the release again, with all of its files.")
    if path.suffix == SUFFIX:
        return _floats(path, _safetensors(path))
    found = unpickle(path, trust=trust, allow=allow, mapped=mapped)
    if within and isinstance(found, Mapping):
        found = found.get(within, found)
    return _floats(path, _by_name(path, found))


def unpickle(
    path: Path, *, trust: bool = False, allow: Sequence[Any] = (), mapped: bool = True
) -> Any:
    """What a torch file holds, its tensors on the CPU; arguments and errors are those of `read`."""
    import torch

    if not trust and not opens_pth():
        raise BadCheckpoint(
            f"{path} is a torch file, and torch {torch.__version__} cannot open one safely.",
            f"From torch {'.'.join(map(str, SAFE_TORCH))} on it can; safetensors files always "
            "open.",
            CONVERT,
        )
    if not path.is_file():
        raise bad_file(path, "is missing", "Download the release again, with all of its files.")
    try:
        with torch.serialization.safe_globals(list(allow)):
            return torch.load(
                path,
                map_location="cpu",
                weights_only=True,
                mmap=mapped and zipfile.is_zipfile(path),
            )
    except pickle.UnpicklingError as error:
        raise _unpickling(path, error) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).strip().split("\n")[0]
        raise bad_file(path, f"is damaged or no torch file ({reason:.200})") from error


def convert(
    path: Path, target: Path, *, trust: bool = False, allow: Sequence[Any] = (), within: str = ""
) -> None:
    """Write the tensors of a torch file as safetensors, unchanged but for their float32.

    The target appears whole or not at all.
    """
    found = read(path, trust=trust, allow=allow, within=within)
    save(found, target)


def save(tensors: Mapping[str, Tensor], target: Path) -> None:
    """Write a safetensors file, which appears whole or not at all."""
    from safetensors.torch import save_file

    # Two names of one tensor are two tensors in safetensors.
    tensors = {key: each.clone().contiguous() for key, each in tensors.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    os.close(handle)
    try:
        save_file(dict(tensors), name)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


def bad_file(path: Path, what: str, todo: str = "Download it again.") -> BadCheckpoint:
    return BadCheckpoint(f"{path} {what}.", "", todo)


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise bad_file(path, f"is damaged or no safetensors file ({error})") from error


def _by_name(path: Path, found: Any) -> dict[str, Any]:
    if isinstance(found, Mapping) and set(found) == {"module"}:
        found = found["module"]  # deepspeed's
    elif isinstance(found, Mapping) and isinstance(found.get("module"), Mapping):
        found = found["module"]
    if not isinstance(found, Mapping):
        raise bad_file(path, f"holds a {type(found).__name__}, not tensors by name")
    return dict(found)


def _unpickling(path: Path, error: Exception) -> BadCheckpoint:
    wanted = re.search(r"GLOBAL (\S+)", str(error))
    if wanted is None:
        return bad_file(path, "is damaged or no torch file")
    return BadCheckpoint(
        f"{path} wants to run {wanted[1]}, which weights have no need of. It was not run.",
        "Only tensors and their names are taken from a file.",
        "Get the release from where it was published.",
    )


def _floats(path: Path, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    import torch

    wrong = [repr(key) for key, each in tensors.items() if not isinstance(each, torch.Tensor)]
    wrong += [repr(key) for key in tensors if not isinstance(key, str)]
    if wrong or not tensors:
        what = f"no tensors under {', '.join(wrong[:5])}" if wrong else "nothing"
        raise bad_file(path, f"holds {what}, where names and tensors belong")
    dtypes = {str(each.dtype).removeprefix("torch.") for each in tensors.values()}
    short = sorted(dtypes & {"float16", "bfloat16"})
    if short:
        log.info("%s holds %s; it is worked with as float32", path, ", ".join(short))
    return {
        key: each.to(torch.float32) if each.is_floating_point() else each
        for key, each in tensors.items()
    }
