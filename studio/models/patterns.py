"""Paths inside a model's folder: which pattern means which files, and which paths are safe."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import PurePosixPath

LONGEST = 400  # characters of a path that another machine names
PICKLED = (".pth", ".pt", ".bin", ".ckpt")  # each may have been converted to safetensors


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """`*` stands for anything within a name, `**/` for any number of folders."""
    parts = re.split(r"(\*\*/|\*)", pattern)
    signs = {"**/": r"(?:[^/]+/)*", "*": "[^/]*"}
    return re.compile("".join(signs.get(part, re.escape(part)) for part in parts))


def matching(pattern: str, paths: Iterable[str]) -> list[str]:
    return [path for path in paths if compiled(pattern).fullmatch(path)]


def forms(pattern: str) -> tuple[str, ...]:
    """A pattern, and the same file as safetensors where it is a pickled checkpoint."""
    name, dot, ending = pattern.rpartition(".")
    return (pattern, f"{name}.safetensors") if dot + ending in PICKLED else (pattern,)


def satisfying(pattern: str, paths: Iterable[str]) -> list[str]:
    """Files that fill a model's need, in the first form in which there are any."""
    paths = list(paths)
    return next((found for form in forms(pattern) if (found := matching(form, paths))), [])


def is_safe(path: str) -> bool:
    """A plain relative path that stays in its folder on every system."""
    return (
        0 < len(path) <= LONGEST
        and not re.search(r"[\\:\x00-\x1f]", path)
        and not path.startswith("/")
        and all(part not in ("", ".", "..") for part in path.split("/"))
        and str(PurePosixPath(path)) == path
    )
