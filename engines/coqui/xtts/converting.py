"""A release in other files: safetensors, which any torch opens, and ONNX, which needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.checkpoint.folders import taking_place_of
from engines.coqui.xtts import loading, stages
from engines.coqui.xtts.checkpoint import SPEAKERS_SAFE, convert_release, convert_speakers
from engines.coqui.xtts.config import CONFIG, LATENTS, XttsConfig, read_config
from engines.coqui.xtts.synthesis import prompt
from engines.coqui.xtts.text import Tokenizer
from engines.errors import BadCheckpoint, InvalidRequest
from engines.runtime.step import StepStage

if TYPE_CHECKING:
    from engines.runtime.stage import MapStage

RELEASE = "An XTTS v2 release has files config.json and vocab.json"
PRECISIONS = ("fp32", "int8", "int4")
SIZES = {  # that a file is tried with, along each axis
    stages.CLIP: (29, 260, 345),
    stages.BANDS: (34, 300, 1001),
    stages.MEL: (1, 40, 160),
}
TEXTS = (1, 20)  # pieces of the texts that the GPT is tried with


def recognises(folder: Path) -> bool:
    try:
        return (folder / CONFIG).is_file() and bool(read_config(folder).model)
    except BadCheckpoint:
        return False


def to_safetensors(folder: Path) -> list[Path]:
    """
    Raises:
        BadCheckpoint: the weights or the speakers cannot be opened.
    """
    made = (convert_release(folder), folder / SPEAKERS_SAFE)
    return [file for file in made if file.is_file()]


def to_onnx(
    folder: Path,
    *,
    precision: Any = "fp32",
    opset: int | None = None,
    device: str = "cpu",
    dynamic: bool = True,
) -> Iterator[tuple[Any, MapStage | StepStage, Path]]:
    """Write `onnx/<stage>.onnx` into a release, and its speakers as safetensors; gives precision,
    stage and file of each as soon as it is made. They take their place together, once all are
    whole.

    Args:
        precision: of the GPT, which is nearly all of the model. What listens and what makes sound
            stay in single precision: they are convolutions, which gain nothing.
        opset: None takes the exporter's usual one.
        device: where torch traces what is not the GPT.
        dynamic: sizes along time stay free; others there are none.

    Raises:
        BadCheckpoint: the release cannot be loaded.
        InvalidRequest: sizes are to be fixed.
    """
    from engines.runtime.export import export
    from engines.runtime.export_step import export_step
    from engines.runtime.tracing import OPSET

    if not dynamic:
        raise InvalidRequest(
            "--no-dynamic-axes was given for XTTS.",
            "Its files work at every length, and its clips have lengths of any kind.",
            "Leave it out.",
        )
    config = read_config(folder)
    convert_speakers(folder)
    with taking_place_of(folder / loading.ONNX_FOLDER) as whole:
        made: list[MapStage | StepStage] = [*loading.listening_from_weights(folder, config)]
        made += loading.speaking_from_weights(folder, config, compiles=False)
        for stage in made:
            if isinstance(stage, StepStage):
                file = export_step(stage, whole, precision=precision, opset=opset or OPSET)
                yield precision, stage, file
            else:
                yield "fp32", stage, export(stage, whole, opset=opset or OPSET, device=device)


def examples(folder: Path, stage: MapStage | StepStage) -> Iterator[Mapping[str, np.ndarray]]:
    """Inputs of several lengths to verify a file of the release with."""
    from engines.runtime.export import random_inputs

    config = read_config(folder)
    if isinstance(stage, StepStage):
        yield from _prompts(Tokenizer(folder).size, config)
        return
    [axis] = stage.axes()
    for number, size in enumerate(SIZES[axis]):
        yield random_inputs(stage, {axis: size}, below={}, seed=number)


def _prompts(pieces: int, config: XttsConfig) -> Iterator[Mapping[str, np.ndarray]]:
    draw = np.random.default_rng(0)
    for size in TEXTS:
        ids = tuple(draw.integers(0, pieces, size).tolist())
        voice = draw.standard_normal((1, LATENTS, config.width), np.float32)
        yield {**prompt(ids, config.model_args.gpt_start_audio_token), "voice": voice}


def answers(_folder: Path, _precision: object) -> tuple[()]:
    """The single stages tell all."""
    return ()
