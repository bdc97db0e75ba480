"""A release in other files: safetensors, which any torch opens, and ONNX, which needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.checkpoint import SUFFIX, convert
from engines.checkpoint.folders import taking_place_of
from engines.runtime.step import StepStage
from engines.spark import stages
from engines.spark.checkpoint import CODEC_FILE, FEATURES_FILE, load_codec, load_features
from engines.spark.config import SparkConfig, read_config
from engines.spark.llm_checkpoint import load_llm
from engines.spark.llm_config import read_llm_config
from engines.spark.llm_stages import llm_positions, llm_stages
from engines.spark.shelf import ONNX_FOLDER, is_release
from engines.spark.stages import codec_buckets
from engines.spark.tokens import Tokens, read_tokens

if TYPE_CHECKING:
    from engines.runtime.export import Row
    from engines.runtime.stage import MapStage

RELEASE = "A Spark-TTS release has a folder BiCodec"
PRECISIONS = ("fp32", "fp16", "int8", "int4")
SIZES = {  # that a file is tried with, along each axis
    stages.REF: (400, 1500, 16_000),
    stages.CLIP: (1, 9, 50),
    stages.CODES: (1, 9, 50),
}
PROMPTS = ((1, 1), (1, 30), (3, 12))  # rows and positions that the language model is tried with
HEAD_BITS = 8  # where the language model has fewer: a head takes little time and decides alone
HALVED = ("decoder",)  # in half precision; elsewhere a rounded number might be another token


def recognises(folder: Path) -> bool:
    return is_release(folder)


def to_safetensors(folder: Path) -> list[Path]:
    """wav2vec2's weights; the others are published that way.

    Raises:
        BadCheckpoint: they cannot be opened.
    """
    source = folder / FEATURES_FILE
    target = source.with_suffix(SUFFIX)
    if not target.is_file():
        convert(source, target)
    return [folder / CODEC_FILE, target]


def to_onnx(
    folder: Path,
    *,
    precision: Any = "fp32",
    opset: int | None = None,
    device: str = "cpu",
    dynamic: bool = True,
) -> Iterator[tuple[Any, MapStage | StepStage, Path]]:
    """Write `onnx/<stage>.onnx` into a release; gives precision, stage and file of each as soon as
    it is made. They take their place together, once all are whole.

    Args:
        precision: "int8" and "int4" are the language model's, and "fp16" the wave generator's;
            whatever decides on a token of the codec stays in full precision.
        opset: None takes the exporter's usual one.
        device: where torch traces the codec.
        dynamic: sizes along time stay free in the codec; the language model's always do.

    Raises:
        BadCheckpoint: the release cannot be loaded.
    """
    from engines.runtime.export import export
    from engines.runtime.tracing import OPSET

    config = read_config(folder)
    sizes = {} if dynamic else {axis: each.largest for axis, each in codec_buckets(config).items()}
    with taking_place_of(folder / ONNX_FOLDER) as whole:
        for stage in _codec(folder, config, masks=not dynamic):
            given = "fp16" if precision == "fp16" and stage.name in HALVED else "fp32"
            fixed = {axis: sizes[axis] for axis in stage.axes() if axis in sizes}
            file = export(
                stage,
                whole,
                precision=given,  # type: ignore[arg-type]
                opset=opset or OPSET,
                fixed=fixed,
                device=device,
            )
            yield given, stage, file
        yield from _llm_to_onnx(folder, config, whole, precision, opset or OPSET)


def examples(folder: Path, stage: MapStage | StepStage) -> Iterator[Mapping[str, np.ndarray]]:
    """Inputs of several lengths to verify a file of the release with."""
    from engines.runtime.export import random_inputs

    config = read_config(folder)
    if isinstance(stage, StepStage):
        tokens = _tokens(folder, config)
        draw = np.random.default_rng(0)
        for rows, length in PROMPTS:
            yield {"ids": draw.integers(0, tokens.count, (rows, length))}
        return
    below = {
        "semantic": config.codec.quantizer.codebook_size,
        "tokens": config.codec.speaker_encoder.codes,
    }
    [axis] = stage.axes() or [""]
    for number, size in enumerate(SIZES.get(axis, (1,))):
        yield random_inputs(stage, {axis: size}, below=below, seed=number)


def answers(folder: Path, precision: Any) -> Iterator[Row]:
    """How often the language model's files would choose another token than torch does."""
    from engines.spark.verifying import greedy_row

    config = read_config(folder)
    tokens = _tokens(folder, config)
    speakers = config.codec.speaker_encoder.token_num
    step = precision if precision in ("int8", "int4") else "fp32"
    yield greedy_row(folder, folder / ONNX_FOLDER, tokens, speakers, step)


def _codec(folder: Path, config: SparkConfig, *, masks: bool) -> Iterator[MapStage]:
    codec = load_codec(folder, config, training=True)
    yield from stages.listening(codec, load_features(folder, config), config, masks=masks)
    yield from stages.speaking(codec, config, masks=masks)
    assert codec.postnet is not None
    yield stages.postnet(codec.postnet, config, masks=masks)


def _llm_to_onnx(
    folder: Path, config: SparkConfig, whole: Path, precision: Any, opset: int
) -> Iterator[tuple[Any, MapStage | StepStage, Path]]:
    from engines.runtime.export import export
    from engines.runtime.export_step import export_step
    from engines.runtime.quantise import quantise_file

    tokens = _tokens(folder, config)
    llm_config = read_llm_config(folder, tokens.count)
    model = load_llm(folder, llm_config, llm_positions(llm_config))
    step: Any = precision if precision in ("int8", "int4") else "fp32"
    for stage in llm_stages(model, llm_config, tokens):
        if isinstance(stage, StepStage):
            yield step, stage, export_step(stage, whole, precision=step, opset=opset)
        else:
            file = export(stage, whole, opset=opset)
            if step != "fp32":
                quantise_file(file, HEAD_BITS)
            yield "fp32" if step == "fp32" else "int8", stage, file


def _tokens(folder: Path, config: SparkConfig) -> Tokens:
    sizes = config.codec
    return read_tokens(
        folder, semantic=sizes.quantizer.codebook_size, speaker=sizes.speaker_encoder.codes
    )
