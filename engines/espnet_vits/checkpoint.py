"""A release's weights into the generator and the discriminators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.checkpoint import (
    SUFFIX,
    KeyMap,
    Report,
    Wrong,
    convert,
    described,
    examine,
    load,
    load_trainable,
    on_meta,
    read,
)
from engines.espnet_vits.config import (
    GeneratorConfig,
    Meta,
    ReleaseConfig,
    read_config,
    read_meta,
)

if TYPE_CHECKING:
    from torch import Tensor

    from engines.espnet_vits.discriminator import Discriminator
    from engines.espnet_vits.model import Generator
    from engines.espnet_vits.training_config import DiscriminatorConfig, TrainingConfig

GENERATOR, DISCRIMINATOR = "tts.generator.", "tts.discriminator."
MELMAT = "tts.mel_loss.wav_to_mel.logmel.melmat"  # computed from the configuration instead


@dataclass(frozen=True)
class Release:
    """A folder's files, and what its configuration says.

    Attributes:
        folder: as it was given.
    """

    folder: Path
    meta: Meta
    config: ReleaseConfig


def open_release(folder: Path) -> Release:
    """
    Raises:
        BadCheckpoint: a file is missing, damaged or not what a VITS release holds.
    """
    meta = read_meta(folder)
    return Release(folder, meta, read_config(meta.config))


def load_generator(release: Release, *, posterior: bool = False, trust: bool = False) -> Generator:
    """The generator for speaking: weight norm folded, float32, on the CPU.

    Args:
        posterior: with the posterior encoder, for teacher forcing.
        trust: see `engines.checkpoint.read`.

    Raises:
        BadCheckpoint: the weights are missing, damaged, or do not fit the configuration.
    """
    from engines.espnet_vits.model import Generator

    state = generator_state(read(release.meta.weights, trust=trust))
    with on_meta():
        generator = Generator(release.config.generator, posterior=posterior)
    keys = generator_keys(release.config.generator, posterior=posterior)
    load(generator, state, keys, str(release.meta.weights))
    return generator.eval()


def load_for_training(release: Release, *, trust: bool = False) -> tuple[Generator, Discriminator]:
    """Both networks with weight norm where the weights have it, in training mode.

    Raises:
        BadCheckpoint: as `load_generator`, or the discriminator is not known here.
    """
    from engines.espnet_vits.discriminator import Discriminator
    from engines.espnet_vits.model import Generator
    from engines.espnet_vits.training_config import training_config

    file = str(release.meta.weights)
    state = read(release.meta.weights, trust=trust)
    params = training_config(release.config, release.meta.config).discriminator_params
    with on_meta():
        generator = Generator(release.config.generator, posterior=True)
        discriminator = Discriminator(params)
    keys = generator_keys(release.config.generator, posterior=True)
    load_trainable(generator, generator_state(state), keys, file)
    judged = {key: each for key, each in state.items() if key.startswith(DISCRIMINATOR)}
    load_trainable(discriminator, judged, discriminator_keys(params), file)
    return generator, discriminator


def examine_manifest(
    shapes: Mapping[str, Mapping[str, Any]],
    generator: GeneratorConfig,
    training: TrainingConfig,
    file: str,
) -> Report:
    """How the tensors that a published file is said to hold differ from what is built here.

    Nothing of the model's size is allocated.

    Args:
        shapes: by published name, `{"shape": [...], "dtype": "float32"}`.
    """
    from engines.espnet_vits.discriminator import Discriminator
    from engines.espnet_vits.model import Generator

    state = described(shapes)
    judged = {key: each for key, each in state.items() if key.startswith(DISCRIMINATOR)}
    with on_meta():
        models = Generator(generator, posterior=True), Discriminator(training.discriminator_params)
    keys = generator_keys(generator, posterior=True)
    report = examine(models[0], generator_state(state), keys, file)
    keys = discriminator_keys(training.discriminator_params)
    report += examine(models[1], judged, keys, file)
    mel = training.mel_loss_params
    expected = [mel.n_fft // 2 + 1, mel.n_mels]
    found = list(state[MELMAT].shape) if MELMAT in state else None
    if found != expected:
        wrong = () if found is None else (Wrong(MELMAT, str(expected), str(found)),)
        report += Report(file, missing=() if found else (MELMAT,), wrong=wrong)
    return report


def generator_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All but the discriminator and what its losses keep; a release may have left these out."""
    others = (DISCRIMINATOR, MELMAT)
    return {key: each for key, each in state.items() if not key.startswith(others)}


def generator_keys(config: GeneratorConfig, *, posterior: bool) -> KeyMap:
    return KeyMap(
        rows=(
            *_ENCODER_ROWS,
            *_DECODER_ROWS,
            *_flow_rows(config.flow_flows),
            *_duration_rows(config.stochastic_duration_predictor_flows),
        ),
        prefix=GENERATOR,
        drop=() if posterior else ("posterior_encoder",),
    )


def discriminator_keys(config: DiscriminatorConfig) -> KeyMap:
    last = len(config.scale_discriminator_params.downsample_scales) + 2
    rows = (
        (f"msd.discriminators.{{}}.layers.{last}", "scales.{}.post"),
        ("msd.discriminators.{}.layers.{}.0", "scales.{}.convs.{}"),
        ("mpd.discriminators.{}.convs.{}.0", "periods.{}.convs.{}"),
        ("mpd.discriminators.{}.output_conv", "periods.{}.post"),
    )
    return KeyMap(rows=rows, prefix=DISCRIMINATOR)


def convert_release(folder: Path, *, trust: bool = False) -> Path:
    """Write a release's weights as safetensors beside its torch file, and return the new file.

    Raises:
        BadCheckpoint: the weights cannot be opened.
    """
    weights = open_release(folder).meta.weights
    target = weights.with_suffix(SUFFIX)
    if weights != target:
        convert(weights, target, trust=trust)
    return target


# The published name, then ours.
_WAVENET = (
    ("conv_layers.{}.conv1x1_glo", "layers.{}.cond"),
    ("conv_layers.{}.conv1x1_out", "layers.{}.out"),
    ("conv_layers.{}", "layers.{}"),
)
_SEPARABLE = (
    ("convs.{}.0", "layers.{}.depth"),
    ("convs.{}.2", "layers.{}.norm1"),
    ("convs.{}.5", "layers.{}.point"),
    ("convs.{}.7", "layers.{}.norm2"),
)
_ENCODER_ROWS = (
    ("text_encoder.encoder.encoders.{}", "text_encoder.encoder.blocks.{}"),
    *(
        (f"posterior_encoder.encoder.{there}", f"posterior_encoder.wavenet.{here}")
        for there, here in _WAVENET
    ),
    ("posterior_encoder.input_conv", "posterior_encoder.pre"),
)
_DECODER_ROWS = (
    ("decoder.input_conv", "decoder.conv_pre"),
    ("decoder.global_conv", "decoder.cond"),
    ("decoder.upsamples.{}.1", "decoder.ups.{}"),
    ("decoder.blocks.{}.convs1.{}.1", "decoder.resblocks.{}.convs1.{}"),
    ("decoder.blocks.{}.convs2.{}.1", "decoder.resblocks.{}.convs2.{}"),
    ("decoder.output_conv.1", "decoder.conv_post"),
)


def _flow_rows(flows: int) -> list[tuple[str, str]]:
    # Flips stand between the couplings in the published list.
    rows = []
    for i in range(flows):
        there, here = f"flow.flows.{2 * i}", f"flow.couplings.{i}"
        rows += [(f"{there}.encoder.{a}", f"{here}.wavenet.{b}") for a, b in _WAVENET]
        rows += [(f"{there}.input_conv", f"{here}.pre"), (there, here)]
    return rows


def _duration_rows(flows: int) -> list[tuple[str, str]]:
    base = "duration_predictor"
    rows = [(f"{base}.global_conv", f"{base}.cond")]
    for post in ("", "post_"):
        rows += [(f"{base}.{post}dds.{a}", f"{base}.{post}stack.{b}") for a, b in _SEPARABLE]
        rows.append((f"{base}.{post}flows.0", f"{base}.{post}flow.affine"))
        for i in range(flows):
            there, here = f"{base}.{post}flows.{2 * i + 1}", f"{base}.{post}flow.couplings.{i}"
            rows += [(f"{there}.dds_conv.{a}", f"{here}.stack.{b}") for a, b in _SEPARABLE]
            rows += [(f"{there}.input_conv", f"{here}.pre"), (there, here)]
    return rows
