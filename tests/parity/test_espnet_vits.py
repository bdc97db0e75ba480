"""The family's reference cases, on torch as it is and on padded inputs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.parity.family_cases import folder_of, names, replayers
from tests.parity.replay import Case, Family, manifest_reports, read_cases, replay

# What padding could change: stages that take true lengths.
PADDED = ("infer_noise0", "infer_noise", "infer_durations", "infer_teacher_forcing")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Family]:
    return replayers("espnet_vits", tmp_path_factory)


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {case.name: case for case in read_cases(folder_of("espnet_vits"))}


@pytest.mark.parametrize("name", names("espnet_vits"))
def test_a_case_comes_out_as_in_the_original(family, cases, name):
    result = replay(cases[name], family("eager"))
    assert result.verdict == "pass", result.why


@pytest.mark.parametrize("name", names("espnet_vits", PADDED.__contains__))
def test_padding_changes_nothing(family, cases, name):
    result = replay(cases[name], family("padded"))
    assert result.verdict == "pass", result.why


def test_every_tensor_of_the_published_models_has_its_place():
    manifest = folder_of("espnet_vits") / "manifest.json"
    reports = [report for report, _ in manifest_reports("espnet_vits", manifest)]
    assert len(reports) == 4
    assert [str(report) for report in reports if not report.ok] == []
