"""A release in other files: safetensors, which any torch opens, and ONNX, which needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.checkpoint.folders import taking_place_of
from engines.espnet_vits.checkpoint import convert_release, load_generator, open_release
from engines.espnet_vits.loading import COMPILED
from engines.espnet_vits.shelf import META, ONNX_FOLDER
from engines.espnet_vits.stages import stages, streamed

if TYPE_CHECKING:
    from engines.espnet_vits.model import Generator
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
    generator = load_generator(release)
    # in 8 bits no convolution is faster
    written = device == "cpu" and precision != "fp16"
    with taking_place_of(release.folder / ONNX_FOLDER) as whole:
        for stage in _stages(generator, dynamic=dynamic, written=written):
            exact = {"fp16": "encode", "int8": "decode_part"}.get(precision)
            given: Precision = "fp32" if stage.name == exact else precision
            file = export(
                stage,
                whole,
                precision=given,
                opset=opset or OPSET,
                device=device,
                fixed={} if dynamic else {axis: FIXED[axis] for axis in stage.axes()},
            )
            yield given, stage, file


def _stages(generator: Generator, *, dynamic: bool, written: bool) -> list[MapStage]:
    """
    Args:
        written: the decoder's graph is the one that ONNX Runtime's CPU is fastest with.
    """
    from engines.espnet_vits.model import DecodePart, WrittenDecodePart
    from engines.nn.hifigan_parts import in_graph

    if not dynamic:
        made = stages(generator, masks=True)
        return [made[name] for name in COMPILED]
    if written:
        return streamed(generator, WrittenDecodePart(generator))
    return streamed(generator, DecodePart(generator, place=in_graph))


def examples(folder: Path, stage: MapStage) -> Iterator[Mapping[str, np.ndarray]]:
    """Inputs of several lengths to verify a file of the release with."""
    from engines.runtime.export import random_inputs

    config = open_release(folder).config.generator
    below = {"ids": config.vocabs, "sid": FEWEST, "lid": FEWEST}
    [axis] = stage.axes()
    for number, size in enumerate(TEXTS if axis == "T_text" else FRAMES):
        scalars = {"alpha": 1.0, "noise_scale": 0.667, "noise_scale_dur": 0.8}
        # a first part, one in the middle, a last one behind whose middle nothing follows
        scalars |= {"start": 30 * (number % 3), "frames": 80 if number == 2 else 200}
        yield random_inputs(stage, {axis: size}, below=below, scalars=scalars, seed=number)


def answers(_folder: Path, _precision: object) -> tuple[()]:
    """The single stages tell all."""
    return ()
