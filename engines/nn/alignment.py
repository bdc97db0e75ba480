"""Which frame belongs to which token, on the host.

B batch, T_text tokens, T_mel frames. Arrays are NumPy: nothing here needs a device.
"""

from __future__ import annotations

import numpy as np


def token_of_frame(durations: np.ndarray) -> np.ndarray:
    """
    Args:
        durations: frames of each token, [T_text]; zeros and fractions are allowed.

    Returns:
        int64 [T_mel], at least one frame; -1 for a frame that no token covers.
    """
    ends = np.cumsum(durations)
    frames = max(1, int(ends[-1]))
    token = np.searchsorted(ends, np.arange(frames), side="right")
    return np.where(token < len(ends), token, -1)


def expand(values: np.ndarray, token: np.ndarray) -> np.ndarray:
    """What each frame takes from its token.

    Args:
        values: [..., T_text].
        token: int64 [T_mel], from `token_of_frame`.

    Returns:
        [..., T_mel]; zeros where no token covers a frame.
    """
    return np.where(token >= 0, values[..., token], 0).astype(values.dtype)


def hard_path(token: np.ndarray, tokens: int) -> np.ndarray:
    """The alignment as a matrix of ones, float32 [T_mel, T_text]."""
    return (token[:, None] == np.arange(tokens)).astype(np.float32)


def best_path(score: np.ndarray) -> np.ndarray:
    """The monotonic path of the highest total score that ends at the last token.

    It starts at the first token and never skips one, unless there are fewer frames than tokens:
    the leading tokens then get none. Between equal paths it stays on a token.

    Args:
        score: [T_mel, T_text].

    Returns:
        float32 [T_mel, T_text] of zeros and ones, a single one in each row.
    """
    frames, tokens = score.shape
    best = score.astype(np.float32)
    if frames >= tokens:
        best[0, 1:] = -np.inf  # a token cannot be reached before its own number of frames
        for t in range(1, frames):
            moved = np.concatenate([[np.float32(-np.inf)], best[t - 1, :-1]])
            best[t] += np.maximum(moved, best[t - 1])
    path = np.zeros((frames, tokens), np.float32)
    at = tokens - 1
    for t in range(frames - 1, -1, -1):
        path[t, at] = 1
        if at and (at == t or best[t - 1, at] < best[t - 1, at - 1]):
            at -= 1
    return path
