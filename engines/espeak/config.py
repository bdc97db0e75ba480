"""The controls of eSpeak NG, and what they come to in the library's own units."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from engines.api import Controls
from engines.espeak.request import Settings
from engines.espeak.voices import installed

# Words a minute that the library keeps to; the rest is reached by stretching its sound.
SLOWEST, FASTEST = 80, 449
VOICE_DEFAULT = "default"

# What `variation` 1 does at most, up or down.
_PITCH_STEPS, _RANGE_STEPS, _RATE_SHARE = 15, 20, 0.12
_STEADY_NOISE = 1
_GAP_UNIT_MS = 10

if TYPE_CHECKING:
    VariantId = str
else:
    VariantId = Literal[(VOICE_DEFAULT, *(variant.id for variant in installed().variants))]


class EspeakControls(Controls):
    speed: float = Field(
        1.0,
        ge=0.25,
        le=4.0,
        title="Speed",
        description="Multiplies the rate: 0.5 takes twice as long, 2 half as long.",
        json_schema_extra={"step": 0.05},
    )
    rate: int = Field(
        175,
        ge=80,
        le=450,
        title="Rate (words per minute)",
        description="The pace of the voice at speed 1.",
    )
    pitch: int = Field(
        50, ge=0, le=99, title="Pitch", description="How high the voice is; 50 is its own pitch."
    )
    pitch_range: int = Field(
        50,
        ge=0,
        le=99,
        title="Pitch range",
        description="How lively the melody is; 0 speaks on one note.",
    )
    volume: int = Field(
        100,
        ge=0,
        le=200,
        title="Volume",
        description="Amplitude of the voice; above 100 loud sounds are clipped. "
        "Where loudness is levelled afterwards, that decides how loud it ends up.",
    )
    word_gap: int = Field(
        0,
        ge=0,
        le=1000,
        title="Gap between words (ms)",
        description="Silence added between words, at the usual rate; in steps of 10 ms.",
        json_schema_extra={"step": _GAP_UNIT_MS},
    )
    variant: VariantId = Field(
        VOICE_DEFAULT,
        title="Variant",
        description="A timbre for the voice. default keeps that of the voice: its own, or the "
        "one its id names, as en-us+f3 does; another one takes its place.",
    )
    variation: float = Field(
        0.2,
        ge=0.0,
        le=1.0,
        title="Variation",
        description="How much pitch and pace differ from sentence to sentence and from seed to "
        "seed; 0 speaks the same whatever the seed.",
        json_schema_extra={"step": 0.05},
    )


def derive(controls: EspeakControls, seed: int, sentence: int) -> tuple[Settings, float]:
    """The library's settings for one sentence, and the factor by which its sound is then made
    longer. The same seed and sentence number always give the same."""
    drawn = random.Random(f"{seed}/{sentence}")
    extent = controls.variation
    pitch = controls.pitch + round(_PITCH_STEPS * extent * drawn.uniform(-1, 1))
    pitch_range = controls.pitch_range + round(_RANGE_STEPS * extent * drawn.uniform(-1, 1))
    pace = controls.rate * controls.speed * (1 + _RATE_SHARE * extent * drawn.uniform(-1, 1))
    rate = min(max(round(pace), SLOWEST), FASTEST)
    settings = Settings(
        rate=rate,
        volume=controls.volume,
        pitch=min(max(pitch, 0), 99),
        pitch_range=min(max(pitch_range, 0), 99),
        word_gap=round(controls.word_gap / _GAP_UNIT_MS),
        noise=drawn.getrandbits(31) if extent > 0 else _STEADY_NOISE,
    )
    within = SLOWEST <= round(pace) <= FASTEST
    return settings, 1.0 if within else rate / pace
