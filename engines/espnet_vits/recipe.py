"""The configuration of ESPnet's VITS recipes, at full size: what the published models have."""

from __future__ import annotations

from typing import Any

from engines.espnet_vits.config import GeneratorConfig
from engines.espnet_vits.training_config import TrainingConfig

# Where a recipe differs from the defaults of ESPnet's class.
_GENERATOR: dict[str, Any] = {
    "text_encoder_positionwise_conv_kernel_size": 3,
    "text_encoder_attention_dropout_rate": 0.1,
    "use_conformer_conv_in_text_encoder": False,
    "text_encoder_conformer_kernel_size": -1,
}
FULL_BAND: dict[str, Any] = {
    "aux_channels": 1025,
    "decoder_upsample_scales": (8, 8, 2, 2, 2),
    "decoder_upsample_kernel_sizes": (16, 16, 4, 4, 4),
}


def generator_config(vocabs: int, **sizes: Any) -> GeneratorConfig:
    """
    Args:
        sizes: what a release's data decide: `spks`, `langs`, `spk_embed_dim`, `global_channels`,
            or all of `FULL_BAND` for 44.1 kHz.
    """
    return GeneratorConfig.model_validate({**_GENERATOR, "vocabs": vocabs, **sizes})


def training_config(generator: GeneratorConfig) -> TrainingConfig:
    """What fits a generator: the mel loss looks at its rate and its spectrogram's size."""
    full_band = generator.hop > 256
    mel = {"fs": 44100 if full_band else 22050, "hop_length": generator.hop}
    return TrainingConfig.model_validate(
        {"mel_loss_params": {**mel, "n_fft": 2 * (generator.aux_channels - 1), "log_base": None}}
    )
