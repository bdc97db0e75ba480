"""`convert`: a published model's files as safetensors or ONNX, beside its own."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from commands import console, flags
from engines.errors import InvalidRequest

if TYPE_CHECKING:
    import numpy as np

    from engines.runtime.export import Row
    from engines.runtime.stage import MapStage
    from engines.runtime.step import StepStage

PRECISIONS = ("fp32", "fp16", "int8", "int4")


class Converter(Protocol):
    """A module of `registry.CONVERTERS`.

    Attributes:
        RELEASE: by what its releases are known, in words.
        PRECISIONS: of ONNX files, those of the ones above that it can write.
    """

    RELEASE: str
    PRECISIONS: Sequence[str]

    def recognises(self, folder: Path) -> bool:
        """Whether a folder is a release of the family."""
        ...

    def to_safetensors(self, folder: Path) -> Sequence[Path]:
        """Write weights that are no safetensors files as such; gives what now lies there."""
        ...

    def to_onnx(
        self, folder: Path, *, precision: Any, opset: int | None, device: str, dynamic: bool
    ) -> Iterator[tuple[Any, MapStage | StepStage, Path]]:
        """Write every stage; gives precision, stage and file of each as soon as it is made."""
        ...

    def examples(
        self, folder: Path, stage: MapStage | StepStage
    ) -> Iterator[Mapping[str, np.ndarray]]:
        """Inputs of several lengths to verify a stage's file with."""
        ...

    def answers(self, folder: Path, precision: Any) -> Iterable[Row]:
        """How what all files give together compares with torch, where the single stages do not
        tell; once they have taken their place."""
        ...


def add(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "convert",
        help="write a model's weights as safetensors or ONNX",
        description="Write a published model's weights as safetensors, which every torch opens "
        "safely, or as ONNX files, which need no torch. What is there stays.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a release, as it was published")
    parser.add_argument(
        "--to", choices=("safetensors", "onnx"), default="safetensors", help="default: safetensors"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="of ONNX files (default: fp32)"
    )
    parser.add_argument("--opset", type=int, metavar="NUMBER", help="version of ONNX's operators")
    parser.add_argument(
        "--dynamic-axes",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="sizes along time stay free in ONNX files, which is the default; fixed ones suit "
        "hardware that plans anew for each size",
    )
    parser.add_argument(
        "--skip-verification", action="store_true", help="do not compare ONNX files with torch"
    )
    flags.add_device(parser, suppress=True)


def run(arguments: argparse.Namespace) -> int:
    converter = converter_of(arguments.folder)
    if arguments.to == "safetensors":
        for file in converter.to_safetensors(arguments.folder):
            print(f"Written: {file}")
        return 0
    return _to_onnx(converter, arguments)


def converter_of(folder: Path) -> Converter:
    """The one of the family that a folder is a release of.

    Raises:
        InvalidRequest: it is none of any.
    """
    from engines import registry

    known = [cast("Converter", import_module(name)) for name in registry.CONVERTERS.values()]
    for converter in known:
        if converter.recognises(folder):
            return converter
    raise InvalidRequest(
        f"{folder} is no release that can be converted.",
        f"{'; '.join(converter.RELEASE for converter in known)}.",
        "Give the folder that holds it; `python app.py models` lists what is installed.",
    )


def _to_onnx(converter: Converter, arguments: argparse.Namespace) -> int:
    if arguments.precision not in converter.PRECISIONS:
        raise InvalidRequest(
            f"--precision was {arguments.precision} for {arguments.folder}.",
            f"Releases of this family are written in {', '.join(converter.PRECISIONS)}.",
            "Pick one of these.",
        )
    from engines.runtime import device as devices

    device = "cpu"
    if arguments.device != "auto":
        device = devices.resolve(arguments.device, ("cpu", "cuda", "mps")).name
    rows: list[Row] = []
    made = converter.to_onnx(
        arguments.folder,
        precision=arguments.precision,
        opset=arguments.opset,
        device=device,
        dynamic=arguments.dynamic_axes,
    )
    for precision, stage, file in made:
        print(f"{file.name}: {precision}, {_bytes(file) / 1e6:.1f} MB", flush=True)
        if not arguments.skip_verification:
            rows += _verified(converter, arguments.folder, stage, file, precision)
    if not arguments.skip_verification:
        rows += converter.answers(arguments.folder, arguments.precision)
    if rows:
        _show(rows)
    if not all(row.passed for row in rows):
        print("Some outputs are not as torch gives them: do not rely on these files.")
        return console.FAILURE
    print(f"Written: {arguments.folder / 'onnx'}")
    return 0


def _verified(
    converter: Converter, folder: Path, stage: MapStage | StepStage, file: Path, precision: Any
) -> list[Row]:
    from engines.runtime.export import verify
    from engines.runtime.step import StepStage
    from engines.runtime.verify_step import verify_step

    examples = converter.examples(folder, stage)
    if isinstance(stage, StepStage):
        return verify_step(stage, file, examples, precision=precision)
    return verify(stage, file, examples, precision=precision)


def _bytes(file: Path) -> int:
    """Of a file, with its weights where they stand beside it."""
    return sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))


def _show(rows: list[Row]) -> None:
    header = ("Stage", "Sizes", "Output", "Largest difference", "Relative", "")
    print(console.columns(header, [_cells(row) for row in rows]))


def _cells(row: Row) -> tuple[str, ...]:
    sizes = ", ".join(f"{axis} {size}" for axis, size in row.sizes.items())
    differences = f"{row.absolute:.1e}", f"{row.relative:.1e}"
    return row.stage, sizes, row.output, *differences, "pass" if row.passed else "FAIL"
