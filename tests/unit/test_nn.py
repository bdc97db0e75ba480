"""Blocks that families share, beside what the reference cases of a family show."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.nn.alignment import best_path, expand, hard_path, token_of_frame
from engines.nn.conformer import _shift
from engines.nn.spline import spline


@pytest.mark.parametrize(
    ("durations", "tokens"),
    [
        ([2, 0, 1], [0, 0, 2]),
        ([0.5, 1.5, 1.2], [0, 1, 2]),
        ([0, 0], [-1]),
        ([0.4], [0]),
        ([2, -1], [0]),
        ([3], [0, 0, 0]),
    ],
)
def test_tokens_of_frames(durations, tokens):
    assert token_of_frame(np.array(durations, np.float32)).tolist() == tokens


def test_an_uncovered_frame_is_silent():
    values = np.array([[5.0, 7.0]], np.float32)
    assert expand(values, np.array([0, 1, -1])).tolist() == [[5.0, 7.0, 0.0]]
    assert hard_path(np.array([1, -1]), 2).tolist() == [[0, 1], [0, 0]]


def best_by_trying(score: np.ndarray) -> float:
    frames, tokens = score.shape
    best = np.full((frames, tokens), -np.inf)
    best[0, 0] = score[0, 0]
    for t in range(1, frames):
        for n in range(tokens):
            best[t, n] = score[t, n] + max(best[t - 1, n], best[t - 1, n - 1] if n else -np.inf)
    return best[-1, -1]


@pytest.mark.parametrize(("frames", "tokens"), [(1, 1), (5, 1), (5, 5), (12, 4), (40, 13)])
def test_the_best_path_is_found(frames, tokens):
    score = np.random.default_rng(frames).standard_normal((frames, tokens)).astype(np.float32)
    path = best_path(score)
    at = path.argmax(1)
    assert path.sum(1).tolist() == [1] * frames
    assert at[0] == 0 and at[-1] == tokens - 1
    assert set(np.diff(at)) <= {0, 1}
    assert (path * score).sum() == pytest.approx(best_by_trying(score), abs=1e-4)


def test_at_ties_the_path_stays():
    assert best_path(np.zeros((4, 2), np.float32)).argmax(1).tolist() == [0, 1, 1, 1]


def test_too_few_frames_end_at_the_last_token():
    path = best_path(np.zeros((2, 4), np.float32))
    assert path.sum(1).tolist() == [1, 1] and path[-1, -1] == 1


def random_spline(seed: int) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    shapes = (10, 10, 9)
    return tuple(3 * torch.randn(200, size, generator=draw) for size in shapes)


@pytest.mark.parametrize("seed", range(3))
def test_a_spline_and_its_inverse_cancel(seed):
    logits = [each.double() for each in random_spline(seed)]
    x = torch.linspace(-7, 7, 200, dtype=torch.float64)
    y, there = spline(x, *logits)
    back, here = spline(y, *logits, inverse=True)
    torch.testing.assert_close(back, x, atol=1e-6, rtol=0)
    torch.testing.assert_close(there, -here, atol=1e-5, rtol=0)
    outside = x.abs() > 5
    assert torch.equal(y[outside], x[outside]) and not there[outside].any()


def test_a_spline_of_values_that_all_lie_outside_is_the_identity():
    x = torch.full((200,), 9.0, requires_grad=True)
    y, logdet = spline(x, *random_spline(0), inverse=True)
    assert torch.equal(y, x) and not logdet.any()
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones(200))


def test_log_determinants_are_slopes():
    logits = [each.double() for each in random_spline(7)]
    x = torch.linspace(-4.9, 4.9, 200, dtype=torch.float64, requires_grad=True)
    y, logdet = spline(x, *logits)
    y.sum().backward()
    torch.testing.assert_close(x.grad.log(), logdet.detach())


def test_scores_by_distance_come_to_their_keys():
    size = 5
    distances = torch.arange(size - 1, -size, -1.0).expand(1, 1, size, -1)
    rows = torch.arange(size)[:, None]
    expected = (rows - torch.arange(size)).float()
    assert torch.equal(_shift(distances.contiguous())[0, 0], expected)
