"""A release's stages, from its weights or from the ONNX files that were made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from engines.checkpoint import SUFFIX
from engines.errors import BadCheckpoint
from engines.runtime.buckets import BucketTable
from engines.runtime.onnx_file import SUFFIX as ONNX
from engines.runtime.onnx_file import read_stage, read_step
from engines.runtime.stage import MapStage
from engines.runtime.step import StepStage
from engines.spark import llm_stages
from engines.spark.checkpoint import CODEC_FILE, FEATURES_FILE, load_codec, load_features
from engines.spark.config import SparkConfig
from engines.spark.llm_checkpoint import LLM_FILE, load_llm
from engines.spark.llm_config import read_llm_config
from engines.spark.shelf import Installed
from engines.spark.stages import LISTENING, SPEAKING, codec_buckets, listening, speaking
from engines.spark.tokens import Tokens, read_tokens

Task = Literal["speaking", "listening"]
LLM_STAGES = (llm_stages.LLM, llm_stages.HEAD_SEMANTIC, llm_stages.HEAD_VOICE)


def tokens_of(installed: Installed) -> Tokens:
    """
    Raises:
        BadCheckpoint: the tokenizer is missing, damaged, or not of this codec.
    """
    sizes = installed.config.codec
    return read_tokens(
        installed.folder,
        semantic=sizes.quantizer.codebook_size,
        speaker=sizes.speaker_encoder.codes,
    )


def buckets(config: SparkConfig) -> BucketTable:
    return {**codec_buckets(config), **llm_stages.BUCKETS}


def from_weights(
    installed: Installed, task: Task, *, compiles: bool
) -> Iterable[MapStage | StepStage]:
    """
    Args:
        compiles: for a runtime that pads to buckets and compiles each.

    Raises:
        BadCheckpoint: the weights are missing, damaged, or not those of the configuration.
    """
    folder, config = installed.folder, installed.config
    if task == "listening":
        features = load_features(folder, config)
        yield from listening(load_codec(folder, config), features, config, masks=compiles)
        return
    tokens = tokens_of(installed)
    llm_config = read_llm_config(folder, tokens.count)
    model = load_llm(folder, llm_config, llm_stages.llm_positions(llm_config))
    yield from llm_stages.llm_stages(model, llm_config, tokens)
    yield from speaking(load_codec(folder, config), config, masks=compiles)


def from_onnx(installed: Installed, task: Task) -> Iterable[MapStage | StepStage]:
    """
    Raises:
        BadCheckpoint: the release is not converted, or its files are another model's.
    """
    names = LISTENING if task == "listening" else (*LLM_STAGES, *SPEAKING)
    missing = [name for name in names if not (installed.onnx / f"{name}{ONNX}").is_file()]
    if missing:
        raise BadCheckpoint(
            f"{installed.onnx} has no {' and no '.join(f'{name}{ONNX}' for name in missing)}.",
            "ONNX Runtime reads a release once it is converted.",
            f"Convert it: python app.py convert {installed.folder} --to onnx",
        )
    for name in names:
        file = installed.onnx / f"{name}{ONNX}"
        stage = read_step(file) if name == llm_stages.LLM else read_stage(file)
        _check(stage, installed)
        yield stage


def _check(stage: MapStage | StepStage, installed: Installed) -> None:
    """That a file is of the release's model, by the sizes that its configuration tells."""
    sizes = installed.config.codec
    known = {
        "d_vector": sizes.speaker_encoder.out_dim,
        "tokens": sizes.speaker_encoder.token_num,
    }
    for port in (*stage.inputs, *stage.outputs):
        if port.name in known and port.shape[-1] != known[port.name]:
            raise BadCheckpoint(
                f"{stage.source} has {port.name} of shape {port.shape}.",
                f"By its configuration this release has {known[port.name]} numbers there.",
                "Convert the release again with `python app.py convert DIR --to onnx`.",
            )


def weight_bytes(installed: Installed, task: Task) -> int:
    """Upper estimate of the memory that the weights take."""
    files: Sequence[str] = (CODEC_FILE, FEATURES_FILE if task == "listening" else LLM_FILE)
    paths = [installed.folder / file for file in files]
    return sum(max(_size(path), _size(path.with_suffix(SUFFIX))) for path in paths)


def onnx_bytes(installed: Installed, task: Task) -> int:
    names = LISTENING if task == "listening" else (*LLM_STAGES, *SPEAKING)
    files = (file for name in names for file in installed.onnx.glob(f"{name}{ONNX}*"))
    return sum(map(_size, files))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
