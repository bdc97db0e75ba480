"""How a sentence is asked of the model: as a cloned voice, with or without the clip's words, or as
one that was made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engines.api import Voice
from engines.spark import guards, prompts
from engines.spark.controls import SparkControls
from engines.spark.frontend import transcript_of
from engines.spark.listening import SPEAKER, SPEECH, TRANSCRIPT
from engines.spark.llm_stages import LLM
from engines.spark.made import KEPT, MadeVoice
from engines.spark.saying import Desk, Sentence

STYLE: tuple[str, ...] = ("gender", "pitch", "speed")
CLIP: tuple[str, ...] = ("transcript",)  # controls of one kind of voice
CLONED = frozenset({*CLIP, "follow_clip", "release"})


@dataclass(frozen=True)
class Manner:
    """
    Attributes:
        notes: what a user should know about it.
    """

    sentence: Sentence
    notes: tuple[str, ...] = ()


def cloned(
    desk: Desk,
    text: str,
    conditioning: Mapping[str, np.ndarray],
    controls: SparkControls,
    seed: str,
    number: int,
) -> Manner:
    """
    Args:
        conditioning: as `listening.listen` gives it.
    """
    speaker, semantic = conditioning[SPEAKER], conditioning[SPEECH]
    encode = desk.grammar.tokens.encode
    given = controls.transcript or conditioning[TRANSCRIPT].tobytes().decode()
    said = transcript_of(given) if controls.follow_clip else ""
    notes: tuple[str, ...] = ()
    if said:
        prompt = encode(prompts.clone(text, speaker, said, semantic))
        bound = desk.bound[LLM]
        most = min(bound.longest_prompt(), bound.longest - guards.bounds(text, bound.longest).most)
        if len(prompt) <= most:
            return Manner(Sentence(prompt, "continue", speaker, text, seed, number))
        notes = (
            "The clip is too long to go on where it ends, so only who speaks is taken from it.",
        )
    prompt = encode(prompts.clone(text, speaker))
    return Manner(Sentence(prompt, "clone", speaker, text, seed, number), notes)


def made_up(desk: Desk, text: str, who: MadeVoice, seed: str, number: int) -> Manner:
    tokens = desk.grammar.tokens
    prompt = tokens.encode(who.style.prompt(text)) + who.opening(tokens)
    speaker = np.array(who.speaker, np.int64)
    return Manner(Sentence(prompt, "continue", speaker, text, seed, number))


def notes(voice: Voice, controls: SparkControls) -> tuple[str, ...]:
    """Controls that were set and change nothing."""
    kind, names = "made", CLIP
    if voice.conditioning is not None:
        kind, names = "cloned", STYLE
    elif f".{KEPT}" in voice.id:
        kind, names = "kept", (*STYLE, *CLIP)
    fields = type(controls).model_fields
    idle = [name for name in names if getattr(controls, name) != fields[name].default]
    verb = "changes" if len(idle) == 1 else "change"
    return (f"{', '.join(idle)} {verb} nothing about a voice that is {kind}.",) if idle else ()


def controls_of(voice_id: str) -> frozenset[str]:
    """Names of the controls that change something about a voice."""
    _, dot, part = voice_id.partition(".")
    if not dot:
        return frozenset(SparkControls.model_fields) - {*STYLE}
    idle = CLONED | {*STYLE} if part.startswith(KEPT) else CLONED
    return frozenset(SparkControls.model_fields) - idle
