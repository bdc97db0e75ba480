"""What only training reads of a release's `tts_conf`: discriminator, losses and their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engines.checkpoint import validated
from engines.espnet_vits.config import Channels, Count, Kernel, ReleaseConfig


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LeakyConfig(_Part):
    negative_slope: float = 0.01
    inplace: bool = False


class _DiscriminatorConfig(_Part):
    in_channels: Literal[1] = 1
    out_channels: Literal[1] = 1
    bias: bool = True
    nonlinear_activation: Literal["LeakyReLU"] = "LeakyReLU"
    nonlinear_activation_params: LeakyConfig = LeakyConfig(negative_slope=0.1)
    use_weight_norm: bool = True
    use_spectral_norm: Literal[False] = False

    @property
    def slope(self) -> float:
        return self.nonlinear_activation_params.negative_slope


class ScaleConfig(_DiscriminatorConfig):
    kernel_sizes: tuple[Kernel, Kernel, Kernel, Kernel] = (15, 41, 5, 3)
    channels: Channels = 128
    max_downsample_channels: Channels = 1024
    max_groups: Count = 16
    downsample_scales: tuple[Count, ...] = (2, 2, 4, 4, 1)


class PeriodConfig(_DiscriminatorConfig):
    kernel_sizes: tuple[Kernel, Kernel] = (5, 3)
    channels: Channels = 32
    max_downsample_channels: Channels = 1024
    downsample_scales: tuple[Count, ...] = (3, 3, 3, 3, 1)


class PoolingConfig(_Part):
    kernel_size: Count = 4
    stride: Count = 2
    padding: int = 2


class DiscriminatorConfig(_Part):
    """Defaults are those of ESPnet's VITS class for a configuration without
    `discriminator_params`."""

    scales: Count = 1
    scale_downsample_pooling: Literal["AvgPool1d"] = "AvgPool1d"
    scale_downsample_pooling_params: PoolingConfig = PoolingConfig()
    scale_discriminator_params: ScaleConfig = ScaleConfig()
    # the original's norm for the first scale is a spectral one, which no release uses
    follow_official_norm: Literal[False] = False
    periods: tuple[Count, ...] = (2, 3, 5, 7, 11)
    period_discriminator_params: PeriodConfig = PeriodConfig()


class AdversarialConfig(_Part):
    average_by_discriminators: bool = False
    loss_type: Literal["mse", "hinge"] = "mse"


class FeatureMatchConfig(_Part):
    average_by_discriminators: bool = False
    average_by_layers: bool = False
    include_final_outputs: bool = True


class MelConfig(_Part):
    """`log_base` None is the natural logarithm."""

    fs: int = Field(default=22050, ge=1000)
    n_fft: int = Field(default=1024, ge=2)
    hop_length: int = Field(default=256, ge=1)
    win_length: int | None = None
    window: Literal["hann"] = "hann"
    n_mels: Channels = 80
    fmin: float | None = 0
    fmax: float | None = None
    center: Literal[True] = True
    normalized: Literal[False] = False
    onesided: Literal[True] = True
    log_base: float | None = None


class TrainingConfig(BaseModel):
    model_config = ConfigDict(frozen=True)  # other fields of `tts_conf` are not training's

    discriminator_type: Literal["hifigan_multi_scale_multi_period_discriminator"] = (
        "hifigan_multi_scale_multi_period_discriminator"
    )
    discriminator_params: DiscriminatorConfig = DiscriminatorConfig()
    generator_adv_loss_params: AdversarialConfig = AdversarialConfig()
    discriminator_adv_loss_params: AdversarialConfig = AdversarialConfig()
    feat_match_loss_params: FeatureMatchConfig = FeatureMatchConfig()
    mel_loss_params: MelConfig = MelConfig()
    lambda_adv: float = 1.0
    lambda_mel: float = 45.0
    lambda_feat_match: float = 2.0
    lambda_dur: float = 1.0
    lambda_kl: float = 1.0

    @model_validator(mode="before")
    @classmethod
    def _class_defaults(cls, data: Any) -> Any:
        # A section that is there takes ESPnet's class defaults for what it omits; those differ
        # from what holds where the whole section is left out.
        if not isinstance(data, dict):
            return data
        return {
            key: {**_SECTION_DEFAULTS[key], **value}
            if key in _SECTION_DEFAULTS and isinstance(value, dict)
            else value
            for key, value in data.items()
        }


_SECTION_DEFAULTS: dict[str, dict[str, Any]] = {
    "discriminator_params": {"scales": 3, "follow_official_norm": True},
    "generator_adv_loss_params": {"average_by_discriminators": True},
    "discriminator_adv_loss_params": {"average_by_discriminators": True},
    "feat_match_loss_params": {
        "average_by_discriminators": True,
        "average_by_layers": True,
        "include_final_outputs": False,
    },
    "mel_loss_params": {"log_base": 10.0},
}


def training_config(config: ReleaseConfig, path: Path) -> TrainingConfig:
    """
    Args:
        path: of `config.yaml`, for the error.

    Raises:
        BadCheckpoint: the discriminator or a loss is not known here; the message names the field.
    """
    return validated(TrainingConfig, config.training, path, "tts_conf")
