"""Reference clips to a voice: what the library calls conditioning latents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.api import CancelToken, Reference
from engines.coqui.xtts import hearing
from engines.coqui.xtts.checkpoint import Speaker
from engines.coqui.xtts.config import CLIP_RATE, XttsConfig
from engines.errors import BadReference
from engines.runtime.residents import BoundStages


def listen(
    bound: BoundStages, references: Sequence[Reference], config: XttsConfig, cancel: CancelToken
) -> Speaker:
    """Who speaks in the clips: the GPT hears all of them one after the other, cut into pieces; the
    decoder is told the mean of their embeddings.

    Raises:
        BadReference: they are too short, or nothing is heard in them.
    """
    clips = []
    for reference in references:
        samples, rate, level = reference.samples, reference.sample_rate, config.sound_norm_refs
        clips.append(hearing.clip(samples, rate, config.max_ref_len, level=level))
    heard = np.concatenate(clips)[: int(config.gpt_cond_len * CLIP_RATE)]
    pieces = hearing.pieces(heard, min(config.gpt_cond_chunk_len, config.gpt_cond_len))
    loudest = max(float(np.abs(each).max(initial=0)) for each in clips)
    if not pieces or any(len(each) < hearing.SHORTEST * CLIP_RATE for each in clips):
        shortest = min(len(each) for each in clips) / CLIP_RATE
        raise BadReference(
            f"A clip of {shortest:.2f} s is too short.",
            f"XTTS needs {hearing.SHORTEST:g} s, and learns a voice from 6 s on.",
            "Give a longer clip.",
        )
    if loudest == 0:
        raise BadReference(
            "The clips are silent.", "A voice is heard in them.", "Give other clips."
        )
    latents, embeddings = [], []
    for piece in pieces:
        cancel.raise_if_set()
        latents.append(bound["listen"](mel=hearing.mel(piece)[None])["latents"][0])
    for each in clips:
        cancel.raise_if_set()
        bands = hearing.speaker_mel(each)[None]
        embeddings.append(bound["speaker"](bands=bands)["embedding"][0])
    return Speaker(np.mean(latents, axis=0), np.mean(embeddings, axis=0))
