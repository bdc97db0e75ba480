"""The language model writing answers: sentences side by side, token by token.

B rows, C hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engines.decode import Sampler, Sampling, Spoken, decode
from engines.decode.loop import Outputs
from engines.runtime.residents import BoundStages
from engines.spark.answers import Answer, Grammar, Kind
from engines.spark.llm_stages import LLM, MOST_TOKENS

if TYPE_CHECKING:
    from engines.api import CancelToken
    from engines.memory import MemoryManager


@dataclass(frozen=True)
class Asked:
    """One sentence's request of the language model.

    Attributes:
        prompt: ids.
        seed: what its draws come from; the same gives the same answer beside any other sentence.
        limit: tokens that the answer may have at most.
    """

    prompt: Sequence[int]
    kind: Kind
    seed: object
    limit: int = MOST_TOKENS


def write(
    stages: BoundStages,
    memory: MemoryManager,
    owner: str,
    asked: Sequence[Asked],
    grammar: Grammar,
    sampling: Sampling,
    *,
    cancel: CancelToken,
) -> Iterator[Spoken]:
    """Answers to several requests, written side by side; every token as soon as it is there.

    Args:
        stages: "llm" and its heads.
        owner: see `BoundStep.start`.

    Raises:
        TooLong: a prompt is longer than the model takes, or there are too many at once.
        Cancelled: `cancel` was set.
    """
    answers = [Answer(each.kind) for each in asked]
    samplers = [Sampler(sampling, each.seed) for each in asked]

    def pick(outputs: Outputs, rows: Sequence[int]) -> Sequence[int]:
        return _picked(stages, grammar, outputs["hidden"], answers, samplers, rows)

    lengths = [len(each.prompt) for each in asked]
    prompts = np.zeros((len(asked), max(lengths)), np.int64)
    for row, each in enumerate(asked):
        prompts[row, : len(each.prompt)] = each.prompt
    with stages[LLM].start(memory, owner, len(asked), cancel=cancel) as sequences:
        first = sequences.prefill(ids=prompts, lengths=lengths)
        yield from decode(
            sequences,
            first,
            pick=pick,
            feed=lambda ids, _counts: {"ids": ids[:, None]},
            stops=lambda _row, token: token == grammar.end,
            limits=[each.limit for each in asked],
            cancel=cancel,
        )


def _picked(
    stages: BoundStages,
    grammar: Grammar,
    hidden: np.ndarray,
    answers: Sequence[Answer],
    samplers: Sequence[Sampler],
    rows: Sequence[int],
) -> list[int]:
    choices = {row: grammar.next(answers[row].kind, len(answers[row].ids)) for row in rows}
    # where only one token may come, none is chosen
    picked = {row: int(each.ids[0]) for row, each in choices.items() if len(each.ids) == 1}
    for head in sorted({each.head for row, each in choices.items() if row not in picked}):
        own = [row for row, each in choices.items() if each.head == head and row not in picked]
        logits = stages[head](hidden=hidden[own])["logits"]
        for row, scores in zip(own, logits, strict=True):
            picked[row] = samplers[row](scores[choices[row].rows], choices[row].ids)
    for row, token in picked.items():
        answers[row].ids.append(token)
    return [picked[row] for row in rows]
