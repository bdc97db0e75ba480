"""How often the language model in another form would choose the token that it chooses in full
precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engines.decode import GREEDY
from engines.runtime.residents import BoundStages
from engines.spark.answers import Grammar, Kind
from engines.spark.llm_stages import LLM
from engines.spark.writing import Asked, write

if TYPE_CHECKING:
    from engines.api import CancelToken
    from engines.memory import MemoryManager


def agreement(
    exact: BoundStages,
    other: BoundStages,
    memory: MemoryManager,
    prompts: Sequence[tuple[Sequence[int], Kind]],
    grammar: Grammar,
    *,
    limit: int,
    cancel: CancelToken,
) -> tuple[int, int]:
    """Both take the likeliest token at every step of the same answers, those of `exact`.

    Args:
        exact, other: "llm" and its heads, twice.
        limit: tokens of each answer.

    Returns:
        Steps at which they agree, and all steps; those that only one token may follow left out.
    """
    same = steps = 0
    for prompt, kind in prompts:
        asked = [Asked(prompt, kind, 0, limit)]
        spoken = write(exact, memory, "agreement", asked, grammar, GREEDY, cancel=cancel)
        answer = [each.token for each in spoken]
        with other[LLM].start(memory, "agreement of the other", cancel=cancel) as sequences:
            hidden = sequences.prefill(ids=[prompt])["hidden"]
            for count, token in enumerate(answer):
                cancel.raise_if_set()
                choice = grammar.next(kind, count)
                if len(choice.ids) > 1:
                    logits = other[choice.head](hidden=hidden)["logits"][0, choice.rows]
                    same += int(choice.ids[logits.argmax()] == token)
                    steps += 1
                if count + 1 < len(answer):
                    hidden = sequences.step(ids=[[token]])["hidden"]
    return same, steps
