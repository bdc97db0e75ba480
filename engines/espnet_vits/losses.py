"""The losses of VITS's two turns, as ESPnet weighs them.

B batch, T_mel frames, H hidden channels. A discriminator's maps are a list whose last is its
verdict.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from engines.espnet_vits.training_config import AdversarialConfig, FeatureMatchConfig, MelConfig
from engines.nn.spectrogram import amplitudes, mel_filters

LEAST_MEL = 1e-10

Maps = Sequence[Sequence[Tensor]]


def log_mel(wav: Tensor, config: MelConfig) -> Tensor:
    """[B, T] → [B, T_mel, n_mels]."""
    found = amplitudes(wav, config.n_fft, config.hop_length, config.win_length)
    filters = mel_filters(
        config.fs, config.n_fft, config.n_mels, config.fmin or 0.0, config.fmax
    ).to(wav)
    logarithms = (found.transpose(1, 2) @ filters.T).clamp(min=LEAST_MEL).log()
    return logarithms if config.log_base is None else logarithms / math.log(config.log_base)


def mel_loss(fake: Tensor, real: Tensor, config: MelConfig) -> Tensor:
    """Both [B, 1, T]."""
    return functional.l1_loss(log_mel(fake[:, 0], config), log_mel(real[:, 0], config))


def kl_loss(z_p: Tensor, logs_q: Tensor, m_p: Tensor, logs_p: Tensor, mask: Tensor) -> Tensor:
    """All [B, H, T_mel], `mask` [B, 1, T_mel]. Summed over channels, a mean over frames."""
    kl = logs_p - logs_q - 0.5 + 0.5 * (z_p - m_p).square() * (-2 * logs_p).exp()
    return (kl * mask).sum() / mask.sum()


def generator_adversarial(fake: Maps, config: AdversarialConfig) -> Tensor:
    """How far the discriminators are from taking the fake for real."""
    verdicts = [maps[-1] for maps in fake]
    if config.loss_type == "mse":
        total = sum((1 - each).square().mean() for each in verdicts)
    else:
        total = -sum(each.mean() for each in verdicts)
    return _mean(total, len(verdicts), config.average_by_discriminators)


def discriminator_adversarial(
    fake: Maps, real: Maps, config: AdversarialConfig
) -> tuple[Tensor, Tensor]:
    """Loss on what is real, and on what is fake."""
    reals, fakes = [maps[-1] for maps in real], [maps[-1] for maps in fake]
    if config.loss_type == "mse":
        on_real = sum((1 - each).square().mean() for each in reals)
        on_fake = sum(each.square().mean() for each in fakes)
    else:
        on_real = -sum((each - 1).clamp(max=0).mean() for each in reals)
        on_fake = -sum((-each - 1).clamp(max=0).mean() for each in fakes)
    average = config.average_by_discriminators
    return _mean(on_real, len(reals), average), _mean(on_fake, len(fakes), average)


def feature_match(fake: Maps, real: Maps, config: FeatureMatchConfig) -> Tensor:
    """Distance of the discriminators' maps; no gradient goes to the real ones."""
    end = None if config.include_final_outputs else -1
    total: Tensor | float = 0.0
    for maps, targets in zip(fake, real, strict=True):
        pairs = list(zip(maps[:end], targets[:end], strict=True))
        distance = sum(functional.l1_loss(each, target.detach()) for each, target in pairs)
        total = total + _mean(distance, len(pairs), config.average_by_layers)
    return _mean(total, len(fake), config.average_by_discriminators)


def _mean(total: Tensor | float, number: int, average: bool) -> Tensor:
    assert not isinstance(total, float | int), "there is at least one discriminator and layer"
    return total / number if average else total
