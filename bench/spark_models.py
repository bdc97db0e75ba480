"""Spark-TTS' language model at the published size, of random weights: as transformers has it, and
as ONNX files of ours."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.runtime import threads, torchaudio_standin

if TYPE_CHECKING:
    from torch import Tensor

    from engines.runtime.export_step import StepPrecision
    from engines.spark.tokens import Tokens

THREADS = 2
PROMPT = 100  # tokens
SAMPLING: dict[str, Any] = {"temperature": 0.8, "top_k": 50, "top_p": 0.95}  # the original's


def export_llm(folder: Path, precisions: Collection[StepPrecision]) -> None:
    """Files of the step and of the head of speech, in a folder for each precision."""
    threads.configure(THREADS)
    from engines.runtime.export import export
    from engines.runtime.export_step import export_step
    from engines.runtime.quantise import quantise_file
    from engines.runtime.step import StepStage
    from engines.spark.converting import HEAD_BITS
    from engines.spark.llm_checkpoint import llm_of
    from engines.spark.llm_config import published_llm
    from engines.spark.llm_stages import HEAD_SEMANTIC, llm_positions, llm_stages

    config = published_llm()
    model = llm_of(random_weights(), config, llm_positions(config), "random weights")
    for stage in llm_stages(model, config, published_tokens()):
        if isinstance(stage, StepStage):
            for precision in precisions:
                export_step(stage, folder / precision, precision=precision)
        elif stage.name == HEAD_SEMANTIC:
            for precision in precisions:
                quantise_file(export(stage, folder / precision), HEAD_BITS)


def transformers_model() -> Any:
    """As the original holds it: float32, with all rows of its head."""
    torchaudio_standin.prepare()
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from engines.checkpoint import on_meta
    from engines.spark.llm_config import published_llm

    config = published_llm()
    with on_meta():
        model = Qwen2ForCausalLM(Qwen2Config(**config.model_dump())).eval()
    # rotary frequencies are computed when a model is built, and here it was built of nothing
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    model.load_state_dict(random_weights(), strict=False, assign=True)
    model.tie_weights()
    return model


def generated(model: Any, prompt: Tensor, tokens: int) -> Tensor:
    """Exactly so many tokens, drawn as the original draws them: int64 [1, tokens]."""
    made = model.generate(
        prompt, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=True, **SAMPLING
    )
    assert made.shape[1] == prompt.shape[1] + tokens
    new: Tensor = made[:, prompt.shape[1] :]
    return new


def random_weights() -> dict[str, Tensor]:
    """Under the published names. Half a thousand million draws would take longer than the bench, so
    each tensor is another stretch of fewer; runtimes hold equal tensors once, and caches too."""
    import torch

    from engines.spark.llm_checkpoint import published_shapes
    from engines.spark.llm_config import published_llm

    drawn = torch.empty(1 << 25).normal_(0, 0.02, generator=torch.Generator().manual_seed(0))
    made = {}
    for number, (key, shape) in enumerate(published_shapes(published_llm()).items()):
        count = int(np.prod(shape))
        if key.endswith("norm.weight"):
            made[key] = torch.ones(shape)
        else:
            pieces = [drawn[100_003 * number :], *[drawn] * (count // len(drawn) + 1)]
            made[key] = torch.cat(pieces)[:count].clone().reshape(shape)
    return made


def prompts(rows: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 150_000, (rows, PROMPT))


def published_tokens() -> Tokens:
    """Ids of the published tokenizer, which the bench has no file of."""
    from engines.spark.tokens import MARKS, Tokens

    marks = {mark: 165_136 + number for number, mark in enumerate(MARKS)}
    numbered = {
        "bicodec_global": np.arange(151_665, 155_761),
        "bicodec_semantic": np.arange(155_761, 163_953),
        "pitch_value": np.arange(163_953, 164_954),
        "speed_value": np.arange(164_975, 164_986),
    }
    return Tokens(None, 165_158, {**marks, "im_end": 151_645}, numbered)  # type: ignore[arg-type]
