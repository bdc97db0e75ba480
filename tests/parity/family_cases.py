"""A family's reference cases as pytest takes them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.parity.replay import Family, converted, family_named
from tests.parity.runtimes import open_runtime

ROOT = Path(__file__).resolve().parents[3] / "shared" / "parity"


def folder_of(family: str) -> Path:
    """Where they are; without them tests are skipped, or fail where CI is set."""
    folder = ROOT / family
    if not folder.is_dir():
        reason = f"the reference cases are not here: {ROOT.name}/{family}"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI leaves no test out.", pytrace=False)
        pytest.skip(reason)
    return folder


def names(family: str, wanted: Callable[[str], bool] = lambda _stage: True) -> list[str]:
    """Of its cases whose stage is wanted; "none" where the cases are not here."""
    if not (ROOT / family).is_dir():
        return ["none"]
    entries = json.loads((ROOT / family / "cases.json").read_text("utf-8"))
    return [Path(each["file"]).stem for each in entries if wanted(each["stage"])]


def replayers(family: str, scratch: pytest.TempPathFactory) -> Callable[[str], Family]:
    """By runtime, each made once."""
    folder = converted(folder_of(family), scratch.mktemp("parity") / "checkpoints")

    @cache
    def opened(runtime: str) -> Family:
        return family_named(family)(folder, open_runtime(runtime, scratch.mktemp(runtime)))

    return opened
