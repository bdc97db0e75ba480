"""A stage's declaration: what contradicts itself is refused; JSON carries it whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.errors import BadCheckpoint
from engines.runtime.stage import Length, MapStage, Port, declaration, read_declaration

STAGE = MapStage(
    "render",
    None,
    inputs=(
        Port("m", "float32", (1, 4, "T_mel")),
        Port("mel_lengths", "int64", (1,)),
        Port("speaker", "int64", (1,)),
        Port("scale", "float32", ()),
    ),
    outputs=(Port("z", "float32", (1, 4, "T_mel")), Port("wav", "float32", (1, "T_wav"))),
    out_len={"T_wav": Length("T_mel", 256, -16)},
    lengths={"mel_lengths": "T_mel"},
)


def test_sizes_of_outputs_follow_from_those_of_inputs() -> None:
    assert STAGE.axes() == ("T_mel",)
    sizes = STAGE.out_sizes({"T_mel": 10})
    assert [port.size(sizes) for port in STAGE.outputs] == [(1, 4, 10), (1, 2544)]


def test_json_carries_it_whole() -> None:
    file = Path("render.onnx")
    assert read_declaration(declaration(STAGE), file) == replace(STAGE, source=file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ()}, "needs inputs"),
        ({"outputs": ()}, "needs inputs and outputs"),
        ({"inputs": (*STAGE.inputs, STAGE.inputs[0])}, "two ports are named m"),
        ({"outputs": (Port("a b", "float32", ()),)}, "'a b' is no name"),
        ({"outputs": (Port("wav", "float32", (0,)),)}, r"wav has the shape \(0,\)"),
        ({"outputs": (Port("wav", "float16", ()),)}, "wav is float16, not one of float32"),
        ({"out_len": {}}, "size of wav's axis T_wav is unknown"),
        ({"out_len": {"T_wav": Length("T_text")}}, "counted from T_text, which no input has"),
        (
            {"out_len": {"T_wav": Length("T_mel"), "T_mel": Length("T_mel")}},
            "T_mel is an input's axis",
        ),
        ({"lengths": {"text_lengths": "T_mel"}}, "text_lengths, which carries .* no int64 input"),
        ({"lengths": {"scale": "T_mel"}}, "scale, .* is no int64 input"),
        ({"lengths": {"mel_lengths": "T_text"}}, "length of T_text, which no input has"),
        (
            {"inputs": (*STAGE.inputs, Port("n", "int64", (1, 2))), "lengths": {"n": "T_mel"}},
            "n, which carries a length, has the shape",
        ),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"stage render: .*{message}"):
        replace(STAGE, **changes)


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(declaration(STAGE)), **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        changed(version=2),
        changed(inputs=None),
        changed(inputs=[["m", "float32"]]),
        changed(outputs=[["wav", "float64", [1]]]),
        changed(out_len={"T_wav": []}),
        changed(out_len={"T_wav": ["T_mel", "x", 0]}),
        changed(inputs=[["m", "float32", [1.5]]]),
        changed(name="../render"),
        changed(lengths=[1]),
    ],
)
def test_a_declaration_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(BadCheckpoint, match=r"render\.onnx cannot be read.*version 1.*again"):
        read_declaration(text, Path("render.onnx"))


def test_an_output_may_be_shorter_by_a_factor() -> None:
    frames = Length("T_wav", 1, -80, 320)
    assert [frames.of({"T_wav": n}) for n in (400, 719, 720)] == [1, 1, 2]
    stage = MapStage(
        "listen",
        None,
        (Port("wav", "float32", (1, "T_wav")),),
        (Port("feats", "float32", (1, "T_feat")),),
        {"T_feat": frames},
    )
    read = read_declaration(declaration(stage), Path("listen.onnx"))
    assert read.out_len == {"T_feat": frames}
