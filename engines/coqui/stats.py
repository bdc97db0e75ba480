"""Statistics of spectrograms in the library's files, which are pickles inside NumPy's format."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from engines.checkpoint import bad_file

LARGEST = 16 << 20  # bytes

# What an array of numbers needs, under NumPy's names of either age.
_HARMLESS = {
    (f"numpy.{core}.multiarray", name)
    for core in ("core", "_core")
    for name in ("_reconstruct", "scalar")
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


def read_stats(path: Path) -> dict[str, Any]:
    """The dictionary that `numpy.save` put into a file; nothing else of it is run.

    Raises:
        BadCheckpoint: it is missing or damaged, or wants to run something.
    """
    import numpy as np
    from numpy.lib import format as npy

    try:
        if path.stat().st_size > LARGEST:
            raise bad_file(path, "is too large for statistics")
        with path.open("rb") as file:
            version = npy.read_magic(file)
            reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            _, _, dtype = reader(file)
            if dtype != np.dtype(object):
                raise bad_file(path, "holds no statistics")
            found = _Numbers(file).load()
        stats = found.item() if isinstance(found, np.ndarray) else found
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
    ) as error:
        raise bad_file(path, f"is damaged ({error!s:.200})") from error
    except pickle.UnpicklingError as error:
        raise bad_file(
            path, f"wants to run {error!s:.100}, and was not run", "Get it from its publisher."
        ) from error
    if not isinstance(stats, dict):
        raise bad_file(path, "holds no statistics")
    return stats


class _Numbers(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)
