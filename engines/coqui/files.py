"""Where the files of a model of the library's are."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engines.checkpoint import SUFFIX, bad_file
from engines.checkpoint.documents import LARGEST

CONFIG = "config.json"
ENCODER, ENCODER_CONFIG = ("model_se.pth", "model_se.pth.tar"), "config_se.json"
# folders in which a release has its files; the library keeps what FreeVC hears with beside it
ROOTS = ("", ".models", "data", "../wavlm")
CHECKPOINTS = ("model_file.pth", "model_file.pth.tar", "model.pth", "checkpoint.pth")
NUMBERED = re.compile(r"(best_model|checkpoint)(?:_(\d+))?\.pth(\.tar)?")
NO_WEIGHTS = re.compile(r"(speaker|language|model_se|scale_stats|d_vector|mel_norms|dvae).*")
_COMMENTS = re.compile(r'("(?:[^"\\]|\\.)*")|/\*.*?\*/|//[^\n]*', re.DOTALL)


def read_config(path: Path) -> dict[str, Any]:
    """A configuration file; older ones are JSON with comments.

    Raises:
        BadCheckpoint: it cannot be read.
    """
    try:
        text = path.read_text("utf-8")[:LARGEST]
        try:
            found = json.loads(text)
        except ValueError:
            found = json.loads(_COMMENTS.sub(lambda match: match[1] or "", text))
    except (OSError, ValueError, RecursionError) as error:
        raise bad_file(path, f"is no JSON ({error!s:.200})") from error
    if not isinstance(found, dict):
        raise bad_file(path, "is no JSON object")
    return found


def file_of(folder: Path, name: str) -> Path | None:
    """A file of a release, also where its publisher put it in a folder of its own."""
    places = (folder / root / name for root in ROOTS)
    return next((each for each in places if each.is_file()), None)


def encoder_of(folder: Path) -> Path | None:
    return next((folder / each for each in ENCODER if (folder / each).is_file()), None)


def checkpoint_of(folder: Path, others: Sequence[str] = ()) -> Path:
    """The weights of a folder.

    Args:
        others: files of it that are no weights.

    Raises:
        BadCheckpoint: there are none, or several and nothing tells which to take.
    """
    for name in CHECKPOINTS:
        for path in (folder / name, (folder / name).with_suffix(SUFFIX)):
            if path.is_file():
                return path
    weights = [
        path
        for path in sorted(folder.iterdir())
        if path.name.endswith((".pth", ".pth.tar", ".pt")) and not NO_WEIGHTS.match(path.name)
        if path.name not in others
    ]
    numbered = [path for path in weights if NUMBERED.fullmatch(path.name)]
    if numbered:
        return max(numbered, key=_newest)
    if len(weights) == 1:
        return weights[0]
    raise bad_file(
        folder,
        f"has {len(weights) or 'no'} checkpoints",
        f"Name the one to use {CHECKPOINTS[0]}.",
    )


def _newest(path: Path) -> tuple[bool, int]:
    found = NUMBERED.fullmatch(path.name)
    assert found is not None
    return found[1] == "best_model", int(found[2] or 10**12)
