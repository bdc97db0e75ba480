"""The family's reference cases, on torch as it is and on padded inputs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.parity.family_cases import folder_of, names, replayers
from tests.parity.replay import Case, Family, manifest_reports, read_cases, replay

# What padding could change: whole paths through the stages that take true lengths.
PADDED = (
    "wav2vec2.features",
    "audio_tokenizer.tokenize",
    "audio_tokenizer.detokenize",
    "bicodec.detokenize",
    "bicodec.postnet",
    "llm.forward",
    "llm.decode_step",
    "e2e",
)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Family]:
    return replayers("spark", tmp_path_factory)


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {case.name: case for case in read_cases(folder_of("spark"))}


@pytest.mark.parametrize("name", names("spark"))
def test_a_case_comes_out_as_in_the_original(family, cases, name):
    result = replay(cases[name], family("eager"))
    assert result.verdict == "pass", result.why


@pytest.mark.parametrize("name", names("spark", PADDED.__contains__))
def test_padding_changes_nothing(family, cases, name):
    result = replay(cases[name], family("padded"))
    assert result.verdict == "pass", result.why


def test_every_tensor_of_the_published_models_has_its_place():
    manifest = folder_of("spark") / "manifest.json"
    reports = [report for report, _ in manifest_reports("spark", manifest)]
    assert len(reports) == 3
    assert [str(report) for report in reports if not report.ok] == []
