"""A release's stages, from its weights or from the ONNX files that were made of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engines.checkpoint import SUFFIX
from engines.coqui.xtts.checkpoint import LISTENING, SPEAKING, load_parts
from engines.coqui.xtts.config import WEIGHTS, XttsConfig
from engines.coqui.xtts.stages import listening, speaking
from engines.coqui.xtts.text import Tokenizer
from engines.errors import BadCheckpoint
from engines.runtime.onnx_file import read_stage, read_step
from engines.runtime.stage import MapStage
from engines.runtime.step import StepStage

ONNX_FOLDER = "onnx"  # of a release
LISTENING_STAGES, SPEAKING_STAGES = ("listen", "speaker"), ("gpt", "decoder")
STEPS = ("gpt",)


def listening_from_weights(folder: Path, config: XttsConfig) -> Iterable[MapStage]:
    """
    Raises:
        BadCheckpoint: the weights are missing, damaged, or not those of the configuration.
    """
    return listening(load_parts(folder, config, LISTENING, 1), config)


def speaking_from_weights(
    folder: Path, config: XttsConfig, *, compiles: bool
) -> Iterable[MapStage | StepStage]:
    """
    Args:
        compiles: for a runtime that pads to buckets and compiles each.

    Raises:
        BadCheckpoint: the weights or the vocabulary are missing, damaged, or not those of the
            configuration.
    """
    parts = load_parts(folder, config, SPEAKING, Tokenizer(folder).size)
    return speaking(parts, config, masks=compiles)


def from_onnx(
    folder: Path, config: XttsConfig, names: Iterable[str]
) -> Iterable[MapStage | StepStage]:
    """
    Raises:
        BadCheckpoint: the release is not converted, or its files are another model's.
    """
    made = folder / ONNX_FOLDER
    missing = [f"{name}.onnx" for name in names if not (made / f"{name}.onnx").is_file()]
    if missing:
        raise BadCheckpoint(
            f"{made} has no {' and no '.join(missing)}.",
            "ONNX Runtime reads a release once it is converted.",
            f"Convert it: python app.py convert {folder} --to onnx",
        )
    found = [
        read_step(made / f"{name}.onnx") if name in STEPS else read_stage(made / f"{name}.onnx")
        for name in names
    ]
    for stage in found:
        widths = {size for port in (*stage.inputs, *stage.outputs) for size in port.shape[1:]}
        if config.width not in widths and stage.name != "speaker":
            raise BadCheckpoint(
                f"{stage.source} is of another model: nothing in it has {config.width} channels.",
                "Its config.json says that this release has.",
                "Convert the release again with `python app.py convert DIR --to onnx`.",
            )
    return found


def weight_bytes(folder: Path) -> int:
    """Upper estimate of the memory that the weights take."""
    files = (folder / WEIGHTS, (folder / WEIGHTS).with_suffix(SUFFIX))
    return max((file.stat().st_size for file in files if file.is_file()), default=0)


def onnx_bytes(folder: Path, names: Iterable[str]) -> int:
    made = folder / ONNX_FOLDER
    return sum(file.stat().st_size for name in names for file in made.glob(f"{name}.onnx*"))
