"""The autoregressive loop: an ordinary generator over the steps of a batch of sentences.

B rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from engines.api import CancelToken

Outputs = Mapping[str, np.ndarray]  # of a step stage, by name; B is the first axis of each


class Steps(Protocol):
    """What the loop needs of `engines.runtime.sequences.Sequences`."""

    @property
    def room(self) -> np.ndarray: ...

    def step(self, live: Sequence[bool] | None = None, **inputs: Any) -> Outputs: ...


@dataclass(frozen=True, slots=True)
class Spoken:
    """A token of a row.

    Attributes:
        index: how many came before it in its row.
        outputs: what the stage gave where the token was chosen, without the axis of rows.
        ended: why it is the row's last: "stop" where it is a token that stops, "limit" where the
            row has as many tokens as it may. Otherwise "".
    """

    row: int
    index: int
    token: int
    outputs: Outputs
    ended: Literal["", "stop", "limit"] = ""


def decode(
    steps: Steps,
    first: Outputs,
    *,
    pick: Callable[[Outputs, Sequence[int]], Sequence[int]],
    feed: Callable[[np.ndarray, np.ndarray], Mapping[str, Any]],
    stops: Callable[[int, int], bool],
    limits: Sequence[int],
    cancel: CancelToken,
) -> Iterator[Spoken]:
    """Decode rows side by side until each has stopped; gives every token as soon as it is chosen.

        with bound.start(memory, key, rows, cancel=cancel) as sequences:
            first = sequences.prefill(ids=prompts, lengths=lengths)
            for spoken in decode(sequences, first, pick=…, feed=…, stops=…, limits=…, cancel=…):

    Args:
        first: the outputs of the prefill.
        pick: the next tokens of the given rows, from the outputs of the last step.
        feed: inputs of the step that takes the tokens in, of all rows, from int64 [B] tokens and
            int64 [B] how many of a row came before. A row that has ended has token 0.
        stops: whether a row ends with a token.
        limits: tokens that each row may have at most, the one that stops it among them.
        cancel: looked at before every step.

    Raises:
        Cancelled: `cancel` was set.
        ValueError: a limit is below 1.
    """
    if min(limits) < 1:
        raise ValueError(f"limits are numbers of tokens from 1 up, not {limits}")
    counts = np.zeros(len(limits), np.int64)
    live = [True] * len(limits)
    outputs = first
    while True:
        cancel.raise_if_set()
        rows = [row for row, going in enumerate(live) if going]
        tokens = np.zeros(len(limits), np.int64)
        for row, token in zip(rows, pick(outputs, rows), strict=True):
            tokens[row] = token
            full = counts[row] + 1 >= limits[row] or not steps.room[row]
            ended: Literal["", "stop", "limit"] = (
                "stop" if stops(row, token) else "limit" if full else ""
            )
            live[row] = not ended
            own = {name: array[row] for name, array in outputs.items()}
            yield Spoken(row, int(counts[row]), int(token), own, ended)
        if not any(live):
            return
        outputs = steps.step(live, **feed(np.where(live, tokens, 0), counts.copy()))
        counts += live
