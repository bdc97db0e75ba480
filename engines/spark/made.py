"""Voices that the model makes up from gender, pitch and speed, and the ids that keep one.

What it makes up stands at the beginning of its answer: a pitch, a speed and the global tokens of
somebody who does not exist. The same beginning for every sentence is the same voice.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import numpy as np

from engines.spark import prompts
from engines.spark.controls import LEVELS
from engines.spark.tokens import GENDERS, Tokens

KEPT = "v-"  # leads the part of a voice's id that holds a made voice
VERSION = 1
INTRODUCTION = "Hello, it is good to be here."  # what the voice is made up for
BITS = 16  # of each number


@dataclass(frozen=True, slots=True)
class Style:
    """What somebody asked of a voice; pitch and speed from 0 to 4."""

    gender: str
    pitch: int
    speed: int

    def prompt(self, text: str) -> str:
        return prompts.control(text, self.gender, self.pitch, self.speed)


@dataclass(frozen=True, slots=True)
class MadeVoice:
    """
    Attributes:
        pitch, speed: values that the model chose.
        speaker: numbers of the global tokens.
    """

    style: Style
    pitch: int
    speed: int
    speaker: tuple[int, ...]

    def opening(self, tokens: Tokens) -> list[int]:
        """Ids with which each of its answers begins, up to where speech follows."""
        marks, numbered = tokens.marks, tokens.numbered
        return [
            marks["start_acoustic_token"],
            int(numbered["pitch_value"][self.pitch]),
            int(numbered["speed_value"][self.speed]),
            marks["end_acoustic_token"],
            marks["start_global_token"],
            *(int(tokens.globals[number]) for number in self.speaker),
            marks["end_global_token"],
            marks["start_semantic_token"],
        ]

    def kept(self) -> str:
        """As a part of a voice's id: letters, digits, - and _."""
        style = self.style
        gender = GENDERS.index(style.gender)
        numbers = [VERSION, gender, style.pitch, style.speed, self.pitch, self.speed]
        data = np.array([*numbers, *self.speaker], ">u2").tobytes()
        return KEPT + base64.urlsafe_b64encode(data).decode().rstrip("=")


def read_kept(text: str, speakers: int, tokens: Tokens) -> MadeVoice | None:
    """The voice of such a part; None where it is none of this release.

    Args:
        speakers: global tokens of a voice.
    """
    try:
        data = base64.urlsafe_b64decode(text.removeprefix(KEPT) + "=" * (-len(text) % 4 + 2))
    except (binascii.Error, ValueError):
        return None
    if not text.startswith(KEPT) or len(data) != 2 * (6 + speakers):
        return None
    version, gender, *rest = np.frombuffer(data, ">u2").tolist()
    pitch, speed, pitch_value, speed_value, *speaker = rest
    fits = (
        version == VERSION
        and gender < len(GENDERS)
        and max(pitch, speed) < len(LEVELS)
        and pitch_value < len(tokens.numbered["pitch_value"])
        and speed_value < len(tokens.numbered["speed_value"])
        and max(speaker) < len(tokens.globals)
    )
    if not fits:
        return None
    style = Style(GENDERS[gender], pitch, speed)
    return MadeVoice(style, pitch_value, speed_value, tuple(speaker))


def of_opening(style: Style, ids: list[int], tokens: Tokens) -> MadeVoice | None:
    """What the beginning of an answer says; None where something is missing in it."""
    values = []
    for kind in ("pitch_value", "speed_value"):
        found = np.flatnonzero(np.isin(tokens.numbered[kind], ids))
        if len(found) != 1:
            return None
        values.append(int(found[0]))
    return MadeVoice(style, values[0], values[1], tuple(tokens.globals_of(ids).tolist()))
