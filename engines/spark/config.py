"""A release's configuration: `config.yaml`, `BiCodec/config.yaml` and that of its wav2vec2.

Field names are the published ones. The language model's own stands with it.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engines.checkpoint import bad_file, read_json, read_yaml, validated
from engines.nn.reach import convnext_reach, upsampling_reach

CODEC, LLM, WAV2VEC2 = "BiCodec", "LLM", "wav2vec2-large-xlsr-53"  # folders of a release
MIXED = (11, 14, 16)  # states of wav2vec2 whose mean is the feature; 0 is before the first layer
LAYERS = max(MIXED)  # of wav2vec2's that are run

SAMPLER_LAYERS = 2  # of the backbone after each sampling block
DILATIONS, KERNEL = (1, 3, 9), 7  # of the wave generator's residual units

Channels = Annotated[int, Field(ge=1, le=1 << 14)]
Count = Annotated[int, Field(ge=1, le=256)]
Hertz = Annotated[int, Field(ge=8000, le=192_000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MelConfig(_Part):
    sample_rate: Hertz
    n_fft: int = Field(ge=16, le=1 << 16)
    win_length: int = Field(ge=16, le=1 << 16)
    hop_length: int = Field(ge=1, le=1 << 16)
    mel_fmin: float = Field(ge=0)
    mel_fmax: float | None = None
    num_mels: Channels


class EncoderConfig(_Part):
    input_channels: Channels
    vocos_dim: Channels
    vocos_intermediate_dim: Channels
    vocos_num_layers: Count
    out_channels: Channels
    sample_ratios: tuple[Literal[1], ...] = (1, 1)


class FeatureDecoderConfig(EncoderConfig):
    """`prenet` and `postnet`."""

    condition_dim: int = Field(0, ge=0, le=1 << 14)
    use_tanh_at_final: bool = False

    @property
    def reach(self) -> int:
        """Tokens on each side of a token beyond which nothing changes what is given for it."""
        samplers = len(self.sample_ratios) * convnext_reach(SAMPLER_LAYERS)
        return samplers + convnext_reach(self.vocos_num_layers)


class WaveConfig(_Part):
    input_channel: Channels
    channels: Channels
    rates: tuple[Count, ...] = Field(min_length=1)
    kernel_sizes: tuple[Count, ...]

    @property
    def reach(self) -> int:
        """Tokens on each side of a token beyond which nothing changes its samples; at most a few
        more than there really are."""
        scales = list(zip(self.rates, self.kernel_sizes, strict=True))
        return upsampling_reach(KERNEL, scales, DILATIONS)

    @model_validator(mode="after")
    def _belongs_together(self) -> WaveConfig:
        pairs = list(zip(self.rates, self.kernel_sizes, strict=False))
        if len(self.rates) != len(self.kernel_sizes):
            raise ValueError("rates and kernel_sizes differ in number")
        if any(kernel < rate or (kernel - rate) % 2 for rate, kernel in pairs):
            raise ValueError("kernel_sizes are not rates and an even number more")
        if self.channels % 2 ** len(self.rates):
            raise ValueError("channels cannot be halved at each of rates")
        return self


class QuantizerConfig(_Part):
    model_config = ConfigDict(frozen=True, extra="ignore")  # the rest is about training

    input_dim: Channels
    codebook_size: int = Field(ge=2, le=1 << 20)
    codebook_dim: Channels


class SpeakerConfig(_Part):
    input_dim: Channels
    out_dim: Channels
    latent_dim: Channels
    token_num: Count
    fsq_levels: tuple[Annotated[int, Field(ge=2, le=64)], ...] = Field(min_length=1, max_length=16)
    fsq_num_quantizers: Literal[1] = 1

    @property
    def codes(self) -> int:
        """Different global tokens."""
        return prod(self.fsq_levels)


class CodecConfig(_Part):
    """`audio_tokenizer` of `BiCodec/config.yaml`."""

    mel_params: MelConfig
    encoder: EncoderConfig
    decoder: WaveConfig
    quantizer: QuantizerConfig
    speaker_encoder: SpeakerConfig
    prenet: FeatureDecoderConfig
    postnet: FeatureDecoderConfig

    @property
    def hop(self) -> int:
        """Samples a semantic token."""
        return prod(self.decoder.rates)

    @model_validator(mode="after")
    def _belongs_together(self) -> CodecConfig:
        speaker, prenet = self.speaker_encoder.out_dim, self.prenet
        sizes = {
            "encoder.out_channels and quantizer.input_dim": (
                self.encoder.out_channels,
                self.quantizer.input_dim,
            ),
            "prenet.input_channels and quantizer.input_dim": (
                prenet.input_channels,
                self.quantizer.input_dim,
            ),
            "prenet.condition_dim and speaker_encoder.out_dim": (prenet.condition_dim, speaker),
            "prenet.out_channels and speaker_encoder.out_dim": (prenet.out_channels, speaker),
            "prenet.out_channels and decoder.input_channel": (
                prenet.out_channels,
                self.decoder.input_channel,
            ),
            "mel_params.num_mels and speaker_encoder.input_dim": (
                self.mel_params.num_mels,
                self.speaker_encoder.input_dim,
            ),
        }
        wrong = [f"{names} differ" for names, (one, other) in sizes.items() if one != other]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


class TopConfig(BaseModel):
    """What of `config.yaml` is read when speaking."""

    model_config = ConfigDict(frozen=True)

    sample_rate: Hertz
    latent_hop_length: int = Field(ge=1, le=1 << 16)
    ref_segment_duration: float = Field(gt=0, le=60)
    volume_normalize: bool = True

    @property
    def ref_samples(self) -> int:
        """Of the reference clip that the speaker encoder hears."""
        hops = int(self.sample_rate * self.ref_segment_duration) // self.latent_hop_length
        return hops * self.latent_hop_length


class FeatureConfig(BaseModel):
    """What of wav2vec2's `config.json` shapes the layers that are run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hidden_size: Channels
    num_attention_heads: Count
    intermediate_size: int = Field(ge=1, le=1 << 16)
    num_hidden_layers: int = Field(ge=LAYERS, le=256)
    conv_dim: tuple[Channels, ...]
    conv_kernel: tuple[Count, ...]
    conv_stride: tuple[Count, ...]
    conv_bias: bool = True
    num_conv_pos_embeddings: Count
    num_conv_pos_embedding_groups: Count
    layer_norm_eps: float = Field(1e-5, gt=0)
    do_stable_layer_norm: Literal[True]
    feat_extract_norm: Literal["layer"]
    feat_extract_activation: Literal["gelu"] = "gelu"
    hidden_act: Literal["gelu"] = "gelu"

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        return prod(self.conv_stride)

    @property
    def field(self) -> int:
        """Samples that one frame is made of: the fewest that there have to be."""
        size, step = 1, 1
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return size

    @model_validator(mode="after")
    def _belongs_together(self) -> FeatureConfig:
        if not len(self.conv_dim) == len(self.conv_kernel) == len(self.conv_stride) > 0:
            raise ValueError("conv_dim, conv_kernel and conv_stride differ in number")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size is no multiple of num_attention_heads")
        if self.hidden_size % self.num_conv_pos_embedding_groups:
            raise ValueError("hidden_size is no multiple of num_conv_pos_embedding_groups")
        return self


class SparkConfig(_Part):
    top: TopConfig
    codec: CodecConfig
    features: FeatureConfig

    @property
    def tokens_per_second(self) -> float:
        return self.top.sample_rate / self.codec.hop

    @property
    def ref_frames(self) -> int:
        """Mel frames of the reference clip."""
        return 1 + self.top.ref_samples // self.codec.mel_params.hop_length


def read_config(folder: Path) -> SparkConfig:
    """
    Raises:
        BadCheckpoint: a file is missing, damaged or describes an architecture that is not known
            here; the message names the field.
    """
    source = folder / "config.yaml"
    top = validated(TopConfig, read_yaml(source), source, "")
    source = folder / CODEC / "config.yaml"
    fields: Any = read_yaml(source).get("audio_tokenizer")
    if not isinstance(fields, dict):
        raise bad_file(source, "has no fields under audio_tokenizer")
    codec = validated(CodecConfig, fields, source, "audio_tokenizer")
    if codec.hop != top.latent_hop_length:
        raise bad_file(
            source,
            f"makes {codec.hop} samples a token, and config.yaml says {top.latent_hop_length}",
        )
    source = folder / WAV2VEC2 / "config.json"
    features = validated(FeatureConfig, read_json(source), source, "")
    if features.hidden_size != codec.encoder.input_channels:
        raise bad_file(
            source,
            f"has hidden_size {features.hidden_size}, and BiCodec's encoder takes "
            f"{codec.encoder.input_channels} (input_channels)",
        )
    return SparkConfig(top=top, codec=codec, features=features)
