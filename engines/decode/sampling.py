"""From logits to the next token, on the host: one seed gives the same tokens on every runtime.

What the settings mean, and the order they are applied in, is that of transformers' logits
processors; a test holds each against them.

V tokens of the vocabulary, or the part of it that may come next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from engines.errors import EngineFailure

Draw = Callable[[], float]  # numbers from 0 up to 1, 1 excluded


@dataclass(frozen=True, slots=True)
class Sampling:
    """
    Attributes:
        temperature: logits are divided by it; 0 always takes the likeliest token.
        top_k: only so many of the likeliest; 0 for all.
        top_p: the fewest likeliest tokens that reach this share together; 1 for all.
        min_p: none below this share of the likeliest's probability; 0 for all.
        repetition_penalty: logits of tokens that came before are divided by it where they are
            positive, and multiplied where negative; 1 for none.

    Raises:
        ValueError: a value is out of its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        allowed = (
            self.temperature >= 0
            and self.top_k >= 0
            and 0 < self.top_p <= 1
            and 0 <= self.min_p <= 1
            and self.repetition_penalty > 0
        )
        if not allowed:
            raise ValueError(f"{self} is out of range")


GREEDY = Sampling(temperature=0.0)


def probabilities(
    logits: np.ndarray, sampling: Sampling, before: Collection[int] = ()
) -> np.ndarray:
    """The distribution that the next token is drawn from.

    Args:
        logits: floats [V]; tokens that must not come have minus infinity.
        before: indices of tokens that the repetition penalty is for.

    Returns:
        float64 [V], together 1.

    Raises:
        EngineFailure: no logit is a finite number, or one is none.
    """
    scores = np.array(logits, np.float64)
    if np.isnan(scores).any() or not np.isfinite(scores.max(initial=-np.inf)):
        raise EngineFailure(
            "The model gave no usable scores for the next token.",
            "Its weights or its input hold values that are no numbers.",
            "Try float32, or download the model again.",
        )
    if sampling.repetition_penalty != 1 and before:
        seen = np.fromiter(set(before), np.int64)
        given = scores[seen]
        scores[seen] = np.where(
            given > 0, given / sampling.repetition_penalty, given * sampling.repetition_penalty
        )
    if sampling.temperature == 0:
        only = np.zeros_like(scores)
        only[scores.argmax()] = 1
        return only
    scores /= sampling.temperature
    if 0 < sampling.top_k < scores.size:
        least = np.partition(scores, -sampling.top_k)[-sampling.top_k]
        scores[scores < least] = -np.inf
    if sampling.top_p < 1:
        _keep_top_p(scores, sampling.top_p)
    shares = np.exp(scores - scores.max())
    if sampling.min_p > 0:
        shares[shares < sampling.min_p] = 0  # the likeliest one's is 1 here
    return shares / shares.sum()


def _keep_top_p(scores: np.ndarray, top_p: float) -> None:
    """Rule out, in place, all but the fewest likeliest tokens that reach `top_p` together."""
    [left] = np.nonzero(np.isfinite(scores))
    order = left[np.argsort(scores[left], kind="stable")]
    shares = np.exp(scores[order] - scores[order[-1]])
    reached = np.cumsum(shares / shares.sum())
    scores[order[:-1][reached[:-1] <= 1 - top_p]] = -np.inf  # the likeliest one always stays


class Sampler:
    """Picks the tokens of one sentence.

    Args:
        seed: the request's, and what the sentence is: the draws of one sentence do not depend on
            which others are decoded beside it.
        draw: takes the place of draws from the seed.
        before: tokens that the repetition penalty counts from the start, such as the prompt's.
    """

    def __init__(
        self,
        sampling: Sampling,
        seed: object,
        *,
        draw: Draw | None = None,
        before: Collection[int] = (),
    ) -> None:
        self.sampling = sampling
        self._before = set(before)
        self._draw = draw or uniform(seed)

    def __call__(self, logits: np.ndarray, ids: np.ndarray | None = None) -> int:
        """The next token: one for whose share of the distribution, in the order of the tokens,
        the drawn number stands.

        Args:
            logits: floats [V].
            ids: int64 [V]: the tokens that the logits are of, ascending; None for all, 0 … V - 1.
        """
        before: Collection[int] = self._before
        if ids is not None and self.sampling.repetition_penalty != 1:
            before = np.flatnonzero(np.isin(ids, list(self._before))).tolist()
        shares = probabilities(logits, self.sampling, before)
        # drawn in any case, so that greedy tokens do not shift what comes after them
        drawn = self._draw()
        if self.sampling.temperature == 0:
            index = int(shares.argmax())
        else:
            reached = np.cumsum(shares)
            index = int(np.searchsorted(reached, drawn * reached[-1], side="right"))
        token = index if ids is None else int(ids[index])
        self._before.add(token)
        return token


def uniform(seed: object) -> Draw:
    """Draws of a seed of any kind: what reads alike gives alike."""
    key = hashlib.blake2b(f"{seed} tokens".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    return generator.random
