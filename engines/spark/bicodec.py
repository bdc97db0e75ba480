"""BiCodec: speech features to tokens and back to sound.

B batch, T tokens, C feature channels, Z latent channels, D channels of the speaker's vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.nn.convnext import Backbone
from engines.nn.masks import length_mask
from engines.spark.config import (
    SAMPLER_LAYERS,
    CodecConfig,
    EncoderConfig,
    FeatureDecoderConfig,
)
from engines.spark.quantizer import Quantizer
from engines.spark.speaker import SpeakerEncoder
from engines.spark.wave import WaveGenerator

RESAMPLED = 3.0  # a block of ratio 1 adds its input to itself twice, having nothing to resample


class Encoder(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.backbone = Backbone(
            config.input_channels,
            config.vocos_dim,
            config.vocos_intermediate_dim,
            config.vocos_num_layers,
        )
        self.samplers = _samplers(config)
        self.project = nn.Linear(config.vocos_dim, config.out_channels)

    def forward(self, feats: Tensor, mask: Tensor | None = None) -> Tensor:
        """
        Args:
            feats: [B, T, C].
            mask: [B, 1, T]; None where all is real.

        Returns:
            [B, Z, T].
        """
        x = self.backbone(feats.transpose(1, 2), mask=mask)
        for sampler in self.samplers:
            x = sampler(resampled(x), mask=mask)
        return self.project(x).transpose(1, 2)


class FeatureDecoder(nn.Module):
    """Prenet and postnet."""

    def __init__(self, config: FeatureDecoderConfig) -> None:
        super().__init__()
        self.tanh = config.use_tanh_at_final
        self.linear_pre = nn.Linear(config.input_channels, config.vocos_dim)
        self.samplers = _samplers(config)
        self.backbone = Backbone(
            config.vocos_dim,
            config.vocos_dim,
            config.vocos_intermediate_dim,
            config.vocos_num_layers,
            config.condition_dim,
        )
        self.linear = nn.Linear(config.vocos_dim, config.out_channels)

    def forward(
        self, x: Tensor, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """
        Args:
            x: [B, Z, T].
            condition: [B, D].

        Returns:
            [B, out, T].
        """
        x = self.linear_pre(x.transpose(1, 2))
        for sampler in self.samplers:
            x = sampler(resampled(x), mask=mask)
        x = self.linear(self.backbone(x.transpose(1, 2), condition, mask)).transpose(1, 2)
        return torch.tanh(x) if self.tanh else x


class BiCodec(nn.Module):
    """
    Args:
        ecapa: channels of the speaker encoder's ECAPA.
        training: with the postnet and the x-vector, which only training needs.
    """

    def __init__(self, config: CodecConfig, ecapa: int, *, training: bool = False) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder)
        self.quantizer = Quantizer(config.quantizer)
        self.speaker_encoder = SpeakerEncoder(config.speaker_encoder, ecapa, pooling=training)
        self.prenet = FeatureDecoder(config.prenet)
        self.postnet = FeatureDecoder(config.postnet) if training else None
        self.decoder = WaveGenerator(config.decoder)


class Encode(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, feats: Tensor) -> tuple[Tensor]:
        return (self.encoder(feats),)


class MaskedEncode(Encode):
    def forward(self, feats: Tensor, lengths: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (self.encoder(feats, length_mask(lengths, feats.shape[1], feats.dtype)),)


class Prenet(nn.Module):
    def __init__(self, prenet: FeatureDecoder) -> None:
        super().__init__()
        self.prenet = prenet

    def forward(self, z_q: Tensor, d_vector: Tensor) -> tuple[Tensor]:
        return (self.prenet(z_q, d_vector),)


class MaskedPrenet(Prenet):
    def forward(  # type: ignore[override]
        self, z_q: Tensor, d_vector: Tensor, lengths: Tensor
    ) -> tuple[Tensor]:
        mask = length_mask(lengths, z_q.shape[2], z_q.dtype)
        return (self.prenet(z_q, d_vector, mask),)


class Postnet(nn.Module):
    def __init__(self, postnet: FeatureDecoder) -> None:
        super().__init__()
        self.postnet = postnet

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.postnet(x),)


class MaskedPostnet(Postnet):
    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (self.postnet(x, mask=length_mask(lengths, x.shape[2], x.dtype)),)


class Generate(nn.Module):
    def __init__(self, decoder: WaveGenerator) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, x: Tensor, d_vector: Tensor) -> tuple[Tensor]:
        """[B, D, T] and [B, D] → [B, hop * T]."""
        return (self.decoder(x + d_vector[:, :, None])[:, 0],)


class MaskedGenerate(Generate):
    def forward(  # type: ignore[override]
        self, x: Tensor, d_vector: Tensor, lengths: Tensor
    ) -> tuple[Tensor]:
        return (self.decoder(x + d_vector[:, :, None], lengths)[:, 0],)


def resampled(x: Tensor) -> Tensor:
    """What a sampling block of ratio 1 gives: [B, T, C] → [B, C, T]."""
    return RESAMPLED * x.transpose(1, 2)


def _samplers(config: EncoderConfig) -> nn.ModuleList:
    size, inner = config.vocos_dim, config.vocos_intermediate_dim
    return nn.ModuleList(Backbone(size, size, inner, SAMPLER_LAYERS) for _ in config.sample_ratios)
