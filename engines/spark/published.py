"""The configuration of the release that was published, SparkAudio/Spark-TTS-0.5B."""

from __future__ import annotations

from typing import Any

from engines.spark.config import CodecConfig, FeatureConfig, SparkConfig, TopConfig

_VOCOS: dict[str, Any] = {
    "input_channels": 1024,
    "vocos_dim": 384,
    "vocos_intermediate_dim": 2048,
    "out_channels": 1024,
}


def config() -> SparkConfig:
    top = TopConfig(
        sample_rate=16_000, latent_hop_length=320, ref_segment_duration=6, volume_normalize=True
    )
    return SparkConfig(top=top, codec=codec(), features=features())


def codec() -> CodecConfig:
    return CodecConfig.model_validate(
        {
            "mel_params": {
                "sample_rate": 16_000,
                "n_fft": 1024,
                "win_length": 640,
                "hop_length": 320,
                "mel_fmin": 10,
                "num_mels": 128,
            },
            "encoder": {**_VOCOS, "vocos_num_layers": 12},
            "decoder": {
                "input_channel": 1024,
                "channels": 1536,
                "rates": [8, 5, 4, 2],
                "kernel_sizes": [16, 11, 8, 4],
            },
            "quantizer": {"input_dim": 1024, "codebook_size": 8192, "codebook_dim": 8},
            "speaker_encoder": {
                "input_dim": 128,
                "out_dim": 1024,
                "latent_dim": 128,
                "token_num": 32,
                "fsq_levels": [4, 4, 4, 4, 4, 4],
                "fsq_num_quantizers": 1,
            },
            "prenet": {**_VOCOS, "vocos_num_layers": 12, "condition_dim": 1024},
            "postnet": {**_VOCOS, "vocos_num_layers": 6},
        }
    )


def features() -> FeatureConfig:
    return FeatureConfig(
        hidden_size=1024,
        num_attention_heads=16,
        intermediate_size=4096,
        num_hidden_layers=24,
        conv_dim=(512,) * 7,
        conv_kernel=(10, 3, 3, 3, 3, 2, 2),
        conv_stride=(5, 2, 2, 2, 2, 2, 2),
        num_conv_pos_embeddings=128,
        num_conv_pos_embedding_groups=16,
        layer_norm_eps=1e-5,
        do_stable_layer_norm=True,
        feat_extract_norm="layer",
    )
