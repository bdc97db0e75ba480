"""Sound to tokens and back: the order in which bound stages are called.

T_ref samples of a clip, T_clip tokens of it, N global tokens, D channels of the speaker's vector,
T_codes tokens that are spoken.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engines.runtime.stage import Bound
from engines.spark import audio
from engines.spark.config import SparkConfig

Stages = Mapping[str, Bound]


def semantic_tokens(bound: Stages, wav: np.ndarray) -> np.ndarray:
    """What is said in a clip, and how.

    Args:
        wav: as `audio.prepared` gives it, [T_ref].

    Returns:
        int64 [T_clip].
    """
    heard = bound["wav2vec2"](audio=audio.standardised(wav)[None])
    return tokens_of(bound, heard["feats"])


def tokens_of(bound: Stages, feats: np.ndarray) -> np.ndarray:
    """float32 [1, T_clip, C] → int64 [T_clip]."""
    z = bound["encoder"](feats=feats)["z"]
    return bound["quantizer_tokenize"](z=z)["semantic"][0]


def global_tokens(bound: Stages, config: SparkConfig, wav: np.ndarray) -> np.ndarray:
    """Who speaks in a clip: [T_ref] → int64 [N]."""
    clip = audio.ref_clip(wav, config.top.ref_samples)
    mel = audio.mel(clip, config.codec.mel_params)
    return bound["speaker_encoder"](mel=mel[None])["tokens"][0]


def speaker_vector(bound: Stages, tokens: np.ndarray) -> np.ndarray:
    """int64 [N] → float32 [1, D]."""
    return bound["speaker_detokenize"](tokens=tokens[None])["d_vector"]


def frames(bound: Stages, semantic: np.ndarray, d_vector: np.ndarray) -> np.ndarray:
    """int64 [T_codes] → float32 [1, D, T_codes]: what the wave generator takes."""
    z_q = bound["quantizer_detokenize"](semantic=semantic[None])["z_q"]
    return bound["prenet"](z_q=z_q, d_vector=d_vector)["x"]


def wave(bound: Stages, x: np.ndarray, d_vector: np.ndarray) -> np.ndarray:
    """float32 [1, D, T_codes] → [hop * T_codes]."""
    return bound["decoder"](x=x, d_vector=d_vector)["wav"][0]
