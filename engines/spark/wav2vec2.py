"""wav2vec2's features: the mean of three of its inner states, from transformers' own layers.

Only the layers up to the last of these states are built; what comes after changes nothing.

B batch, T_wav samples, T frames, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engines.nn.masks import length_mask
from engines.spark.config import LAYERS, MIXED, FeatureConfig


class Features(nn.Module):
    def __init__(self, config: FeatureConfig) -> None:
        from transformers import Wav2Vec2Config

        super().__init__()
        parts = _transformers()
        fields: dict[str, Any] = {
            **config.model_dump(),
            "num_feat_extract_layers": len(config.conv_dim),
            "attn_implementation": "sdpa",
        }
        built = Wav2Vec2Config(**fields)
        self.config = config
        self.feature_extractor = parts.Wav2Vec2FeatureEncoder(built)
        self.feature_projection = parts.Wav2Vec2FeatureProjection(built)
        self.pos_conv_embed = parts.Wav2Vec2PositionalConvEmbedding(built)
        size, kernel = config.hidden_size, config.num_conv_pos_embeddings
        groups = config.num_conv_pos_embedding_groups
        # without weight norm, which is folded into the weights when they are read
        plain = nn.Conv1d(size, size, kernel, padding=kernel // 2, groups=groups)
        self.pos_conv_embed.conv = plain
        self.layers = nn.ModuleList(
            parts.Wav2Vec2EncoderLayerStableLayerNorm(built) for _ in range(LAYERS)
        )

    def forward(self, audio: Tensor, lengths: Tensor | None = None) -> Tensor:
        """
        Args:
            audio: [B, T_wav], of mean 0 and variance 1.
            lengths: int64 [B]: true samples, where `audio` is padded.

        Returns:
            [B, T, C].
        """
        states = self.states(self.extracted(audio)[0], self.mask(lengths, audio))
        return sum(states[i] for i in MIXED) / len(MIXED)  # type: ignore[return-value]

    def extracted(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T_wav] → the projected [B, T, C], and what is projected."""
        return self.feature_projection(self.feature_extractor(audio).transpose(1, 2))

    def states(self, x: Tensor, mask: Tensor | None) -> list[Tensor]:
        """
        Args:
            x: [B, T, C].
            mask: [B, 1, T], ones where frames are real.

        Returns:
            `LAYERS + 1` of [B, T, C], the first before the first layer.
        """
        bias = None
        if mask is not None:
            x = x * mask.transpose(1, 2)
            bias = (1 - mask[:, None]) * torch.finfo(x.dtype).min  # [B, 1, 1, T]
        found = [x + self.pos_conv_embed(x)]
        for layer in self.layers:
            found.append(layer(found[-1], attention_mask=bias))
        return found

    def mask(self, lengths: Tensor | None, audio: Tensor) -> Tensor | None:
        if lengths is None:
            return None
        stride, edge = self.config.stride, self.config.field - self.config.stride
        frames = (lengths - edge).div(stride, rounding_mode="floor")
        return length_mask(frames, (audio.shape[1] - edge) // stride, audio.dtype)


class Listen(nn.Module):
    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features

    def forward(self, audio: Tensor) -> tuple[Tensor]:
        return (self.features(audio),)


class MaskedListen(Listen):
    def forward(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (self.features(audio, lengths),)


def _transformers() -> Any:
    from engines.runtime import torchaudio_standin

    torchaudio_standin.prepare()  # transformers imports it on its way
    from transformers.models.wav2vec2 import modeling_wav2vec2

    return modeling_wav2vec2
