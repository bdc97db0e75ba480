"""What can be set when Spark-TTS speaks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from engines.api import Controls

LEVELS = ("very_low", "low", "moderate", "high", "very_high")
Level = Literal["very_low", "low", "moderate", "high", "very_high"]

# Where one level ends and the next begins, for clients that send speed as a number: 1 is moderate.
PACES = (0.65, 0.85, 1.2, 1.6)

TEMPERATURE, TOP_K, TOP_P = 0.8, 50, 0.95  # the original's

_FINE: dict[str, Any] = {"step": 0.05}


class SparkControls(Controls):
    gender: Literal["voice", "female", "male"] = Field(
        "voice",
        description="Of a voice that is made, not cloned. voice: as the chosen voice is.",
    )
    pitch: Level = Field("moderate", description="Of a voice that is made, not cloned.")
    speed: Level = Field("moderate", description="Pace of a voice that is made, not cloned.")
    temperature: float = Field(
        TEMPERATURE,
        ge=0,
        le=2,
        description="How freely the next token is drawn; 0 always takes the likeliest.",
        json_schema_extra=_FINE,
    )
    top_k: int = Field(
        TOP_K, ge=0, le=8192, description="Only so many of the likeliest tokens; 0 for all."
    )
    top_p: float = Field(
        TOP_P,
        gt=0,
        le=1,
        description="The fewest likeliest tokens that reach this share together; 1 for all.",
        json_schema_extra=_FINE,
    )
    follow_clip: bool = Field(
        True,
        description="For a cloned voice whose transcript is known: go on where the clip ends, "
        "which keeps its tone. Off: only who speaks is taken from the clip.",
    )
    transcript: str = Field(
        "",
        max_length=2000,
        title="Reference transcript",
        description="What is said in the clip of a cloned voice, word for word. Empty: the "
        "transcript that was kept with the clip.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="What the language model and the sound are computed in. bfloat16 takes about "
        "half the time where the processor has instructions for it, says the text another way, as "
        "another seed would, and changes the sound by a few parts in a hundred.",
    )
    release: str = Field(
        "",
        max_length=200,
        description="Which installed release speaks for a cloned voice. Empty: the first.",
    )

    @field_validator("speed", mode="before")
    @classmethod
    def _level(cls, value: object) -> object:
        """OpenAI's clients, and those of the XTTS dialect, send a factor instead of a level."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            return value
        return LEVELS[sum(value >= pace for pace in PACES)] if value < float("inf") else value
