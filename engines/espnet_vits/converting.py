"""A release in other files: safetensors, which any torch opens, and ONNX, which needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.checkpoint.folders import taking_place_of
from engines.espnet_vits.checkpoint import convert_release, load_generator, open_release
from engines.espnet_vits.loading import COMPILED, STREAMED
from engines.espnet_vits.shelf import META, ONNX_FOLDER
from engines.espnet_vits.stages import stages

if TYPE_CHECKING:
    from engines.runtime.export import Precision
    from engines.runtime.stage import MapStage

# Sizes along time where each file has one. Longer texts and sounds are made in parts.
FIXED = {"T_text": 256, "T_mel": 512}
TEXTS, FRAMES = (1, 5, 24, 61), (1, 9, 40, 160)  # sizes that a file is tried with
FEWEST = 2  # speakers or languages of a model that has ids for them

RELEASE = "An ESPnet VITS release has a file meta.yaml"
PRECISIONS = ("fp32", "fp16", "int8")


def recognises(folder: Path) -> bool:
    return (folder / META).is_file()


def to_safetensors(folder: Path) -> list[Path]:
    """
    Raises:
        BadCheckpoint: the weights cannot be opened.
    """
    return [convert_release(folder)]


def to_onnx(
    folder: Path,
    *,
    precision: Precision = "fp32",
    opset: int | None = None,
    device: str = "cpu",
    dynamic: bool = True,
) -> Iterator[tuple[Precision, MapStage, Path]]:
    """Write `onnx/<stage>.onnx` into a release; gives precision, stage and
    file of each as soon as it is made. They take their place together, once all are whole.

    Args:
        precision: of the files. In half precision the text encoder stays in single: a rounded
            duration would move everything after it.
        opset: None takes the exporter's usual one.
        device: where torch traces the model.
        dynamic: sizes along time stay free. Otherwise every file has one, to which what is shorter
            is padded: for hardware that plans anew for every size. Flow and decoder are then one
            file, `render`, as their masks have to be.

    Raises:
        BadCheckpoint: the release cannot be loaded.
    """
    from engines.runtime.export import export
    from engines.runtime.tracing import OPSET

    release = open_release(folder)
    made = stages(load_generator(release), masks=not dynamic)
    with taking_place_of(release.folder / ONNX_FOLDER) as whole:
        for name in STREAMED if dynamic else COMPILED:
            given: Precision = "fp32" if precision == "fp16" and name == "encode" else precision
            axes = made[name].axes()
            file = export(
                made[name],
                whole,
                precision=given,
                opset=opset or OPSET,
                device=device,
                fixed={} if dynamic else {axis: FIXED[axis] for axis in axes},
            )
            yield given, made[name], file


def examples(folder: Path, stage: MapStage) -> Iterator[Mapping[str, np.ndarray]]:
    """Inputs of several lengths to verify a file of the release with."""
    from engines.runtime.export import random_inputs

    config = open_release(folder).config.generator
    below = {"ids": config.vocabs, "sid": FEWEST, "lid": FEWEST}
    [axis] = stage.axes()
    for number, size in enumerate(TEXTS if axis == "T_text" else FRAMES):
        scalars = {"alpha": 1.0, "noise_scale": 0.667, "noise_scale_dur": 0.8}
        yield random_inputs(stage, {axis: size}, below=below, scalars=scalars, seed=number)


def answers(_folder: Path, _precision: object) -> tuple[()]:
    """The single stages tell all."""
    return ()
