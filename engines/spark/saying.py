"""One sentence: tokens written, watched and made into sound while they come; again where it fails.

T samples.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engines.api import AudioChunk, CancelToken
from engines.decode import Sampling, Spoken
from engines.errors import EngineFailure
from engines.memory import MemoryManager
from engines.runtime.residents import BoundStages
from engines.spark import codec, guards
from engines.spark.answers import Grammar, Kind
from engines.spark.config import SparkConfig
from engines.spark.guards import Bounds
from engines.spark.llm_stages import LLM, MOST_TOKENS
from engines.spark.made import INTRODUCTION, MadeVoice, Style, of_opening
from engines.spark.streaming import Stream
from engines.spark.writing import Asked, write

MOST_ATTEMPTS = 3
# What may be the beginning of a loop is not spoken before it is known whether it is one.
SUSPECT, SUSPECT_CYCLE = 20, 80

Fault = Literal["", "empty", "short", "endless", "looping", "silent"]
_NOTHING = np.zeros(0, np.float32)
FAULTS = {
    "empty": "no speech came out",
    "short": "it ended too early for its text",
    "endless": "it did not end",
    "looping": "it went round in circles",
    "silent": "it was silent",
}


@dataclass(frozen=True)
class Desk:
    """What every sentence of a text is spoken with.

    Attributes:
        bound: the codec's `SPEAKING` stages and those of the language model.
        owner: names the model, as the key of its weights does.
    """

    bound: BoundStages
    memory: MemoryManager
    owner: str
    config: SparkConfig
    grammar: Grammar
    sampling: Sampling
    cancel: CancelToken


@dataclass(frozen=True)
class Sentence:
    """
    Attributes:
        prompt: ids, of which a continued answer's last are its own.
        kind: of the answer to them.
        speaker: numbers of the global tokens, int64 [N].
        text: that is spoken.
        seed: of its draws; another attempt takes another.
        number: of the sentence, from 1, for notes.
    """

    prompt: Sequence[int]
    kind: Kind
    speaker: np.ndarray
    text: str
    seed: str
    number: int


def say(desk: Desk, sentence: Sentence) -> Iterator[AudioChunk]:
    """
    Raises:
        EngineFailure: no speech came out, however often it was tried.
        Cancelled: the request was cancelled.
    """
    rate = desk.config.top.sample_rate
    d_vector = codec.speaker_vector(desk.bound, sentence.speaker)
    stream = Stream(desk.bound, desk.config.codec, d_vector)
    for attempt in range(MOST_ATTEMPTS):
        fault = yield from _attempt(desk, sentence, stream, attempt)
        # sound that somebody has heard stays; after a loop it can go on where the loop began
        heard = stream.spoken > 0
        final = attempt + 1 == MOST_ATTEMPTS or (heard and fault != "looping")
        rest: list[np.ndarray] = []
        if stream.tokens and (not fault or final):
            rest = list(stream.end())
            if not fault and not heard and guards.silent(np.concatenate(rest)):
                fault = "silent"
        if not fault or final:
            yield from (AudioChunk(samples, rate) for samples in rest)
        if not fault:
            return
        if final:
            break
        if not heard:
            stream = Stream(desk.bound, desk.config.codec, d_vector)
        note = f"Sentence {sentence.number} was spoken again with another seed: {FAULTS[fault]}."
        yield AudioChunk(_NOTHING, rate, notes=(note,))
    if not stream.tokens:
        raise EngineFailure(
            f"Sentence {sentence.number} failed {MOST_ATTEMPTS} times: {FAULTS[fault]}.",
            "A language model may fail on unusual text.",
            "Try another seed, a lower temperature, or other words.",
        )
    note = f"Sentence {sentence.number} may be incomplete: {FAULTS[fault]}."
    yield AudioChunk(_NOTHING, rate, notes=(note,))


def make_voice(desk: Desk, style: Style, seed: str) -> MadeVoice:
    """A voice that nobody has, from one seed always the same.

    Raises:
        EngineFailure: the model gave no whole voice.
    """
    tokens = desk.grammar.tokens
    prompt = tokens.encode(style.prompt(INTRODUCTION))
    opening = len(desk.grammar.openings["control"])
    for attempt in range(MOST_ATTEMPTS):
        asked = Asked(prompt, "control", f"{seed} voice {attempt}", opening)
        ids = [spoken.token for spoken in _written(desk, asked)]
        made = of_opening(style, ids, tokens)
        if made is not None and len(made.speaker) == desk.grammar.speakers:
            return made
    raise EngineFailure(
        f"The model made up no whole voice in {MOST_ATTEMPTS} attempts.",
        f"A voice has {desk.grammar.speakers} global tokens, a pitch and a speed.",
        "Try another seed.",
    )


def _attempt(
    desk: Desk, sentence: Sentence, stream: Stream, attempt: int
) -> Generator[AudioChunk, None, Fault]:
    """One attempt, which goes on after the tokens that the stream has; at its end the stream has
    all that may be kept.

    Returns:
        What was wrong.
    """
    rate = desk.config.top.sample_rate
    asked, bounds = _asked(desk, sentence, stream.tokens, attempt)
    written, ended = list(stream.tokens), ""
    for spoken in _written(desk, asked):
        written += desk.grammar.tokens.semantic_of([spoken.token]).tolist()
        ended = spoken.ended
        start = guards.loop_start(written)
        if start is not None:
            stream.take(written[:start])
            return "looping"
        if guards.loop_start(written, SUSPECT, SUSPECT_CYCLE) is None:
            for samples in stream.push(written):
                yield AudioChunk(samples, rate)
    stream.take(written)
    if not written:
        return "empty"
    if ended == "limit":
        return "endless"
    return "short" if len(written) < bounds.least else ""


def _asked(
    desk: Desk, sentence: Sentence, before: Sequence[int], attempt: int
) -> tuple[Asked, Bounds]:
    """What is asked of the model so that it goes on after what it has written before.

    Args:
        before: numbers of semantic tokens.
    """
    tokens = desk.grammar.tokens
    prompt, kind = list(sentence.prompt), sentence.kind
    if before:
        begun = [tokens.marks["start_semantic_token"]] if kind == "clone" else []
        prompt += [*begun, *tokens.semantic[list(before)].tolist()]
        kind = "continue"
    room = desk.bound[LLM].longest - len(prompt)
    bounds = guards.bounds(sentence.text, min(MOST_TOKENS, room))
    limit = max(1, bounds.most - len(before))
    return Asked(prompt, kind, f"{sentence.seed} attempt {attempt}", limit), bounds


def _written(desk: Desk, asked: Asked) -> Iterator[Spoken]:
    return write(
        desk.bound,
        desk.memory,
        desk.owner,
        [asked],
        desk.grammar,
        desk.sampling,
        cancel=desk.cancel,
    )
