"""A release's weights: BiCodec's and those of wav2vec2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.checkpoint import KeyMap, Report, described, examine, load, on_meta, read
from engines.spark.config import CODEC, LAYERS, WAV2VEC2, CodecConfig, FeatureConfig, SparkConfig

if TYPE_CHECKING:
    from torch import Tensor

    from engines.spark.bicodec import BiCodec
    from engines.spark.wav2vec2 import Features

CODEC_FILE = f"{CODEC}/model.safetensors"
FEATURES_FILE = f"{WAV2VEC2}/pytorch_model.bin"
ECAPA_WIDTH = "speaker_encoder.speaker_encoder.layer1.conv.weight"  # no configuration names it
ECAPA_DEFAULT = 512

# Counters of training, whether or not the rest of training is wanted.
COUNTERS = tuple(
    f"speaker_encoder.speaker_encoder.{place}.num_batches_tracked"
    for place in (
        "bn",
        "layer1.bn",
        "layer{}.se_res2block.{}.bn",
        "layer{}.se_res2block.{}.bns.{}",
    )
)
TRAINING = (
    "postnet",
    *(f"speaker_encoder.speaker_encoder.{part}" for part in ("pool", "bn", "linear")),
)


def load_codec(
    folder: Path, config: SparkConfig, *, training: bool = False, trust: bool = False
) -> BiCodec:
    """BiCodec: weight norm folded, float32, on the CPU.

    Args:
        training: with the postnet and the x-vector.
        trust: see `engines.checkpoint.read`.

    Raises:
        BadCheckpoint: the weights are missing, damaged, or do not fit the configuration.
    """
    path = folder / CODEC_FILE
    return codec_of(read(path, trust=trust), config.codec, str(path), training=training)


def codec_of(
    state: Mapping[str, Tensor], config: CodecConfig, file: str, *, training: bool = False
) -> BiCodec:
    """BiCodec of tensors under their published names."""
    from engines.spark.bicodec import BiCodec

    with on_meta():
        codec = BiCodec(config, _ecapa_width(state), training=training)
    load(codec, state, codec_keys(config, training=training), file)
    return codec.eval()


def load_features(folder: Path, config: SparkConfig, *, trust: bool = False) -> Features:
    """wav2vec2 up to the last layer that is used; of the others nothing is kept.

    Raises:
        BadCheckpoint: as `load_codec`.
    """
    path = folder / FEATURES_FILE
    features = _features_on_meta(config.features)
    state = read(path, trust=trust)
    load(features, state, features_keys(config.features.num_hidden_layers), str(path))
    return features.eval()


def examine_codec(
    shapes: Mapping[str, Mapping[str, Any]], config: CodecConfig, file: str
) -> Report:
    """How the tensors that a published file is said to hold differ from what is built here.

    Args:
        shapes: by published name, `{"shape": [...], "dtype": "float32"}`.
    """
    from engines.spark.bicodec import BiCodec

    state = described(shapes)
    with on_meta():
        codec = BiCodec(config, _ecapa_width(state), training=True)
    return examine(codec, state, codec_keys(config, training=True), file)


def examine_features(
    shapes: Mapping[str, Mapping[str, Any]], config: FeatureConfig, file: str
) -> Report:
    keys = features_keys(config.num_hidden_layers)
    return examine(_features_on_meta(config), described(shapes), keys, file)


def codec_keys(config: CodecConfig, *, training: bool) -> KeyMap:
    return KeyMap(
        rows=(*_BACKBONE_ROWS, *_SPEAKER_ROWS, *_wave_rows(len(config.decoder.rates))),
        drop=("quantizer.cluster_size", *COUNTERS, *(() if training else TRAINING)),
    )


def features_keys(layers: int) -> KeyMap:
    """
    Args:
        layers: of the published model.
    """
    inner = [f"wav2vec2.encoder.layers.{i}" for i in range(LAYERS, layers)]
    pretraining = ("quantizer", "project_hid", "project_q")
    others = ("wav2vec2.encoder.layer_norm", "wav2vec2.masked_spec_embed")
    return KeyMap(rows=_FEATURE_ROWS, drop=(*inner, *others, *pretraining))


def _features_on_meta(config: FeatureConfig) -> Features:
    from engines.spark.wav2vec2 import Features

    with on_meta():
        return Features(config)


def _ecapa_width(state: Mapping[str, Tensor]) -> int:
    """Channels of ECAPA, as the weights have them; where they are missing that is told later."""
    found = state.get(ECAPA_WIDTH)
    usable = found is not None and found.dim() == 3 and found.shape[0] % 8 == 0
    return found.shape[0] if found is not None and usable else ECAPA_DEFAULT


# The published name, then ours.
_FEATURE_ROWS = (
    ("wav2vec2.encoder.layers", "layers"),
    ("wav2vec2.encoder.pos_conv_embed", "pos_conv_embed"),
    ("wav2vec2.feature_extractor", "feature_extractor"),
    ("wav2vec2.feature_projection", "feature_projection"),
)
_BACKBONE_ROWS = (
    ("encoder.encoder.convnext.{}", "encoder.backbone.blocks.{}"),
    ("encoder.encoder", "encoder.backbone"),
    ("encoder.downsample.{}.1.convnext.{}", "encoder.samplers.{}.blocks.{}"),
    ("encoder.downsample.{}.1", "encoder.samplers.{}"),
    *(
        row
        for net in ("prenet", "postnet")
        for row in (
            (f"{net}.vocos_backbone.convnext.{{}}", f"{net}.backbone.blocks.{{}}"),
            (f"{net}.vocos_backbone", f"{net}.backbone"),
            (f"{net}.downsample.{{}}.1.convnext.{{}}", f"{net}.samplers.{{}}.blocks.{{}}"),
            (f"{net}.downsample.{{}}.1", f"{net}.samplers.{{}}"),
        )
    ),
)


def _ecapa_rows() -> list[tuple[str, str]]:
    there, here = "speaker_encoder.speaker_encoder", "speaker_encoder.ecapa"
    rows = [(f"{there}.layer1", f"{here}.enter")]
    for i in range(3):
        parts = ("enter", "res2", "leave", "gate")
        rows += [
            (f"{there}.layer{i + 2}.se_res2block.{j}", f"{here}.blocks.{i}.{part}")
            for j, part in enumerate(parts)
        ]
    return [*rows, (there, here)]


_SPEAKER_ROWS = (
    *_ecapa_rows(),
    *(
        (f"speaker_encoder.perceiver_sampler.{there}", f"speaker_encoder.perceiver.{here}")
        for there, here in (
            ("layers.{}.0", "attentions.{}"),
            ("layers.{}.1.0", "feed_forwards.{}.enter"),
            ("layers.{}.1.2", "feed_forwards.{}.leave"),
            ("norm.gamma", "gamma"),
            ("proj_context", "proj_context"),
            ("latents", "latents"),
        )
    ),
)


def _wave_rows(blocks: int) -> list[tuple[str, str]]:
    # the published list holds the first convolution, the blocks, an activation, the last one
    rows = [
        ("decoder.model.0", "decoder.conv_pre"),
        (f"decoder.model.{blocks + 1}", "decoder.snake_post"),
        (f"decoder.model.{blocks + 2}", "decoder.conv_post"),
    ]
    parts = ("snake1", "conv1", "snake2", "conv2")
    for i in range(blocks):
        there, here = f"decoder.model.{i + 1}.block", f"decoder.blocks.{i}"
        rows += [(f"{there}.0", f"{here}.snake"), (f"{there}.1", f"{here}.up")]
        rows += [
            (f"{there}.{unit + 2}.block.{j}", f"{here}.units.{unit}.{part}")
            for unit in range(3)
            for j, part in enumerate(parts)
        ]
    return rows
