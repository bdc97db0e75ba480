"""A release in other files: safetensors, which any torch opens, and ONNX, which needs no torch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engines.coqui.xtts import loading
from engines.coqui.xtts.checkpoint import convert_speakers
from engines.coqui.xtts.config import read_config
from engines.runtime.step import StepStage

if TYPE_CHECKING:
    from engines.runtime.stage import MapStage

Precision = Literal["fp32", "int8", "int4"]


def to_onnx(
    folder: Path, *, precision: Precision = "fp32", opset: int | None = None
) -> Iterator[tuple[str, MapStage | StepStage, Path]]:
    """Write `onnx/<stage>.onnx` into a release, and its speakers as safetensors; gives precision,
    stage and file of each as soon as it is made. They take their place together, once all are
    whole.

    Args:
        precision: of the GPT, which is nearly all of the model. What listens and what makes sound
            stay in single precision: they are convolutions, which gain nothing.
        opset: None takes the exporter's usual one.

    Raises:
        BadCheckpoint: the release cannot be loaded.
    """
    from engines.runtime.export import export
    from engines.runtime.export_step import export_step
    from engines.runtime.tracing import OPSET

    config = read_config(folder)
    convert_speakers(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".onnx-") as scratch:
        whole = Path(scratch) / loading.ONNX_FOLDER
        made: list[MapStage | StepStage] = [*loading.listening_from_weights(folder, config)]
        made += loading.speaking_from_weights(folder, config, compiles=False)
        for stage in made:
            if isinstance(stage, StepStage):
                file = export_step(stage, whole, precision=precision, opset=opset or OPSET)
                yield precision, stage, file
            else:
                yield "fp32", stage, export(stage, whole, opset=opset or OPSET)
        target = folder / loading.ONNX_FOLDER
        if target.exists():
            shutil.rmtree(target)
        whole.rename(target)
