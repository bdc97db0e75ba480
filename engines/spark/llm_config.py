"""The language model's configuration: `LLM/config.json`, with the published names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engines.checkpoint import bad_file, read_json, validated

CONFIG_FILE = "LLM/config.json"


class LlmConfig(BaseModel):
    """What of it shapes a Qwen2 model. Special tokens are looked up by their names instead."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: Literal["qwen2"] = "qwen2"
    vocab_size: int = Field(ge=1, le=1 << 24)
    hidden_size: int = Field(ge=2, le=1 << 14)
    intermediate_size: int = Field(ge=1, le=1 << 16)
    num_hidden_layers: int = Field(ge=1, le=256)
    num_attention_heads: int = Field(ge=1, le=256)
    num_key_value_heads: int = Field(ge=1, le=256)
    rms_norm_eps: float = Field(1e-6, gt=0)
    rope_theta: float = Field(1e6, gt=0)
    rope_scaling: None = None
    max_position_embeddings: int = Field(32_768, ge=16)
    hidden_act: Literal["silu"] = "silu"
    tie_word_embeddings: Literal[True] = True
    use_sliding_window: Literal[False] = False

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @model_validator(mode="after")
    def _belongs_together(self) -> LlmConfig:
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError("hidden_size is no even multiple of num_attention_heads")
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads is no multiple of num_key_value_heads")
        return self


def read_llm_config(folder: Path, tokens: int) -> LlmConfig:
    """
    Args:
        folder: the release.
        tokens: of its tokenizer.

    Raises:
        BadCheckpoint: the file is missing, damaged, describes an architecture that is not known
            here, or has fewer rows than the tokenizer has tokens.
    """
    source = folder / CONFIG_FILE
    config = validated(LlmConfig, read_json(source), source, "")
    if config.vocab_size < tokens:
        raise bad_file(source, f"has vocab_size {config.vocab_size}, and its tokenizer {tokens}")
    return config


def published_llm() -> LlmConfig:
    """That of SparkAudio/Spark-TTS-0.5B."""
    return LlmConfig(
        vocab_size=166_000,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        rms_norm_eps=1e-6,
        rope_theta=1e6,
        max_position_embeddings=32_768,
    )
