"""A release's configuration: `config.yaml`, found through `meta.yaml`.

Field names are the published ones. What only training reads stands in `training_config`.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engines.checkpoint import bad_file, inside, read_yaml, validated
from engines.errors import BadCheckpoint
from engines.nn.reach import Carry, hifigan_carry, hifigan_reach

BLANK, UNKNOWN = 0, 1  # ids of <blank>, which is padding, and <unk>

Channels = Annotated[int, Field(ge=1, le=1 << 16)]
Count = Annotated[int, Field(ge=1, le=256)]
Kernel = Annotated[int, Field(ge=1, le=1023)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class GeneratorConfig(BaseModel):
    """`tts_conf.generator_params`. An omitted field has the default of ESPnet's class, which for
    some differs from what its recipes set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabs: Channels
    aux_channels: Channels = 513
    hidden_channels: Channels = 192
    spks: int | None = None
    langs: int | None = None
    spk_embed_dim: int | None = None
    global_channels: int = Field(-1, le=1 << 16)
    segment_size: Channels = 32
    text_encoder_attention_heads: Count = 2
    text_encoder_ffn_expand: Count = 4
    text_encoder_blocks: Count = 6
    text_encoder_positionwise_layer_type: Literal["conv1d"] = "conv1d"
    text_encoder_positionwise_conv_kernel_size: Kernel = 1
    text_encoder_positional_encoding_layer_type: Literal["rel_pos"] = "rel_pos"
    text_encoder_self_attention_layer_type: Literal["rel_selfattn"] = "rel_selfattn"
    text_encoder_activation_type: Literal["hardtanh", "tanh", "relu", "selu", "swish"] = "swish"
    text_encoder_normalize_before: bool = True
    text_encoder_dropout_rate: Rate = 0.1
    text_encoder_positional_dropout_rate: Rate = 0.0
    text_encoder_attention_dropout_rate: Rate = 0.0
    text_encoder_conformer_kernel_size: int = Field(7, le=1023)
    use_macaron_style_in_text_encoder: bool = True
    use_conformer_conv_in_text_encoder: bool = True
    decoder_kernel_size: Kernel = 7
    decoder_channels: Channels = 512
    decoder_upsample_scales: tuple[Count, ...] = (8, 8, 2, 2)
    decoder_upsample_kernel_sizes: tuple[Kernel, ...] = (16, 16, 4, 4)
    decoder_resblock_kernel_sizes: tuple[Kernel, ...] = (3, 7, 11)
    decoder_resblock_dilations: tuple[tuple[Count, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    use_weight_norm_in_decoder: bool = True
    posterior_encoder_kernel_size: Kernel = 5
    posterior_encoder_layers: Count = 16
    posterior_encoder_stacks: Count = 1
    posterior_encoder_base_dilation: Count = 1
    posterior_encoder_dropout_rate: Rate = 0.0
    use_weight_norm_in_posterior_encoder: bool = True
    flow_flows: Count = 4
    flow_kernel_size: Kernel = 5
    flow_base_dilation: Count = 1
    flow_layers: Count = 4
    flow_dropout_rate: Rate = 0.0
    use_weight_norm_in_flow: bool = True
    use_only_mean_in_flow: bool = True
    stochastic_duration_predictor_kernel_size: Kernel = 3
    stochastic_duration_predictor_dropout_rate: Rate = 0.5
    stochastic_duration_predictor_flows: Count = 4
    stochastic_duration_predictor_dds_conv_layers: Count = 3

    @property
    def hop(self) -> int:
        """Samples a latent frame."""
        return prod(self.decoder_upsample_scales)

    @property
    def resblocks(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Kernel and dilations of each of the decoder's residual blocks."""
        kernels, dilations = self.decoder_resblock_kernel_sizes, self.decoder_resblock_dilations
        return tuple(zip(kernels, dilations, strict=True))

    @property
    def reach(self) -> int:
        """Frames on each side that the decoder looks at."""
        kernel, scales = self.decoder_kernel_size, self.decoder_upsample_scales
        return hifigan_reach(kernel, scales, self.resblocks)

    @property
    def carry(self) -> Carry:
        """What the decoder carries from part to part."""
        kernel, scales = self.decoder_kernel_size, self.decoder_upsample_scales
        return hifigan_carry(kernel, scales, self.resblocks)

    @property
    def speakers(self) -> int:
        """Rows of the speaker table; 0 where there is none."""
        return self.spks if self.spks is not None and self.spks > 1 else 0

    @property
    def languages(self) -> int:
        return self.langs if self.langs is not None and self.langs > 1 else 0

    @property
    def xvector(self) -> int:
        """Size of a speaker's x-vector; 0 where none is taken."""
        return max(0, self.spk_embed_dim or 0)

    @property
    def condition(self) -> int:
        """Channels of the global condition; 0 where there is none."""
        return max(0, self.global_channels)

    @property
    def conditions(self) -> tuple[str, ...]:
        """What makes up the global condition, in the order of the stages' inputs."""
        parts = {"sid": self.speakers, "spembs": self.xvector, "lid": self.languages}
        return tuple(name for name, size in parts.items() if size > 0)

    @model_validator(mode="after")
    def _belongs_together(self) -> GeneratorConfig:
        wrong = "; ".join(self._contradictions())
        if wrong:
            raise ValueError(wrong)
        return self

    def _contradictions(self) -> list[str]:
        kernels = {
            name: value if isinstance(value, tuple) else (value,)
            for name, value in self
            if "kernel_size" in name and "upsample" not in name
        }
        if not self.use_conformer_conv_in_text_encoder:
            del kernels["text_encoder_conformer_kernel_size"]
        scales, sizes = self.decoder_upsample_scales, self.decoder_upsample_kernel_sizes
        blocks = (self.decoder_resblock_kernel_sizes, self.decoder_resblock_dilations)
        checks = {
            "hidden_channels is no multiple of 2 and of text_encoder_attention_heads": (
                self.hidden_channels % 2 or self.hidden_channels % self.text_encoder_attention_heads
            ),
            "decoder_upsample_kernel_sizes are not twice decoder_upsample_scales": (
                sizes != tuple(2 * scale for scale in scales)
            ),
            "decoder_channels cannot be halved at each of decoder_upsample_scales": (
                self.decoder_channels < 2 ** len(scales)
            ),
            "decoder_resblock_dilations and decoder_resblock_kernel_sizes differ in number": (
                len(blocks[0]) != len(blocks[1]) or not blocks[0] or not all(blocks[1])
            ),
            "posterior_encoder_layers is no multiple of posterior_encoder_stacks": (
                self.posterior_encoder_layers % self.posterior_encoder_stacks
            ),
            "global_channels is needed for spks, langs or spk_embed_dim": (
                self.conditions and self.condition == 0
            ),
        }
        even = [
            f"{name} is even" for name, each in kernels.items() if any(k % 2 == 0 for k in each)
        ]
        return even + [text for text, is_wrong in checks.items() if is_wrong]


class FeatureConfig(BaseModel):
    """`feats_extract_conf`: the spectrogram that the posterior encoder sees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_fft: int = Field(1024, ge=2, le=1 << 16)
    hop_length: int = Field(256, ge=1, le=1 << 16)
    win_length: int | None = Field(None, ge=2, le=1 << 16)
    window: Literal["hann"] = "hann"
    center: Literal[True] = True
    normalized: Literal[False] = False
    onesided: Literal[True] = True


class ReleaseConfig(BaseModel):
    """What speaking needs of a `config.yaml`; all else in it is left aside.

    Attributes:
        training: `tts_conf`, for `training_config`.
    """

    model_config = ConfigDict(frozen=True)

    token_list: tuple[str, ...] = Field(min_length=2)
    token_type: str = "phn"
    cleaner: str | None = None
    g2p: str | None = None
    sampling_rate: int = Field(22050, ge=1000, le=768_000)
    generator: GeneratorConfig
    features: FeatureConfig
    training: dict[str, Any] = Field(default_factory=dict, repr=False)


class Meta(BaseModel):
    """Where `meta.yaml` says that the other files are."""

    model_config = ConfigDict(frozen=True)

    config: Path
    weights: Path


def read_meta(folder: Path) -> Meta:
    """
    Raises:
        BadCheckpoint: `meta.yaml` is missing, damaged, or names files outside of the release.
    """
    source = folder / "meta.yaml"
    data = read_yaml(source)
    names = {}
    for section, key in (("yaml_files", "train_config"), ("files", "model_file")):
        part = data.get(section)
        name = part.get(key) if isinstance(part, dict) else None
        if not isinstance(name, str):
            raise bad_file(source, f"does not name a file under {section}: {key}")
        names[key] = inside(folder, name, source)
    return Meta(config=names["train_config"], weights=names["model_file"])


def read_config(path: Path) -> ReleaseConfig:
    """
    Raises:
        BadCheckpoint: it is missing, damaged, no VITS model's, or of an architecture that is not
            known here; the message names the field.
    """
    data = read_yaml(path)
    tts = data.get("tts")
    if tts != "vits":
        raise BadCheckpoint(
            f"{path} is the configuration of "
            + (f"the ESPnet model {tts!r:.80}." if tts else "something else than speech."),
            "Only VITS models are spoken (`tts: vits`).",
            "Pick another release.",
        )
    conf = _mapping(data, "tts_conf", path)
    kind = conf.get("generator_type", "vits_generator")
    if kind != "vits_generator":
        raise bad_file(path, f"has tts_conf.generator_type {kind!r:.80}, not 'vits_generator'")
    tokens = data.get("token_list")
    features = validated(
        FeatureConfig, _mapping(data, "feats_extract_conf", path), path, "feats_extract_conf"
    )
    sizes = {
        "vocabs": len(tokens) if isinstance(tokens, list) else 1,
        "aux_channels": features.n_fft // 2 + 1,
    }
    params = {**sizes, **_mapping(conf, "generator_params", path)}
    generator = validated(GeneratorConfig, params, path, "tts_conf.generator_params")
    names = ("token_list", "token_type", "cleaner", "g2p")
    fields: dict[str, Any] = {key: data[key] for key in names if key in data}
    if "sampling_rate" in conf:
        fields["sampling_rate"] = conf["sampling_rate"]
    parts = {"generator": generator, "features": features, "training": conf}
    config = validated(ReleaseConfig, {**fields, **parts}, path, "")
    if len(config.token_list) > generator.vocabs:
        raise bad_file(
            path,
            f"lists {len(config.token_list)} tokens, and the model has {generator.vocabs} (vocabs)",
        )
    return config


def _mapping(data: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = data.get(key) or {}
    if not isinstance(found, dict):
        raise bad_file(path, f"has no fields under {key}")
    return found
