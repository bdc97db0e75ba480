"""Is speech intelligible? A recogniser that may choose among a few known sentences only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

# From the Harvard lists; every word is in the recogniser's dictionary.
HARVARD_SENTENCES = (
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.",
    "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.",
    "The hogs were fed chopped corn and garbage.",
    "Four hours of steady work faced us.",
    "The boy was there when the sun rose.",
    "A rod is used to catch pink salmon.",
)

_RATE = 16000  # Hz, of the acoustic model
_QUIET = 0.3  # seconds


def recognise(
    samples: np.ndarray, sample_rate: int, sentences: Sequence[str] = HARVARD_SENTENCES
) -> str:
    """The one of `sentences` that is spoken in float `samples` [T]; "" where none fits."""
    import soxr

    audio = soxr.resample(np.asarray(samples, np.float32), sample_rate, _RATE)
    loudest = float(np.abs(audio).max(initial=0.0))
    if loudest == 0.0:
        return ""
    # The recogniser expects the quiet of a room before and after the speech.
    quiet = np.zeros(round(_QUIET * _RATE), np.float32)
    audio = np.concatenate([quiet, audio / loudest * 0.7, quiet])
    audio += np.random.default_rng(0).normal(scale=1e-3, size=audio.size).astype(np.float32)
    pcm = (audio.clip(-1, 1) * 32767).astype(np.int16).tobytes()
    decoder = _decoder(tuple(sentences))
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    heard = "" if hypothesis is None else hypothesis.hypstr
    return next((sentence for sentence in sentences if _words(sentence) == heard), "")


@cache
def _decoder(sentences: tuple[str, ...]) -> Any:
    from pocketsphinx import Decoder

    # Wide beams: synthetic speech is unlike what the acoustic model was trained on.
    beams = {"beam": 1e-100, "pbeam": 1e-100, "wbeam": 1e-80}
    decoder = Decoder(samprate=_RATE, lm=None, loglevel="FATAL", cmn="batch", **beams)
    choices = " | ".join(f"( {_words(sentence)} )" for sentence in sentences)
    decoder.add_jsgf_string("sentences", f"#JSGF V1.0; grammar g; public <g> = {choices};")
    decoder.activate_search("sentences")
    return decoder


def _words(sentence: str) -> str:
    return " ".join(re.findall(r"[a-z']+", sentence.lower()))
