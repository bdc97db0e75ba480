"""A clip becomes what cloning needs: who speaks, what is said and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engines.api import CancelToken, Reference
from engines.errors import BadReference
from engines.runtime.residents import BoundStages
from engines.spark import audio, codec
from engines.spark.config import SparkConfig
from engines.spark.frontend import transcript_of
from engines.spark.stages import LONGEST_CLIP

VERSION = "1"  # changes when something else comes of the same clip
SHORTEST_CLIP = 1.0  # seconds
INAUDIBLE = 1e-4  # of the largest sample

SPEAKER, SPEECH, TRANSCRIPT = "global_tokens", "semantic_tokens", "transcript"


def best(references: Sequence[Reference]) -> Reference:
    """The clip that is listened to: the first whose words are known, else the first.

    Raises:
        BadReference: there is none, or it does not do.
    """
    if not references:
        raise BadReference(
            "The voice has no clip.", "Cloning needs one.", "Add a clip to the voice."
        )
    known = [each for each in references if transcript_of(each.transcript)]
    chosen = (known or list(references))[0]
    seconds = len(chosen.samples) / chosen.sample_rate
    allowed = f"Spark-TTS listens to a clip of {SHORTEST_CLIP:g} to {LONGEST_CLIP} s."
    if not SHORTEST_CLIP <= seconds <= LONGEST_CLIP:
        raise BadReference(f"The clip lasts {seconds:.1f} s.", allowed, "Cut it, or take another.")
    if not np.abs(chosen.samples).max() > INAUDIBLE:
        raise BadReference("Nothing can be heard in the clip.", allowed, "Record it again.")
    return chosen


def listen(
    bound: BoundStages, config: SparkConfig, reference: Reference, cancel: CancelToken
) -> Mapping[str, np.ndarray]:
    """
    Args:
        bound: the stages of `stages.LISTENING`.

    Returns:
        `global_tokens` int64 [N], `semantic_tokens` int64 [T], `transcript` its bytes, uint8 [n].
    """
    top = config.top
    wav = audio.prepared(
        reference.samples, reference.sample_rate, top.sample_rate, normalise=top.volume_normalize
    )
    cancel.raise_if_set()
    speaker = codec.global_tokens(bound, config, wav)
    cancel.raise_if_set()
    said = transcript_of(reference.transcript).encode()
    return {
        SPEAKER: speaker,
        SPEECH: codec.semantic_tokens(bound, wav),
        TRANSCRIPT: np.frombuffer(said, np.uint8),
    }
