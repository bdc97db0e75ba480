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
)


def _of_the_codec(stage: str) -> bool:
    return not stage.startswith("llm.") and stage != "e2e"


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Family]:
    return replayers("spark", tmp_path_factory)


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {case.name: case for case in read_cases(folder_of("spark"))}


@pytest.mark.parametrize("name", names("spark", _of_the_codec))
def test_a_case_comes_out_as_in_the_original(family, cases, name):
    result = replay(cases[name], family("eager"))
    assert result.verdict == "pass", result.why


@pytest.mark.parametrize("name", names("spark", PADDED.__contains__))
def test_padding_changes_nothing(family, cases, name):
    result = replay(cases[name], family("padded"))
    assert result.verdict == "pass", result.why


def test_every_tensor_of_the_published_codec_has_its_place():
    reports = [
        report for report, _ in manifest_reports("spark", folder_of("spark") / "manifest.json")
    ]
    codec = [report for report in reports if not report.file.startswith("LLM")]
    assert len(codec) == 2
    assert [str(report) for report in codec if not report.ok] == []
