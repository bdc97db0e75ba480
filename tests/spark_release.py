"""A tiny Spark-TTS release, of random weights, in the published layout."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "parity" / "spark" / "checkpoint"


def release_folder() -> Path:
    """The reference cases' own; it may not be written to."""
    if not FOLDER.is_dir():
        reason = "the tiny release is not here: parity/spark/checkpoint"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI leaves no test out.", pytrace=False)
        pytest.skip(reason)
    return FOLDER


def copied_release(folder: Path) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(release_folder(), folder, copy_function=shutil.copyfile))
