"""What an ONNX file of Vivavoce says about itself, read without ONNX Runtime or its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from engines.errors import BadCheckpoint
from engines.runtime import stage as stages
from engines.runtime import step as steps
from engines.runtime.stage import MapStage
from engines.runtime.step import StepStage

SUFFIX = ".onnx"
DECLARATION_KEY = "vivavoce.stage"  # of the model's metadata
STEP_KEY = "vivavoce.step"  # instead, where it is a step stage
FIXED_KEY = "vivavoce.fixed"  # sizes of axes that the model has one size for
PRECISION_KEY = "vivavoce.precision"  # what it computes in
MAKE_AGAIN = "Make it again from the checkpoint with `python app.py convert DIR --to onnx`."
METADATA_FIELD = 14  # of ModelProto: pairs of key (field 1) and value (field 2)


def stages_in(folder: Path) -> tuple[MapStage, ...]:
    """The map stages of a folder's ONNX files, by name; step stages are read one by one.

    Raises:
        BadCheckpoint: a file is damaged or no stage of Vivavoce.
    """
    files = [(file, metadata(file)) for file in sorted(folder.glob(f"*{SUFFIX}"))]
    return tuple(_map_stage(file, found) for file, found in files if STEP_KEY not in found)


def read_stage(file: Path) -> MapStage:
    """The stage of an ONNX file, without its weights.

    Raises:
        BadCheckpoint: the file is missing, damaged or no stage of Vivavoce.
    """
    return _map_stage(file, metadata(file))


def read_step(file: Path) -> StepStage:
    """The same of a file that holds a step stage."""
    return steps.read_declaration(_declared(file, metadata(file), STEP_KEY), file)


def _map_stage(file: Path, found: Mapping[str, str]) -> MapStage:
    return stages.read_declaration(_declared(file, found, DECLARATION_KEY), file)


def metadata(file: Path) -> dict[str, str]:
    try:
        with file.open("rb") as opened:
            size = file.stat().st_size
            return dict(
                _pair(opened, end)
                for field, end in _fields(opened, size)
                if field == METADATA_FIELD
            )
    except (OSError, ValueError) as error:
        raise BadCheckpoint(
            f"{file} cannot be read as an ONNX file: {error}.",
            "",
            MAKE_AGAIN,
        ) from error


def _declared(file: Path, found: Mapping[str, str], key: str) -> str:
    if key not in found:
        raise BadCheckpoint(
            f"{file} does not say what its inputs and outputs are.",
            "Only ONNX files that Vivavoce made can be run.",
            "Make them from the checkpoint with `python app.py convert DIR --to onnx`.",
        )
    return found[key]


def _pair(file: BinaryIO, end: int) -> tuple[str, str]:
    texts = {field: file.read(stop - file.tell()) for field, stop in _fields(file, end)}
    return texts.get(1, b"").decode(), texts.get(2, b"").decode()


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Number and end of each length-delimited field of a protobuf message, the file standing at its
    content; afterwards the file stands behind the message."""
    while file.tell() < end:
        key = _varint(file)
        if key & 7 == 0:
            _varint(file)
        elif key & 7 == 2:
            stop = _varint(file) + file.tell()
            if stop > end:
                raise ValueError("it is cut off, or something else")
            yield key >> 3, stop
            file.seek(stop)
        else:
            raise ValueError("it is something else")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is something else")
