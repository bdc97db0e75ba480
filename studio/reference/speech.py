"""Where somebody speaks in a clip: Silero VAD's network, run by ONNX Runtime without torch.

The weights lie in the wheel of silero-vad. The package itself is never imported, since that would
bring torch along.

Shapes: T samples, F frames of 32 ms.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from engines.api import CancelToken
from engines.errors import MissingDependency

RATE = 16_000  # Hz
HOP = 512  # samples a frame
CONTEXT = 64  # samples before it that the network sees too
FRAME = HOP / RATE  # seconds
BATCH = 512  # frames at a time
STATE = (1, 1, 128)
BEGINS, ENDS = 0.5, 0.35  # probabilities at which speech begins and ends
SHORTEST_SPEECH = 0.16  # seconds; what is shorter is a click or a breath
SHORTEST_SILENCE = 0.1


def probabilities(
    samples: np.ndarray, sample_rate: int, *, cancel: CancelToken | None = None
) -> np.ndarray:
    """How likely each frame holds speech.

    Args:
        samples: float32 [T], mono.
        sample_rate: Hz, any.

    Returns:
        float32 [F], the last frame filled up with silence.

    Raises:
        MissingDependency: silero-vad is not installed.
        Cancelled: `cancel` was set.
    """
    from soxr import resample

    sound = np.asarray(resample(samples, sample_rate, RATE), np.float32)
    count = -(-sound.size // HOP)
    frames = np.zeros((count, HOP), np.float32)
    frames.reshape(-1)[: sound.size] = sound
    contexts = np.zeros((count, CONTEXT), np.float32)
    contexts[1:] = frames[:-1, -CONTEXT:]
    windows = np.concatenate((contexts, frames), axis=1)
    session = _session()
    hidden = cell = np.zeros(STATE, np.float32)
    out = [np.zeros(0, np.float32)]
    for first in range(0, count, BATCH):
        if cancel is not None:
            cancel.raise_if_set()
        inputs = {"input": windows[first : first + BATCH], "h": hidden, "c": cell}
        likely, hidden, cell = session.run(["speech_probs", "hn", "cn"], inputs)
        out.append(likely.reshape(-1))
    return np.concatenate(out)


def passages(likely: np.ndarray) -> list[tuple[int, int]]:
    """Where speech is, as frames from (included) and to (excluded).

    Speech begins at a likely frame and ends at an unlikely one, so that it does not flicker.
    """
    found: list[tuple[int, int]] = []
    begin: int | None = None
    for frame, value in enumerate(likely.tolist()):
        if begin is None and value >= BEGINS:
            begin = frame
        elif begin is not None and value < ENDS:
            found.append((begin, frame))
            begin = None
    if begin is not None:
        found.append((begin, likely.size))
    joined: list[tuple[int, int]] = []
    for begin, end in found:
        if joined and (begin - joined[-1][1]) * FRAME < SHORTEST_SILENCE:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return [(begin, end) for begin, end in joined if (end - begin) * FRAME >= SHORTEST_SPEECH]


@lru_cache(maxsize=1)
def _session() -> Any:
    package = importlib.util.find_spec("silero_vad")
    if package is None or package.origin is None:
        raise MissingDependency(
            "Silero VAD, which finds speech in a clip, is not installed.",
            "",
            "Install the packages of requirements.txt.",
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    weights = Path(package.origin).parent / "data" / "silero_vad_16k_sequence.onnx"
    return onnxruntime.InferenceSession(
        str(weights), sess_options=options, providers=["CPUExecutionProvider"]
    )
