"""The language model as stages: `llm` takes it a step further, and two heads say what may follow.

Only rows of the head that may come next are computed. While speech is written these are the
semantic tokens and what ends them (`head_semantic`); in the part of an answer before it, where the
model makes up a voice, they are global tokens and values of pitch and speed (`head_voice`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engines.runtime.buckets import Buckets, BucketTable, geometric
from engines.runtime.stage import BATCH, MapStage, Port
from engines.runtime.step import NEW, Carry, StepStage
from engines.spark.llm_config import LlmConfig
from engines.spark.tokens import Tokens

if TYPE_CHECKING:
    from engines.runtime.stage import Bound
    from engines.spark.llm import Llm

LLM, HEAD_SEMANTIC, HEAD_VOICE = "llm", "head_semantic", "head_voice"

MOST_TOKENS = 3000  # of an answer: a minute of sound
POSITIONS = 4096  # prompt and answer together
SMALLEST = 256  # positions of the smallest buffers

# Sizes for runtimes that compile each: prompts of one sentence or of several seconds of speech.
BUCKETS: BucketTable = {BATCH: Buckets([1, 4]), NEW: geometric(64, 1024, multiple=8)}


def semantic_rows(tokens: Tokens) -> np.ndarray:
    """Ids of the rows of `head_semantic`, ascending: int64 [R]."""
    names = ("start_semantic_token", "end_semantic_token", "im_end")
    return np.sort(np.concatenate([tokens.semantic, [tokens.marks[name] for name in names]]))


def voice_rows(tokens: Tokens) -> np.ndarray:
    """Ids of the rows of `head_voice`, ascending: int64 [R]."""
    names = (
        "start_acoustic_token",
        "end_acoustic_token",
        "start_global_token",
        "end_global_token",
        "start_semantic_token",
    )
    kinds = ("bicodec_global", "pitch_value", "speed_value")
    marks = np.array([tokens.marks[name] for name in names])
    return np.sort(np.concatenate([*(tokens.numbered[kind] for kind in kinds), marks]))


def llm_positions(config: LlmConfig) -> int:
    return min(POSITIONS, config.max_position_embeddings)


def llm_stages(model: Llm, config: LlmConfig, tokens: Tokens) -> list[MapStage | StepStage]:
    """`llm`, `head_semantic` and `head_voice`."""
    from engines.nn.kv_cache import kept_dim

    return [
        StepStage(
            LLM,
            model,
            inputs=(Port("ids", "int64", (BATCH, NEW)),),
            outputs=(Port("hidden", "float32", (BATCH, config.hidden_size)),),
            carry=Carry(
                config.num_hidden_layers, config.num_key_value_heads, kept_dim(config.head_dim)
            ),
            sizes=geometric(SMALLEST, llm_positions(config), multiple=8),
        ),
        head(HEAD_SEMANTIC, model, semantic_rows(tokens)),
        head(HEAD_VOICE, model, voice_rows(tokens)),
    ]


def head(name: str, model: Llm, rows: np.ndarray) -> MapStage:
    """Logits of some tokens, from `hidden`.

    Args:
        rows: their ids. MPS computes no layer of more than 65,536 of them.
    """
    import torch

    from engines.spark.llm import Head

    weight = model.embedding.weight.detach()[torch.from_numpy(rows)]
    return MapStage(
        name,
        Head(weight),
        inputs=(Port("hidden", "float32", (BATCH, weight.shape[1])),),
        outputs=(Port("logits", "float32", (BATCH, len(rows))),),
    )


def rows_of(bound: Bound) -> int:
    """How many tokens a bound head has logits of."""
    [logits] = bound.stage.outputs
    return int(logits.shape[1])
