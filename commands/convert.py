"""`convert`: a published model's files as safetensors or ONNX, beside its own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from commands import console, flags
from engines.errors import InvalidRequest
from engines.runtime import device as devices

if TYPE_CHECKING:
    from engines.runtime.export import Row


def add(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "convert",
        help="write a model's weights as safetensors or ONNX",
        description="Write a published model's weights as safetensors, which every torch opens "
        "safely, or as ONNX files, which need no torch. What is there stays. Sizes along time stay "
        "free in the ONNX files.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", type=Path, metavar="DIR", help="an ESPnet VITS release")
    parser.add_argument(
        "--to", choices=("safetensors", "onnx"), default="safetensors", help="default: safetensors"
    )
    parser.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), default="fp32", help="of ONNX files"
    )
    parser.add_argument("--opset", type=int, metavar="NUMBER", help="version of ONNX's operators")
    parser.add_argument(
        "--skip-verification", action="store_true", help="do not compare ONNX files with torch"
    )
    flags.add_device(parser, suppress=True)


def run(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.folder
    if not (folder / "meta.yaml").is_file():
        raise InvalidRequest(
            f"{folder} is no ESPnet VITS release.",
            "One has a file meta.yaml, which names its weights and its configuration.",
            "Give the folder that holds it; `python app.py models` lists what is installed.",
        )
    if arguments.to == "safetensors":
        from engines.espnet_vits.checkpoint import convert_release

        print(f"Written: {convert_release(folder)}")
        return 0
    return _to_onnx(arguments)


def _to_onnx(arguments: argparse.Namespace) -> int:
    from engines.espnet_vits.converting import examples, to_onnx
    from engines.runtime.export import verify

    device = "cpu"
    if arguments.device != "auto":
        device = devices.resolve(arguments.device, ("cpu", "cuda", "mps")).name
    rows: list[Row] = []
    made = to_onnx(
        arguments.folder, precision=arguments.precision, opset=arguments.opset, device=device
    )
    for precision, stage, file in made:
        print(f"{file.name}: {precision}, {file.stat().st_size / 1e6:.1f} MB", flush=True)
        if not arguments.skip_verification:
            inputs = examples(arguments.folder, stage)
            rows += verify(stage, file, inputs, precision=precision)
    if rows:
        _show(rows)
    if not all(row.passed for row in rows):
        print("Some outputs are not as torch gives them: do not rely on these files.")
        return console.FAILURE
    print(f"Written: {arguments.folder / 'onnx'}")
    return 0


def _show(rows: list[Row]) -> None:
    header = ("Stage", "Sizes", "Output", "Largest difference", "Relative", "")
    print(console.columns(header, [_cells(row) for row in rows]))


def _cells(row: Row) -> tuple[str, ...]:
    sizes = ", ".join(f"{axis} {size}" for axis, size in row.sizes.items())
    differences = f"{row.absolute:.1e}", f"{row.relative:.1e}"
    return row.stage, sizes, row.output, *differences, "pass" if row.passed else "FAIL"
