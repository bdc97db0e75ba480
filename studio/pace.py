"""How fast speech is made, in words that fit every speed."""

from __future__ import annotations

SHORTEST = 1e-3  # seconds of work that are told apart from none


def pace(audio: float, work: float) -> str:
    """Such as "333× real time", "1.4× real time" or "0.08× real time".

    Args:
        audio: seconds of sound.
        work: seconds that it took.
    """
    factor = audio / max(work, SHORTEST)
    digits = 0 if factor >= 10 else 1 if factor >= 1 else 2
    return f"{factor:.{digits}f}× real time"
