"""How fast speech is made, in words."""

from __future__ import annotations

import pytest

from studio.pace import pace


@pytest.mark.parametrize(
    ("audio", "work", "said"),
    [
        (7.1, 0.0213, "333× real time"),
        (7.0, 5.0, "1.4× real time"),
        (6.1, 80.3, "0.08× real time"),
        (2.0, 0.0, "2000× real time"),
    ],
)
def test_every_pace_has_figures_that_tell_it(audio: float, work: float, said: str) -> None:
    assert pace(audio, work) == said
