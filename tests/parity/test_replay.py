"""The replay itself: when a case passes, and what the command says and returns."""

from __future__ import annotations

import json

import numpy as np
import pytest
from torch import Tensor, nn

from tests.espnet_release import write_release
from tests.parity import command
from tests.parity.parts import Part, Parts
from tests.parity.replay import Case, compared
from tests.parity.runtimes import open_runtime

OUT = np.array([1.0, -2.0], np.float32)


def case(expected: dict[str, np.ndarray]) -> Case:
    return Case("a", "flow", "checkpoint", 1e-3, 1e-4, {}, expected)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (OUT, "pass"),
        (OUT + np.float32(0.0009), "pass"),
        (OUT + np.float32(0.002), "FAIL"),
        (OUT * np.float32("nan"), "FAIL"),
        (OUT[:1], "FAIL"),
    ],
)
def test_a_value_may_differ_by_its_tolerance(found, verdict):
    assert compared(case({"z": OUT}), {"z": found}).verdict == verdict


def test_whole_numbers_are_exact():
    ones = np.array([100_000])
    assert compared(case({"n": ones}), {"n": ones + 1}).verdict == "FAIL"
    assert compared(case({"n": ones}), {"n": ones.astype(np.float32)}).verdict == "FAIL"
    assert compared(case({"n": ones}), {"n": ones}).verdict == "pass"


def test_what_is_expected_has_to_come_out():
    result = compared(case({"z": OUT, "g": OUT}), {"z": OUT})
    assert result.verdict == "FAIL" and "g is nothing" in result.why
    assert compared(case({}), {"z": OUT}).verdict == "FAIL"


@pytest.mark.parametrize("asked", [("a", "b"), ("b",)])
def test_a_case_may_expect_some_of_what_a_module_returns(tmp_path, asked):
    def both(_: object, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, x * 2

    wanted = {"a": OUT + 1, "b": OUT * 2}
    given = case({name: wanted[name] for name in asked})
    parts = Parts(open_runtime("eager", tmp_path))
    found = parts.run(given, Part(nn.Identity(), both), {"x": OUT}, "a", "b")
    assert set(found) == set(asked)
    assert compared(given, found).verdict == "pass"


@pytest.fixture
def folder(tmp_path):
    write_release(tmp_path / "checkpoint")
    (tmp_path / "cases").mkdir()
    return tmp_path


def write_cases(folder, **stages: dict[str, np.ndarray]) -> None:
    entries = []
    for stage, arrays in stages.items():
        np.savez(folder / "cases" / f"{stage}.npz", **arrays)
        entries.append({"file": f"cases/{stage}.npz", "stage": stage})
    (folder / "cases.json").write_text(json.dumps(entries))


PATH = {
    "in.dur": np.array([[[1.0, 0.0, 2.0]]], np.float32),
    "in.attn_mask": np.ones((1, 1, 3, 3), np.float32),
    "out.path": np.array([[[[1, 0, 0], [0, 0, 1], [0, 0, 1]]]], np.float32),
}


def test_command_passes(folder, capsys):
    write_cases(folder, generate_path=PATH)
    assert command.main(["espnet_vits", str(folder)]) == 0
    assert "1 pass" in capsys.readouterr().out


def test_command_fails_on_a_wrong_case(folder, capsys):
    write_cases(folder, generate_path={**PATH, "out.path": 1 - PATH["out.path"]})
    assert command.main(["espnet_vits", str(folder)]) == 1
    assert "abs  1.00e+00" in capsys.readouterr().out


def test_command_fails_without_a_handler(folder, capsys):
    write_cases(folder, generate_path=PATH, telepathy=PATH)
    assert command.main(["espnet_vits", str(folder)]) == 1
    assert "NO HANDLER" in capsys.readouterr().out
    assert command.main(["espnet_vits", str(folder), "--stage", "generate_path"]) == 0


def test_command_fails_where_a_release_cannot_be_loaded(folder, capsys):
    write_cases(folder, text_encoder={"in.text": np.ones((1, 3), np.int64), "out.x": OUT})
    (folder / "checkpoint" / "meta.yaml").unlink()
    assert command.main(["espnet_vits", str(folder)]) == 1
    assert "meta.yaml is missing" in capsys.readouterr().out


def test_command_fails_without_cases(folder, capsys):
    assert command.main(["espnet_vits", str(folder)]) == 1
    assert "cases.json" in capsys.readouterr().err


def test_manifest_names_every_difference(tmp_path, capsys):
    file = tmp_path / "manifest.json"
    keys = {
        "tts.generator.text_encoder.emb.weight": [None, 192],
        "tts.generator.text_encoder.proj.bias": [7],
        "tts.generator.text_encoder.surprise": [1],
    }
    shapes = {key: {"shape": shape, "dtype": "float32"} for key, shape in keys.items()}
    file.write_text(json.dumps({"exp/a.pth": shapes}))
    assert command.main(["espnet_vits", "--manifest", str(file)]) == 1
    told = capsys.readouterr().out
    assert "wrong: tts.generator.text_encoder.proj.bias (expected [384], found [7])" in told
    assert "unexpected: tts.generator.text_encoder.surprise" in told
    assert "missing: tts.generator.decoder.upsamples.0.1.weight" in told
    assert "missing: tts.discriminator.msd.discriminators.0.layers.7.weight" in told
    assert "emb.weight" not in told
