"""Controls of Spark-TTS: which voice has which, and speeds that other programs send as numbers."""

from __future__ import annotations

import math

import pytest

from engines.controls import validate
from engines.errors import BadControl
from engines.spark.controls import LEVELS, SparkControls
from engines.spark.manner import CLONED, STYLE, controls_of


@pytest.mark.parametrize(
    ("sent", "level"),
    [(0.25, "very_low"), (0.75, "low"), (1, "moderate"), (1.0, "moderate"), (1.25, "high")],
)
def test_a_factor_becomes_a_level(sent: float, level: str) -> None:
    assert validate(SparkControls, {"speed": sent}).speed == level
    assert validate(SparkControls, {"speed": 4.0}).speed == "very_high"


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_stays(level: str) -> None:
    assert validate(SparkControls, {"speed": level}).speed == level


@pytest.mark.parametrize("sent", [0, -1.0, math.nan, math.inf, True, "fast", None])
def test_what_is_neither_is_told(sent: object) -> None:
    with pytest.raises(BadControl, match="very_low, low, moderate, high, very_high"):
        validate(SparkControls, {"speed": sent})


@pytest.mark.parametrize(
    ("voice", "idle"),
    [
        ("Spark.female", CLONED),
        ("Spark.v-AAEA", CLONED | {*STYLE}),
        ("0123456789abcdef", {*STYLE}),
    ],
)
def test_a_voice_has_the_controls_that_change_it(voice: str, idle: set[str]) -> None:
    fields = set(SparkControls.model_fields)
    assert controls_of(voice) == fields - idle and idle < fields
