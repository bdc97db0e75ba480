"""The family's reference cases, on torch as it is and on padded inputs."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import pytest

from tests.parity.replay import (
    Family,
    converted,
    family_named,
    manifest_reports,
    read_cases,
    replay,
)
from tests.parity.runtimes import open_runtime

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "parity" / "espnet_vits"
# What padding could change: stages that take true lengths.
PADDED = ("infer_noise0", "infer_noise", "infer_durations", "infer_teacher_forcing")


def _entries(*stages: str) -> list[str]:
    if not FOLDER.is_dir():
        return ["none"]
    entries = json.loads((FOLDER / "cases.json").read_text("utf-8"))
    return [Path(e["file"]).stem for e in entries if not stages or e["stage"] in stages]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> object:
    if not FOLDER.is_dir():
        reason = f"the reference cases are not here: {FOLDER.parent.name}/{FOLDER.name}"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI leaves no test out.", pytrace=False)
        pytest.skip(reason)
    folder = converted(FOLDER, tmp_path_factory.mktemp("parity") / "checkpoints")

    @cache
    def opened(runtime: str) -> Family:
        made = open_runtime(runtime, tmp_path_factory.mktemp(runtime))
        return family_named("espnet_vits")(folder, made)

    return opened


@pytest.fixture(scope="module")
def cases() -> dict[str, object]:
    return {case.name: case for case in read_cases(FOLDER)}


@pytest.mark.parametrize("name", _entries())
def test_a_case_comes_out_as_in_the_original(family, cases, name):
    result = replay(cases[name], family("eager"))
    assert result.verdict == "pass", result.why


@pytest.mark.parametrize("name", _entries(*PADDED))
def test_padding_changes_nothing(family, cases, name):
    result = replay(cases[name], family("padded"))
    assert result.verdict == "pass", result.why


def test_every_tensor_of_the_published_models_has_its_place(family):
    reports = [report for report, _ in manifest_reports("espnet_vits", FOLDER / "manifest.json")]
    assert len(reports) == 4
    assert [str(report) for report in reports if not report.ok] == []
