"""The sampler beside transformers', and the loop on fakes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engines.api import CancelToken
from engines.decode import GREEDY, Sampler, Sampling, Spoken, decode, probabilities
from engines.errors import Cancelled, EngineFailure

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = [
    Sampling(),
    Sampling(temperature=0.7),
    Sampling(top_k=1),
    Sampling(top_k=50),
    Sampling(top_k=10_000),
    Sampling(top_p=0.9),
    Sampling(top_p=0.01),
    Sampling(min_p=0.2),
    Sampling(min_p=1.0),
    Sampling(repetition_penalty=1.7),
    Sampling(repetition_penalty=0.6),
    Sampling(0.8, 50, 0.95),
    Sampling(1.4, 30, 0.8, 0.02, 2.0),
]


def reference(logits: np.ndarray, sampling: Sampling, before: Sequence[int]) -> np.ndarray:
    """What `generate` of transformers draws from."""
    chain = LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        chain.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    chain.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        chain.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chain.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        chain.append(MinPLogitsWarper(sampling.min_p))
    scores = chain(torch.tensor([list(before)]), torch.from_numpy(logits)[None])
    return scores.softmax(-1)[0].numpy()


@pytest.mark.parametrize("sampling", SETTINGS, ids=str)
def test_the_distribution_is_that_of_transformers(sampling: Sampling) -> None:
    draw = np.random.default_rng(5)
    for size in (2, 300, 2000):
        logits = draw.standard_normal(size, np.float32) * 4
        before = draw.integers(0, size, 7).tolist()
        made = probabilities(logits, sampling, before)
        assert made.sum() == pytest.approx(1)
        np.testing.assert_allclose(made, reference(logits, sampling, before), rtol=1e-4, atol=1e-7)


def test_tokens_that_may_not_come_never_do() -> None:
    logits = np.array([1.0, -np.inf, 2.0, -np.inf], np.float32)
    for sampling in SETTINGS:
        made = probabilities(logits, sampling, [1, 2])
        assert made[1] == made[3] == 0
        assert made.sum() == pytest.approx(1)


def test_greedy_takes_the_likeliest_after_the_penalty() -> None:
    logits = np.array([1.0, 3.0, 2.5], np.float32)
    assert Sampler(GREEDY, 0)(logits) == 1
    sampler = Sampler(Sampling(temperature=0, repetition_penalty=2.0), 0)
    assert [sampler(logits) for _ in range(3)] == [1, 2, 1]


def test_draws_follow_the_distribution() -> None:
    logits = np.log(np.array([0.5, 0.0, 0.3, 0.2]) + 1e-30).astype(np.float32)
    sampler = Sampler(Sampling(), 1)
    counts = np.bincount([sampler(logits) for _ in range(4000)], minlength=4) / 4000
    np.testing.assert_allclose(counts, [0.5, 0, 0.3, 0.2], atol=0.03)


def test_a_draw_at_an_edge_takes_the_token_that_begins_there() -> None:
    logits = np.log(np.array([0.25, 0.25, 0.5])).astype(np.float64)
    draws = iter([0.0, 0.2499, 0.2501, 0.5001, 0.9999999])
    sampler = Sampler(Sampling(), 0, draw=lambda: next(draws))
    assert [sampler(logits) for _ in range(5)] == [0, 0, 1, 2, 2]


def test_one_seed_gives_the_same_tokens_whatever_is_rounded_away() -> None:
    """Runtimes differ by rounding, and only a draw at the very edge may fall elsewhere."""
    logits = np.random.default_rng(0).standard_normal((200, 500), np.float32)
    exact, rounded = (
        Sampler(Sampling(0.8, 50, 0.95), "7 0"),
        Sampler(Sampling(0.8, 50, 0.95), "7 0"),
    )
    other = Sampler(Sampling(0.8, 50, 0.95), "7 1")
    first = [exact(row) for row in logits]
    assert [rounded(row * np.float32(1 + 1e-7)) for row in logits] == first
    assert sum(a != b for a, b in zip(first, (other(row) for row in logits), strict=True)) > 100


def test_a_part_of_the_vocabulary_gives_its_own_tokens() -> None:
    ids = np.array([3, 40, 41, 900])
    logits = np.array([0.0, 9.0, 1.0, 8.5], np.float32)
    sampler = Sampler(Sampling(temperature=0, repetition_penalty=4.0), 0, before=[5])
    assert [sampler(logits, ids) for _ in range(3)] == [40, 900, 40]
    other = np.array([40, 41])  # the next may be of another part
    assert sampler(np.array([2.0, 1.9], np.float32), other) == 41


@pytest.mark.parametrize(
    "logits", [[np.nan, 1.0], [-np.inf, -np.inf], [np.inf, 1.0]], ids=["nan", "none", "inf"]
)
def test_scores_that_are_no_numbers_are_an_error(logits: list[float]) -> None:
    with pytest.raises(EngineFailure, match="no usable scores"):
        probabilities(np.array(logits, np.float32), Sampling())


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"top_k": -1}, {"top_p": 0}, {"min_p": 2}, {"top_p": 1.1}]
)
def test_settings_out_of_range(wrong: dict) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Sampling(**wrong)


# the loop


class Counting:
    """Rows whose next token is what came last plus one; stands in for a model."""

    def __init__(self, starts: Sequence[int], longest: int = 100) -> None:
        self.last = np.array(starts)
        self.room = np.full(len(starts), longest)
        self.lives: list[list[bool]] = []

    def first(self) -> Mapping[str, np.ndarray]:
        return {"next": self.last + 1}

    def step(self, live=None, *, ids: np.ndarray, counts: np.ndarray) -> Mapping[str, np.ndarray]:
        self.lives.append(list(live))
        assert ids.dtype == np.int64
        self.last = np.where(live, ids, -5)
        self.room = self.room - np.array(live)
        return {"next": self.last + 1}


def run(
    steps: Counting, stop: Sequence[int], limits: Sequence[int], cancel: CancelToken | None = None
):
    return decode(
        steps,
        steps.first(),
        pick=lambda outputs, rows: [int(outputs["next"][row]) for row in rows],
        feed=lambda tokens, counts: {"ids": tokens, "counts": counts},
        stops=lambda row, token: token == stop[row],
        limits=limits,
        cancel=cancel or CancelToken(),
    )


def tokens(spoken: Sequence[Spoken], row: int) -> list[int]:
    return [each.token for each in spoken if each.row == row]


def test_each_row_ends_for_its_own_reason() -> None:
    steps = Counting([0, 10, 20])
    spoken = list(run(steps, [3, 11, 999], [9, 9, 5]))
    assert [tokens(spoken, row) for row in range(3)] == [
        [1, 2, 3],
        [11],
        [21, 22, 23, 24, 25],
    ]
    assert {each.row: each.ended for each in spoken if each.ended} == {
        0: "stop",
        1: "stop",
        2: "limit",
    }
    assert [each.index for each in spoken if each.row == 2] == [0, 1, 2, 3, 4]
    assert steps.lives[0] == [True, False, True] and steps.lives[-1] == [False, False, True]
    assert len(steps.lives) == 4, "no step after the last token"


def test_a_token_brings_what_it_was_chosen_from() -> None:
    spoken = list(run(Counting([4, 7]), [6, 9], [9, 9]))
    assert [int(each.outputs["next"]) for each in spoken] == [each.token for each in spoken]


def test_a_full_buffer_ends_its_row_only() -> None:
    steps = Counting([0, 50])
    steps.room = np.array([2, 100])
    spoken = list(run(steps, [99, 56], [50, 50]))
    assert tokens(spoken, 0) == [1, 2, 3]
    assert tokens(spoken, 1)[-1] == 56


def test_tokens_come_before_the_next_step() -> None:
    steps = Counting([0])
    speaking = run(steps, [5], [9])
    for count in range(3):
        next(speaking)
        assert len(steps.lives) == count


def test_cancelling_ends_it_at_the_next_step() -> None:
    cancel = CancelToken()
    steps = Counting([0])
    speaking = run(steps, [500], [900], cancel)
    next(speaking), next(speaking)
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(speaking)
    assert len(steps.lives) == 2


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="from 1 up"):
        next(run(Counting([0]), [5], [0]))


def test_decoding_loads_no_torch() -> None:
    script = "import sys, engines.decode; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60).returncode == 0
