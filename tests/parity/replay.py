"""Cases, how they are replayed, and when one passes. Nothing here knows a family."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.checkpoint import SUFFIX, Report, convert, opens_pth
from engines.errors import BadCheckpoint, VivavoceError
from tests.parity.runtimes import Runtime

# A family's replayer: a class that takes the folder and the runtime, and `manifest_reports`.
FAMILIES = {"espnet_vits": "tests.parity.espnet_vits", "spark": "tests.parity.spark"}

TORCH_FILES = (".pth", ".pt", ".ckpt", ".bin")
RTOL, ATOL = 1e-4, 1e-5  # where a case says nothing

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """
    Attributes:
        checkpoint: the folder that it belongs to.
        inputs, expected: arrays by name, without "in." and "out.".
        params: strings and scalars.
    """

    name: str
    stage: str
    checkpoint: str
    rtol: float
    atol: float
    inputs: Arrays
    expected: Arrays
    params: Mapping[str, Any] = field(default_factory=dict)


# What a case gives, by the names of what is expected.
Handler = Callable[[Case], Arrays]


class Family(Protocol):
    def handler(self, stage: str) -> Handler | str | None:
        """How a stage is replayed; a reason where this runtime leaves it out; None where nobody
        knows it."""
        ...


@dataclass(frozen=True)
class Result:
    """
    Attributes:
        verdict: "pass", "FAIL", "NO HANDLER" or "left out".
        compared: whether there are errors to tell.
        worst_rel: largest error over the expected value's size.
    """

    case: Case
    verdict: str
    why: str = ""
    compared: bool = False
    worst_abs: float = 0.0
    worst_rel: float = 0.0


def read_cases(folder: Path, stage: str | None = None) -> list[Case]:
    """
    Raises:
        BadCheckpoint: `cases.json` or a file that it names is missing or damaged.
    """
    source = folder / "cases.json"
    try:
        entries = json.loads(source.read_text("utf-8"))
        return [_case(folder, each) for each in entries if stage in (None, each["stage"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadCheckpoint(
            f"The cases of {source} cannot be read: {error!r}.",
            "A folder of cases holds cases.json and the .npz files that it names.",
        ) from error


def replay(case: Case, family: Family) -> Result:
    handler = family.handler(case.stage)
    if handler is None:
        return Result(case, "NO HANDLER", f"for stage {case.stage}")
    if isinstance(handler, str):
        return Result(case, "left out", handler)
    try:
        found = handler(case)
    except (VivavoceError, RuntimeError, ValueError, KeyError, IndexError, AssertionError) as error:
        return Result(case, "FAIL", f"{type(error).__name__}: {error}")
    return compared(case, found)


def compared(case: Case, found: Arrays) -> Result:
    """A case passes where each expected array came out in its shape, whole numbers exactly and
    each other value within `atol + rtol * |expected|`."""
    worst_abs = worst_rel = 0.0
    wrong = []
    for name, expected in case.expected.items():
        value = found.get(name)
        if value is None or value.shape != expected.shape:
            shape = "nothing" if value is None else value.shape
            wrong.append(f"{name} is {shape}, not {expected.shape}")
            continue
        if not expected.size:
            continue
        if expected.dtype.kind in "iub":
            error = np.abs(value.astype(np.float64) - expected)
            fits = value.dtype.kind in "iub" and not error.any()
        else:
            error = np.abs(value.astype(np.float64) - expected)
            fits = bool((error <= case.atol + case.rtol * np.abs(expected)).all())
        if not fits:
            wrong.append(f"{name} ({value.dtype}) is off by {error.max():.2e}")
        # NaN is the worst of all errors
        worst_abs = max(worst_abs, float(np.nan_to_num(error, nan=np.inf).max()))
        size = float(np.abs(expected).max())
        worst_rel = max(worst_rel, worst_abs if size == 0 else float(error.max()) / size)
    if not case.expected:
        wrong.append("the case expects nothing")
    verdict = "FAIL" if wrong else "pass"
    return Result(case, verdict, "; ".join(wrong), True, worst_abs, worst_rel)


def converted(folder: Path, scratch: Path) -> Path:
    """The folder itself, or where torch is too old to open its files safely a copy of it with
    safetensors in their place. Reference checkpoints are known files, so they are trusted."""
    if opens_pth():
        return folder
    print(
        "torch is too old to open torch files safely: these test files are trusted, and converted"
    )
    shutil.copytree(folder, scratch, ignore=shutil.ignore_patterns("cases"))
    for file in sorted(scratch.rglob("*")):
        if file.suffix in TORCH_FILES:
            convert(file, file.with_suffix(SUFFIX), trust=True)
            file.unlink()
    return scratch


def family_named(name: str) -> Callable[[Path, Runtime], Family]:
    return import_module(FAMILIES[name]).Replayer


def manifest_reports(name: str, manifest: Path) -> Iterator[tuple[Report, str]]:
    """For each file of a manifest, how its tensors differ from the family's, and in what size the
    model was built."""
    try:
        files = json.loads(manifest.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadCheckpoint(f"{manifest} cannot be read: {error}.") from error
    for file, shapes in files.items():
        yield import_module(FAMILIES[name]).manifest_report(file, shapes)


def _case(folder: Path, entry: Mapping[str, Any]) -> Case:
    inputs: dict[str, np.ndarray] = {}
    expected: dict[str, np.ndarray] = {}
    with np.load(folder / entry["file"], allow_pickle=False) as arrays:
        for key in arrays.files:
            side, _, name = key.partition(".")
            (inputs if side == "in" else expected)[name] = arrays[key]
    return Case(
        name=Path(entry["file"]).stem,
        stage=entry["stage"],
        checkpoint=entry.get("checkpoint", "checkpoint"),
        rtol=entry.get("rtol", RTOL),
        atol=entry.get("atol", ATOL),
        inputs=inputs,
        expected=expected,
        params=entry.get("params", {}),
    )
