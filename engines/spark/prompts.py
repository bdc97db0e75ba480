"""What the language model is asked, as text in the release's own notation."""

from __future__ import annotations

from collections.abc import Iterable

from engines.spark.tokens import GENDERS, LEVELS

_OPENING, _PARTED = "<|", "< |"


def clone(
    text: str,
    speaker: Iterable[int],
    prompt_text: str = "",
    semantic: Iterable[int] = (),
) -> str:
    """To speak a text as somebody else.

    Args:
        speaker: global tokens of the reference.
        prompt_text: what is said in the reference; with it goes `semantic`.
        semantic: semantic tokens of the reference, which the answer goes on from.
    """
    asked = (
        f"<|task_tts|><|start_content|>{plain(prompt_text)}{plain(text)}<|end_content|>"
        f"<|start_global_token|>{_named('bicodec_global', speaker)}<|end_global_token|>"
    )
    spoken = _named("bicodec_semantic", semantic) if prompt_text else ""
    return f"{asked}<|start_semantic_token|>{spoken}" if spoken else asked


def control(text: str, gender: str, pitch: int, speed: int) -> str:
    """To speak a text in a voice that is made for it.

    Args:
        gender: "female" or "male".
        pitch, speed: 0 for very low to 4 for very high.

    Raises:
        ValueError: a value is none of these.
    """
    if gender not in GENDERS or not 0 <= pitch < LEVELS or not 0 <= speed < LEVELS:
        raise ValueError(f"no voice is {gender!r} with pitch {pitch} and speed {speed}")
    return (
        f"<|task_controllable_tts|><|start_content|>{plain(text)}<|end_content|>"
        f"<|start_style_label|><|gender_{GENDERS.index(gender)}|><|pitch_label_{pitch}|>"
        f"<|speed_label_{speed}|><|end_style_label|>"
    )


def plain(text: str) -> str:
    """A text to be spoken, in which nothing is a token: names of tokens in it would end the text
    and give orders."""
    return text.replace(_OPENING, _PARTED)


def _named(kind: str, numbers: Iterable[int]) -> str:
    return "".join(f"<|{kind}_{int(number)}|>" for number in numbers)
