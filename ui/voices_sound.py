"""What the player of the Voices tab is sent (static/voices_player.js)."""

from __future__ import annotations

import base64
import io
import secrets
from typing import Any

import numpy as np

from studio.reference import to_wav

LONG = 60.0  # seconds of sound above which it is sent compressed

Shown = dict[str, Any]


def sound(title: str, samples: np.ndarray, rate: int) -> Shown:
    if samples.size <= LONG * rate:
        return played(title, to_wav(samples, rate), "audio/wav")
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="MP3", subtype="MPEG_LAYER_III")
    return played(title, out.getvalue(), "audio/mpeg")


def played(title: str, data: bytes, mime: str) -> Shown:
    return {
        "key": secrets.token_hex(4),  # the same sound asked for twice is played twice
        "title": title,
        "said": "",
        "alert": [],
        "mime": mime,
        "data": base64.b64encode(data).decode(),
    }


def silent(*parts: str) -> Shown:
    return {**played("", b"", ""), "alert": list(parts)}
