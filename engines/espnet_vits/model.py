"""The generator of ESPnet's VITS, and its parts as stages' modules.

B batch, T_text tokens, T_mel latent frames, T_wav = hop * T_mel samples, H hidden channels,
G channels of the global condition, A spectrogram bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.espnet_vits.config import GeneratorConfig
from engines.nn import hifigan_onnx
from engines.nn.conformer import Conformer, ConformerShape
from engines.nn.durations import DurationPredictor
from engines.nn.hifigan import HiFiGan
from engines.nn.hifigan_parts import HiFiGanParts, Place, at_hand
from engines.nn.masks import length_mask
from engines.nn.onnx_graph import Value
from engines.nn.valid_conv import MakeConv, PlainConv
from engines.nn.wavenet import AffineCoupling, CouplingFlow, GaussianEncoder, WaveNet

if TYPE_CHECKING:
    import onnx

    from engines.runtime.stage import Port


class TextEncoder(nn.Module):
    def __init__(self, config: GeneratorConfig):
        super().__init__()
        size = config.hidden_channels
        self.emb = nn.Embedding(config.vocabs, size)
        self.encoder = Conformer(conformer_shape(config))
        self.proj = nn.Conv1d(size, 2 * size, 1)
        self.scale = math.sqrt(size)

    def forward(
        self, ids: Tensor, lengths: Tensor, *, leak: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """
        Args:
            ids: int64 [B, T_text].
            lengths: int64 [B].
            leak: convolutions of a padded batch see the padding, as in ESPnet.

        Returns:
            Encoded text (its padding not masked), mean and logarithm of the deviation of the
            prior, each [B, H, T_text], and the mask [B, 1, T_text].
        """
        # The embedding is scaled here, and again where positions come in.
        x = self.emb(ids) * self.scale
        mask = length_mask(lengths, ids.shape[1], x.dtype)
        x = self.encoder(x, mask, leak=leak).transpose(1, 2)
        m, logs = (self.proj(x) * mask).chunk(2, dim=1)
        return x, m, logs, mask


class Generator(nn.Module):
    """
    Args:
        posterior: with the posterior encoder, which training and teacher forcing need.
    """

    def __init__(self, config: GeneratorConfig, *, posterior: bool = False):
        super().__init__()
        size, condition = config.hidden_channels, config.condition
        self.config = config
        self.text_encoder = TextEncoder(config)
        self.duration_predictor = DurationPredictor(
            size,
            config.stochastic_duration_predictor_kernel_size,
            config.stochastic_duration_predictor_flows,
            config.stochastic_duration_predictor_dds_conv_layers,
            condition,
            config.stochastic_duration_predictor_dropout_rate,
        )
        self.flow = CouplingFlow([_coupling(config) for _ in range(config.flow_flows)])
        self.decoder = HiFiGan(
            size,
            config.decoder_channels,
            config.decoder_kernel_size,
            config.decoder_upsample_scales,
            config.resblocks,
            condition,
        )
        self.posterior_encoder = _posterior_encoder(config) if posterior else None
        self.global_emb = nn.Embedding(config.speakers, condition) if config.speakers else None
        self.spemb_proj = nn.Linear(config.xvector, condition) if config.xvector else None
        self.lang_emb = nn.Embedding(config.languages, condition) if config.languages else None

    def condition(
        self,
        sid: Tensor | None = None,
        spembs: Tensor | None = None,
        lid: Tensor | None = None,
    ) -> Tensor | None:
        """As `condition`, of this model's tables."""
        return condition(self.global_emb, self.spemb_proj, self.lang_emb, (sid, spembs, lid))


def condition(
    speakers: nn.Module | None,
    xvectors: nn.Module | None,
    languages: nn.Module | None,
    given: tuple[Tensor | None, Tensor | None, Tensor | None],
) -> Tensor | None:
    """The sum of what the model has tables for; what it has none for is ignored.

    Args:
        given: speaker ids int64 [B], x-vectors of any length [B, D], language ids int64 [B].

    Returns:
        [B, G, 1], or None where the model has one voice.
    """
    sid, spembs, lid = given
    parts = []
    if speakers is not None:
        parts.append(speakers(_given(sid, "sid")))
    if xvectors is not None:
        parts.append(xvectors(functional.normalize(_given(spembs, "spembs"))))
    if languages is not None:
        parts.append(languages(_given(lid, "lid")))
    if not parts:
        return None
    return torch.stack(parts).sum(0).unsqueeze(-1) if len(parts) > 1 else parts[0][..., None]


class Encode(nn.Module):
    """Text to the prior and to durations; `conditions` says what follows its first five inputs."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.text_encoder = generator.text_encoder
        self.duration_predictor = generator.duration_predictor
        self.speakers, self.xvectors = generator.global_emb, generator.spemb_proj
        self.languages = generator.lang_emb
        self.conditions = generator.config.conditions

    def forward(
        self,
        ids: Tensor,
        text_lengths: Tensor,
        noise_dur: Tensor,
        noise_scale_dur: Tensor,
        alpha: Tensor,
        first: Tensor | None = None,
        second: Tensor | None = None,
        third: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """
        Args:
            ids: int64 [1, T_text].
            text_lengths: int64 [1].
            noise_dur: standard normal, [1, 2, T_text].
            noise_scale_dur, alpha: []; alpha above 1 speaks slower.

        Returns:
            Mean and logarithm of the deviation [1, H, T_text], frames of each token int64
            [1, T_text], and the condition [1, G, 1] where the model has one.
        """
        given = dict(zip(self.conditions, (first, second, third), strict=False))
        parts = given.get("sid"), given.get("spembs"), given.get("lid")
        g = condition(self.speakers, self.xvectors, self.languages, parts)
        x, m, logs, mask = self.text_encoder(ids, text_lengths)
        logw = self.duration_predictor(x, mask, noise_dur, noise_scale_dur, g)
        durations = torch.ceil(torch.exp(logw) * mask * alpha)[:, 0].to(torch.int64)
        return (m, logs, durations) if g is None else (m, logs, durations, g)


class Flow(nn.Module):
    """The prior, expanded to frames, to the latent that the decoder takes."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.flow = generator.flow

    def forward(
        self,
        m: Tensor,
        logs: Tensor,
        mel_lengths: Tensor,
        noise: Tensor,
        noise_scale: Tensor,
        g: Tensor | None = None,
    ) -> tuple[Tensor]:
        """
        Args:
            m, logs: [1, H, T_mel].
            mel_lengths: int64 [1].
            noise: standard normal, [1, H, T_mel].
            noise_scale: [].
            g: [1, G, 1].

        Returns:
            [1, H, T_mel], its padding at zero.
        """
        mask = length_mask(mel_lengths, m.shape[2], m.dtype)
        z = m + noise * torch.exp(logs) * noise_scale
        return (self.flow(z, mask, g, inverse=True) * mask,)


class Decode(nn.Module):
    """Latent frames to samples."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.decoder = generator.decoder

    def forward(self, z: Tensor, g: Tensor | None = None) -> tuple[Tensor]:
        """[1, H, T_mel] → [1, T_wav]."""
        return (self.decoder(z, g)[:, 0],)


class MaskedDecode(Decode):
    """The same where a runtime pads: samples of true frames do not hear the padding."""

    def forward(  # type: ignore[override]
        self, z: Tensor, mel_lengths: Tensor, g: Tensor | None = None
    ) -> tuple[Tensor]:
        return (self.decoder(z, g, mel_lengths)[:, 0],)


class DecodePart(nn.Module):
    """The same part by part, which `HiFiGanParts` explains.

    Args:
        make: makes the convolutions.
        place: finds out where rows are.
    """

    def __init__(
        self, generator: Generator, make: MakeConv = PlainConv, place: Place = at_hand
    ) -> None:
        super().__init__()
        self.parts = HiFiGanParts(generator.decoder, make, place)

    def forward(
        self, z: Tensor, start: Tensor, frames: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        """As `HiFiGanParts.forward`."""
        made: tuple[Tensor, ...] = self.parts(z, start, frames, *rest)
        return made


class WrittenDecodePart(DecodePart):
    """One that writes its own ONNX graph."""

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator)

    def graph(self, inputs: Sequence[Port], outputs: Sequence[Port], opset: int) -> onnx.ModelProto:
        """
        Raises:
            ValueError: the opset is too old.
        """
        given, made = (
            [Value(port.name, port.dtype, port.shape) for port in ports]
            for ports in (inputs, outputs)
        )
        return hifigan_onnx.write(self.parts, given, made, opset)


class Render(nn.Module):
    """Flow and decoder in one."""

    def __init__(self, generator: Generator, *, masks: bool):
        super().__init__()
        self.flow, self.decoder, self.masks = Flow(generator), generator.decoder, masks

    def forward(
        self,
        m: Tensor,
        logs: Tensor,
        mel_lengths: Tensor,
        noise: Tensor,
        noise_scale: Tensor,
        g: Tensor | None = None,
    ) -> tuple[Tensor]:
        """As `Flow`, but → [1, T_wav]."""
        (z,) = self.flow(m, logs, mel_lengths, noise, noise_scale, g)
        return (self.decoder(z, g, mel_lengths if self.masks else None)[:, 0],)


def conformer_shape(config: GeneratorConfig) -> ConformerShape:
    convolves = config.use_conformer_conv_in_text_encoder
    return ConformerShape(
        channels=config.hidden_channels,
        heads=config.text_encoder_attention_heads,
        ffn_channels=config.hidden_channels * config.text_encoder_ffn_expand,
        ffn_kernel=config.text_encoder_positionwise_conv_kernel_size,
        blocks=config.text_encoder_blocks,
        macaron=config.use_macaron_style_in_text_encoder,
        conv_kernel=config.text_encoder_conformer_kernel_size if convolves else 0,
        activation=config.text_encoder_activation_type,
        normalize_before=config.text_encoder_normalize_before,
        dropout=config.text_encoder_dropout_rate,
        attention_dropout=config.text_encoder_attention_dropout_rate,
        position_dropout=config.text_encoder_positional_dropout_rate,
    )


def _coupling(config: GeneratorConfig) -> AffineCoupling:
    size = config.hidden_channels
    wavenet = WaveNet(
        size,
        config.flow_kernel_size,
        tuple(config.flow_base_dilation**i for i in range(config.flow_layers)),
        config.condition,
        config.flow_dropout_rate,
    )
    return AffineCoupling(size, size, wavenet, config.use_only_mean_in_flow)


def _posterior_encoder(config: GeneratorConfig) -> GaussianEncoder:
    size, layers = config.hidden_channels, config.posterior_encoder_layers
    cycle = layers // config.posterior_encoder_stacks
    wavenet = WaveNet(
        size,
        config.posterior_encoder_kernel_size,
        tuple(config.posterior_encoder_base_dilation ** (i % cycle) for i in range(layers)),
        config.condition,
        config.posterior_encoder_dropout_rate,
    )
    return GaussianEncoder(config.aux_channels, size, size, wavenet)


def _given(part: Tensor | None, name: str) -> Tensor:
    if part is None:
        raise ValueError(f"this model needs {name}")
    return part
