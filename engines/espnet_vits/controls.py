"""What can be set when an ESPnet VITS voice speaks."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from engines.api import Controls
from engines.errors import BadControl
from engines.espnet_vits.frontend import Token
from engines.espnet_vits.synthesis import NOISE_SCALE, NOISE_SCALE_DUR

MOST_FRAMES = 20_000  # of one sentence: nearly four minutes
SHOWN = 60  # tokens that an error names

_STEP: dict[str, Any] = {"step": 0.01}


class EspnetVitsControls(Controls):
    speed: float = Field(
        1.0,
        ge=0.25,
        le=4,
        description="Pace of speech: 2 is twice as fast.",
        json_schema_extra={"step": 0.05},
    )
    noise_scale: float = Field(
        NOISE_SCALE,
        ge=0,
        le=2,
        description="How much the sound varies from seed to seed; 0 is always the same and flat.",
        json_schema_extra=_STEP,
    )
    noise_scale_dur: float = Field(
        NOISE_SCALE_DUR,
        ge=0,
        le=2,
        title="Rhythm noise",
        description="How much the rhythm varies from seed to seed; 0 is always the same.",
        json_schema_extra=_STEP,
    )
    speaker: str = Field(
        "",
        max_length=200,
        description="Another speaker of the same release, by name or number. Empty: the voice's.",
    )
    language_id: str = Field(
        "",
        max_length=200,
        title="Language of the model",
        description="For releases with several languages: name or number. Empty: the text's.",
    )
    release: str = Field(
        "",
        max_length=200,
        description="For a voice made from a clip: whose speakers it is put together from. Empty: "
        "the release that has the most.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="What the sound is computed in. bfloat16 takes about half the time where the "
        "processor has instructions for it, and changes the sound by a few parts in a hundred; "
        "how long each phoneme lasts stays the same.",
    )
    durations: str = Field(
        "",
        max_length=100_000,
        description="Frames of each phoneme instead of the model's own, as in `3 7 5`; a | stands "
        "between sentences.",
    )


def given_durations(text: str, sentence: int, tokens: tuple[Token, ...]) -> np.ndarray | None:
    """The frames of each token that somebody gave, int64 [T_text]; None where nobody did.

    Args:
        text: the control.
        sentence: number of the sentence, from 0.

    Raises:
        BadControl: they are no whole numbers, or not one for each token.
    """
    if not text.strip():
        return None
    sentences = text.split("|")
    if sentence >= len(sentences):
        raise _bad_durations(
            f"durations has {len(sentences)} sentences, and the text has more.",
            "Each sentence of the text needs its own, with | between them.",
        )
    words = sentences[sentence].replace(",", " ").split()
    if not all(word.isdecimal() and len(word) < 6 for word in words):
        wrong = next(word for word in words if not (word.isdecimal() and len(word) < 6))
        raise _bad_durations(f"durations has {wrong!r:.40}.", "It takes whole numbers of frames.")
    if len(words) != len(tokens):
        named = " ".join(token.text for token in tokens[:SHOWN])
        more = " …" if len(tokens) > SHOWN else ""
        raise _bad_durations(
            f"durations has {len(words)} numbers for sentence {sentence + 1}.",
            f"It has {len(tokens)} phonemes: {named}{more}.",
        )
    return np.array(words, np.int64)


def _bad_durations(given: str, allowed: str) -> BadControl:
    return BadControl(given, allowed, "Correct it, or leave it out.", param="durations")
