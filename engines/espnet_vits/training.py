"""What one training step computes: features, the generator's forward pass, and both turns' losses.

B batch, T_text tokens, T_mel latent frames, T_wav samples, A spectrogram bins, H hidden channels,
S frames of a segment. Noise is an input here too; one step draws, in this order: the posterior's,
the duration predictor's, and the positions of the segments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engines.espnet_vits import losses
from engines.espnet_vits.config import FeatureConfig
from engines.espnet_vits.discriminator import Discriminator
from engines.espnet_vits.model import Generator
from engines.espnet_vits.training_config import TrainingConfig
from engines.nn.alignment import best_path
from engines.nn.masks import length_mask
from engines.nn.spectrogram import amplitudes


@dataclass(frozen=True)
class Batch:
    """
    Attributes:
        text: int64 [B, T_text], 0 at padding.
        text_lengths: int64 [B].
        speech: [B, T_wav], 0 at padding.
        speech_lengths: int64 [B].
        sid, lid: int64 [B].
        spembs: [B, D].
    """

    text: Tensor
    text_lengths: Tensor
    speech: Tensor
    speech_lengths: Tensor
    sid: Tensor | None = None
    spembs: Tensor | None = None
    lid: Tensor | None = None


@dataclass(frozen=True)
class Draws:
    """
    Attributes:
        posterior: standard normal, [B, H, T_mel].
        durations: standard normal, [B, 2, T_text].
        segments: uniform from 0 up to 1, [B].
    """

    posterior: Tensor
    durations: Tensor
    segments: Tensor


@dataclass(frozen=True)
class Forward:
    """What the generator gives for a batch.

    Attributes:
        wav: [B, 1, S * hop], a segment of each item.
        speech: the same segment of the recording.
        start: int64 [B], the frame where it starts.
        dur_nll: [B]; divided by the tokens of the whole batch.
        path: [B, T_mel, T_text].
        feats_lengths: int64 [B].
        x_mask, y_mask: [B, 1, T_text] and [B, 1, T_mel].
        z, z_p, m_p, logs_p, m_q, logs_q: [B, H, T_mel]; `m_p`, `logs_p` expanded to frames.
    """

    wav: Tensor
    speech: Tensor
    start: Tensor
    dur_nll: Tensor
    path: Tensor
    feats_lengths: Tensor
    x_mask: Tensor
    y_mask: Tensor
    z: Tensor
    z_p: Tensor
    m_p: Tensor
    logs_p: Tensor
    m_q: Tensor
    logs_q: Tensor


@dataclass(frozen=True)
class GeneratorLoss:
    """Each part is weighted already; `total` is their sum."""

    total: Tensor
    mel: Tensor
    kl: Tensor
    dur: Tensor
    adv: Tensor
    feat_match: Tensor


@dataclass(frozen=True)
class DiscriminatorLoss:
    total: Tensor
    real: Tensor
    fake: Tensor


def linear_spectrogram(
    speech: Tensor, lengths: Tensor, config: FeatureConfig
) -> tuple[Tensor, Tensor]:
    """
    Args:
        speech: [B, T_wav].
        lengths: int64 [B].

    Returns:
        [B, A, T_mel], zeros past each length, and the lengths in frames.
    """
    feats = amplitudes(speech, config.n_fft, config.hop_length, config.win_length)
    # An odd n_fft is mirrored by one sample less than it takes.
    frames = (lengths + 2 * (config.n_fft // 2) - config.n_fft) // config.hop_length + 1
    return feats * length_mask(frames, feats.shape[-1], feats.dtype), frames


def align(z_p: Tensor, m: Tensor, logs: Tensor, x_mask: Tensor, y_mask: Tensor) -> Tensor:
    """The monotonic path of the highest likelihood of frames under the tokens' priors.

    Args:
        z_p: [B, H, T_mel].
        m, logs: [B, H, T_text].

    Returns:
        [B, T_mel, T_text], zeros and ones, without gradient.
    """
    with torch.no_grad():
        precision = torch.exp(-2 * logs)
        constant = (-0.5 * math.log(2 * math.pi) - logs).sum(1, keepdim=True)
        frames = z_p.transpose(1, 2)
        score = (
            constant
            + (-0.5 * frames.square()) @ precision
            + frames @ (m * precision)
            + (-0.5 * m.square() * precision).sum(1, keepdim=True)
        )
        path = torch.zeros_like(score)
        tokens, times = x_mask.sum((1, 2)).long().tolist(), y_mask.sum((1, 2)).long().tolist()
        for item, (size, time) in enumerate(zip(tokens, times, strict=True)):
            best = best_path(score[item, :time, :size].cpu().numpy())
            path[item, :time, :size] = torch.from_numpy(best)
    return path


def forward(generator: Generator, batch: Batch, draws: Draws, features: FeatureConfig) -> Forward:
    """
    Raises:
        ValueError: the longest recording is shorter than a segment.
    """
    assert generator.posterior_encoder is not None
    config = generator.config
    feats, feats_lengths = linear_spectrogram(batch.speech, batch.speech_lengths, features)
    x, m, logs, x_mask = generator.text_encoder(batch.text, batch.text_lengths, leak=True)
    g = generator.condition(batch.sid, batch.spembs, batch.lid)
    y_mask = length_mask(feats_lengths, feats.shape[-1], feats.dtype)
    z, m_q, logs_q = generator.posterior_encoder(feats, y_mask, draws.posterior, g)
    z_p = generator.flow(z, y_mask, g)
    path = align(z_p, m, logs, x_mask, y_mask)

    durations = path.sum(1, keepdim=True)
    nll = generator.duration_predictor.nll(x, x_mask, durations, draws.durations, g)
    expand = path.transpose(1, 2)

    start = (draws.segments * (feats_lengths - config.segment_size).clamp(min=0)).long()
    hop = config.hop
    segment = _segments(z, start, config.segment_size)
    return Forward(
        wav=generator.decoder(segment, g),
        speech=_segments(batch.speech[:, None], start * hop, config.segment_size * hop),
        start=start,
        dur_nll=nll / x_mask.sum(),
        path=path,
        feats_lengths=feats_lengths,
        x_mask=x_mask,
        y_mask=y_mask,
        z=z,
        z_p=z_p,
        m_p=m @ expand,
        logs_p=logs @ expand,
        m_q=m_q,
        logs_q=logs_q,
    )


def generator_loss(
    made: Forward, discriminator: Discriminator, config: TrainingConfig
) -> GeneratorLoss:
    """The generator's turn."""
    fake = discriminator(made.wav)
    with torch.no_grad():
        real = discriminator(made.speech)
    kl = losses.kl_loss(made.z_p, made.logs_q, made.m_p, made.logs_p, made.y_mask)
    parts = {
        "mel": config.lambda_mel * losses.mel_loss(made.wav, made.speech, config.mel_loss_params),
        "kl": config.lambda_kl * kl,
        "dur": config.lambda_dur * made.dur_nll.sum(),
        "adv": config.lambda_adv
        * losses.generator_adversarial(fake, config.generator_adv_loss_params),
        "feat_match": config.lambda_feat_match
        * losses.feature_match(fake, real, config.feat_match_loss_params),
    }
    return GeneratorLoss(total=torch.stack(list(parts.values())).sum(), **parts)


def discriminator_loss(
    made: Forward, discriminator: Discriminator, config: TrainingConfig
) -> DiscriminatorLoss:
    """The discriminators' turn; no gradient goes to the generator."""
    real, fake = losses.discriminator_adversarial(
        discriminator(made.wav.detach()),
        discriminator(made.speech),
        config.discriminator_adv_loss_params,
    )
    return DiscriminatorLoss(total=real + fake, real=real, fake=fake)


def _segments(x: Tensor, start: Tensor, size: int) -> Tensor:
    """[B, C, T] → [B, C, size], each item from its own start."""
    if x.shape[-1] < size:
        raise ValueError(f"a segment has {size} steps, and the longest item {x.shape[-1]}")
    return torch.stack(
        [each[:, at : at + size] for each, at in zip(x, start.tolist(), strict=True)]
    )
