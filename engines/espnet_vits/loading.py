"""A release's stages, from its weights or from the ONNX files that were made of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engines.checkpoint import SUFFIX
from engines.errors import BadCheckpoint
from engines.espnet_vits.checkpoint import load_generator
from engines.espnet_vits.shelf import Installed
from engines.espnet_vits.stages import stages, streamed
from engines.runtime.onnx_file import stages_in
from engines.runtime.stage import MapStage

STREAMED = ("encode", "flow", "decode_part")  # sound comes in parts
COMPILED = ("encode", "render")  # two graphs


def from_weights(installed: Installed, device: str, dtype: str) -> Iterable[MapStage]:
    """
    Args:
        device: XLA pads to buckets and compiles each; others run every length as it is.
        dtype: what the decoder is computed in.

    Raises:
        BadCheckpoint: the weights are missing, damaged, or not those of the configuration.
    """
    import torch

    from engines.espnet_vits.model import DecodePart
    from engines.nn import onednn
    from engines.nn.valid_conv import PlainConv

    generator = load_generator(installed.release)
    if device.startswith("xla"):
        made = stages(generator, masks=True)
        return [made[name] for name in COMPILED]
    make = onednn.on_cpu(getattr(torch, dtype)) if device == "cpu" else PlainConv
    return streamed(generator, DecodePart(generator, make))


def from_onnx(installed: Installed) -> Iterable[MapStage]:
    """
    Raises:
        BadCheckpoint: the release is not converted, or its files are another model's.
    """
    folder, config = installed.onnx, installed.release.config.generator
    found = {stage.name: stage for stage in stages_in(folder)}
    names = COMPILED if "render" in found else STREAMED
    missing = [name for name in names if name not in found]
    if missing:
        raise BadCheckpoint(
            f"{folder} has no {' and no '.join(f'{name}.onnx' for name in missing)}.",
            "ONNX Runtime reads a release once it is converted.",
            f"Convert it: python app.py convert {installed.release.folder} --to onnx",
        )
    ports = {port.name: port.shape for port in found["encode"].inputs + found["encode"].outputs}
    expected = {"m": (1, config.hidden_channels, "T_text"), "spembs": (1, config.xvector)}
    for name in ("m", *config.conditions):
        if name not in ports or ports[name] != expected.get(name, (1,)):
            raise BadCheckpoint(
                f"{found['encode'].source} has {name} of shape {ports.get(name)}.",
                f"By its config.yaml this release has {expected.get(name, (1,))}.",
                "Convert the release again with `python app.py convert DIR --to onnx`.",
            )
    return [found[name] for name in names]


def weight_bytes(installed: Installed) -> int:
    """Upper estimate of the memory that the weights take."""
    weights = installed.release.meta.weights
    sizes = (each.stat().st_size for each in _present(weights, weights.with_suffix(SUFFIX)))
    return max(sizes, default=0)


def onnx_bytes(installed: Installed) -> int:
    return sum(each.stat().st_size for each in installed.onnx.glob("*.onnx*"))


def _present(*paths: Path) -> list[Path]:
    return [path for path in paths if path.is_file()]
