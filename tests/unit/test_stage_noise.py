"""Noise depends on the seed, the purpose and the position in time, on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from engines.runtime.noise import normal


def test_it_is_standard_normal() -> None:
    drawn = normal(7, "z", (1, 192, 500))
    assert drawn.dtype == np.float32
    assert drawn.shape == (1, 192, 500)
    assert drawn.flags.c_contiguous
    assert abs(float(drawn.mean())) < 0.01
    assert abs(float(drawn.std()) - 1) < 0.01


def test_a_longer_one_begins_with_the_shorter() -> None:
    longest = normal(7, "z", (1, 5, 400))
    for length in (1, 2, 63, 64, 65, 399):
        assert np.array_equal(normal(7, "z", (1, 5, length)), longest[:, :, :length])


def test_seed_and_purpose_tell_noises_apart() -> None:
    drawn = [
        normal(seed, name, (1, 4, 100))
        for seed, name in ((0, "z"), (1, "z"), (2**32 - 1, "z"), (0, "durations"), (1, "2 z"))
    ]
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert abs(float(np.corrcoef(one.ravel(), other.ravel())[0, 1])) < 0.2


def test_a_seed_means_the_same_tomorrow() -> None:
    """Takes are repeated from their seed years later."""
    assert normal(42, "z", (2, 2)).ravel().tolist() == pytest.approx(EXPECTED, abs=1e-6)


EXPECTED = [0.192674, -0.142825, 0.959151, -0.890328]
