"""What can be set when a model of the library speaks; each model has some of these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from engines.api import Controls
from engines.errors import BadControl

_OWN = " 0: the model's own."
_STEP: dict[str, Any] = {"step": 0.05}


class CoquiControls(Controls):
    speed: float = Field(
        1.0,
        ge=0.25,
        le=4,
        description="Pace of speech: 2 is twice as fast. XTTS, VITS, Glow-TTS, FastPitch.",
        json_schema_extra=_STEP,
    )
    temperature: float = Field(
        0,
        ge=0,
        le=2,
        description="How freely the speech varies. XTTS, Bark, Tortoise." + _OWN,
        json_schema_extra=_STEP,
    )
    top_k: int = Field(
        0,
        ge=0,
        le=1000,
        title="Top-k",
        description="Only the likeliest so many sounds come next. XTTS, Bark, Tortoise." + _OWN,
    )
    top_p: float = Field(
        0,
        ge=0,
        le=1,
        title="Top-p",
        description="Only the likeliest sounds, up to this share. XTTS, Bark, Tortoise." + _OWN,
        json_schema_extra=_STEP,
    )
    repetition_penalty: float = Field(
        0,
        ge=0,
        le=20,
        description="Keeps the speech from repeating itself. XTTS, Tortoise." + _OWN,
        json_schema_extra={"step": 0.5},
    )
    split_sentences: bool = Field(
        False,
        description="Cut each piece of text once more, by the library's own rules.",
    )
    quality: Literal["own", "ultra_fast", "very_fast", "fast", "standard", "high_quality"] = Field(
        "own", description="How long Tortoise tries; high quality takes many minutes a sentence."
    )
    speaker: str = Field(
        "",
        max_length=200,
        description="Another speaker of the same model, by name. Empty: the voice's.",
    )
    model: str = Field(
        "",
        max_length=200,
        description="For a voice made from a clip: the model that speaks like it. Empty: the best "
        "that is here.",
    )


def check(controls: CoquiControls, has: tuple[str, ...], model: str) -> None:
    """That nothing is set which a model does not have.

    Args:
        has: names of the controls that it has.

    Raises:
        BadControl: something is.
    """
    for name, info in CoquiControls.model_fields.items():
        if name == "model" or name in has or getattr(controls, name) == info.default:
            continue
        raise BadControl(
            f"{name} was {getattr(controls, name)!r:.80}, and {model} has no such control.",
            f"It has {', '.join(has) or 'none'}.",
            "Leave it out, or choose a voice of another model.",
            param=name,
        )


def given(controls: CoquiControls, names: tuple[str, ...]) -> dict[str, Any]:
    """The values of these controls that were set, by name."""
    return {name: value for name in names if (value := getattr(controls, name))}
