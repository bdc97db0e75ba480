"""The language model's weights, from their published names into our fused layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.checkpoint import Report, Wrong, on_meta, read
from engines.spark.llm_config import LlmConfig

if TYPE_CHECKING:
    from torch import Tensor

    from engines.spark.llm import Llm

LLM_FILE = "LLM/model.safetensors"
TIED = "lm_head.weight"  # some who trained the model on wrote the embedding a second time

# Our matrix, and the published ones that stand in it one above the other.
PARTS = {
    "norm.weight": ("input_layernorm.weight",),
    "qkv.weight": tuple(f"self_attn.{each}_proj.weight" for each in "qkv"),
    "qkv.bias": tuple(f"self_attn.{each}_proj.bias" for each in "qkv"),
    "out.weight": ("self_attn.o_proj.weight",),
    "mlp_norm.weight": ("post_attention_layernorm.weight",),
    "enter.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "leave.weight": ("mlp.down_proj.weight",),
}
ENDS = {"embedding.weight": "model.embed_tokens.weight", "norm.weight": "model.norm.weight"}


def load_llm(folder: Path, config: LlmConfig, positions: int) -> Llm:
    """
    Args:
        folder: the release.
        positions: as many as a row may have.

    Raises:
        BadCheckpoint: the weights are missing, damaged, or do not fit the configuration.
    """
    path = folder / LLM_FILE
    return llm_of(dict(read(path)), config, positions, str(path))


def llm_of(state: dict[str, Tensor], config: LlmConfig, positions: int, file: str) -> Llm:
    """The model of tensors under their published names, which are taken out of `state`."""
    import torch

    from engines.spark.llm import Llm

    _compared({key: list(each.shape) for key, each in state.items()}, config, file).check()
    with on_meta():
        model = Llm(config, positions)
    fused = {ours: state.pop(theirs).clone() for ours, theirs in ENDS.items()}
    for layer in range(config.num_hidden_layers):
        for ours, theirs in PARTS.items():
            # one by one, so that the model is never there twice
            parts = [state.pop(f"model.layers.{layer}.{name}") for name in theirs]
            fused[f"layers.{layer}.{ours}"] = torch.cat(parts)
    model.load_state_dict(fused, assign=True)
    return model.tables().eval().requires_grad_(False)


def examine_llm(shapes: Mapping[str, Mapping[str, Any]], config: LlmConfig, file: str) -> Report:
    """How the tensors that a published file is said to hold differ from what is built here.

    Args:
        shapes: by published name, `{"shape": [...], "dtype": "float32"}`.
    """
    return _compared({key: list(each["shape"]) for key, each in shapes.items()}, config, file)


def published_shapes(config: LlmConfig) -> dict[str, list[int]]:
    """Every tensor of the published file."""
    size, inner = config.hidden_size, config.intermediate_size
    shared = config.num_key_value_heads * config.head_dim
    layer = {
        "input_layernorm.weight": [size],
        "post_attention_layernorm.weight": [size],
        "self_attn.q_proj.weight": [size, size],
        "self_attn.k_proj.weight": [shared, size],
        "self_attn.v_proj.weight": [shared, size],
        "self_attn.o_proj.weight": [size, size],
        "self_attn.q_proj.bias": [size],
        "self_attn.k_proj.bias": [shared],
        "self_attn.v_proj.bias": [shared],
        "mlp.gate_proj.weight": [inner, size],
        "mlp.up_proj.weight": [inner, size],
        "mlp.down_proj.weight": [size, inner],
    }
    return {
        "model.embed_tokens.weight": [config.vocab_size, size],
        "model.norm.weight": [size],
        **{
            f"model.layers.{number}.{name}": shape
            for number in range(config.num_hidden_layers)
            for name, shape in layer.items()
        },
    }


def _compared(found: Mapping[str, list[int]], config: LlmConfig, file: str) -> Report:
    expected = published_shapes(config)
    return Report(
        file,
        missing=tuple(key for key in expected if key not in found),
        unexpected=tuple(key for key in found if key not in expected and key != TIED),
        wrong=tuple(
            Wrong(key, str(shape), str(found[key]))
            for key, shape in expected.items()
            if key in found and found[key] != shape
        ),
    )
