"""Controls are described and checked from the pydantic model alone."""

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from engines.api import Controls
from engines.controls import describe, validate
from engines.errors import BadControl


class Sample(Controls):
    speed: float = Field(1.0, ge=0.25, le=4, description="How fast.", title="Tempo")
    steps: int = Field(10, ge=1, le=50)
    loud: bool = Field(False)
    mood: Literal["calm", "glad"] = Field("calm")
    word_gap: str = Field("", json_schema_extra={"step": 2})


def test_describe_gives_every_field_in_order() -> None:
    specs = describe(Sample)
    assert [(s.name, s.kind, s.default) for s in specs] == [
        ("speed", "float", 1.0),
        ("steps", "int", 10),
        ("loud", "bool", False),
        ("mood", "choice", "calm"),
        ("word_gap", "text", ""),
    ]
    assert (specs[0].label, specs[0].help, specs[0].minimum, specs[0].maximum) == (
        "Tempo",
        "How fast.",
        0.25,
        4,
    )
    assert specs[3].choices == ("calm", "glad")
    assert specs[4].label == "Word gap"
    assert specs[4].step == 2


def test_a_type_without_widget_is_refused() -> None:
    class Odd(Controls):
        values: list[int] = Field([])

    with pytest.raises(TypeError, match="widget"):
        describe(Odd)


def test_absent_controls_take_their_defaults() -> None:
    assert validate(Sample, {}) == Sample()
    assert validate(Sample, {"speed": "1.5"}).speed == 1.5  # the command line sends strings


@pytest.mark.parametrize(
    ("values", "param", "words"),
    [
        ({"speed": 0}, "speed", "from 0.25 to 4"),
        ({"speed": math.nan}, "speed", "from 0.25 to 4"),
        ({"speed": 1e9}, "speed", "1000000000.0"),
        ({"steps": 2.5}, "steps", "whole number"),
        ({"mood": "angry"}, "mood", "one of calm, glad"),
        ({"loud": "perhaps"}, "loud", "true or false"),
        ({"volume": 3}, "volume", "This engine has: speed, steps, loud, mood, word_gap"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(values, param, words) -> None:
    with pytest.raises(BadControl) as caught:
        validate(Sample, values)
    assert caught.value.param == param
    assert words in str(caught.value)


@given(st.dictionaries(st.text(max_size=20), st.none() | st.text() | st.floats() | st.integers()))
def test_any_values_give_controls_or_a_clear_error(values) -> None:
    try:
        controls = validate(Sample, values)
    except BadControl as error:
        assert error.param in values
        assert len(str(error)) < 600
    else:
        assert 0.25 <= controls.speed <= 4
