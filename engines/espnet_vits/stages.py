"""The generator as stages: encode, flow, decoder, and render, which is flow and decoder in one; and
the decoder once more, for one part of a sound after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.espnet_vits.config import GeneratorConfig
from engines.runtime.stage import Length, MapStage, Port

if TYPE_CHECKING:
    from torch import nn

    from engines.espnet_vits.model import DecodePart, Generator

TEXT, MEL, WAV = "T_text", "T_mel", "T_wav"
PART = "T_part"  # as no table of buckets names it: what is carried would be the padding's


def stages(generator: Generator, *, masks: bool = True) -> dict[str, MapStage]:
    """
    Args:
        masks: the decoder masks padded frames, which costs time; leave it out for a runtime that
            runs every length as it is.

    Returns:
        By name. `encode` gives the prior of the text and its durations; `expand` in `synthesis`
        brings it to frames; `render` makes sound of them, or `flow` and `decoder` do so in two
        steps.
    """
    from engines.espnet_vits.model import Decode, Encode, Flow, MaskedDecode, Render

    config = generator.config
    g = _condition(config)
    prior = _prior(config)
    lengths = {"mel_lengths": MEL}
    z = Port("z", "float32", (1, config.hidden_channels, MEL))
    mel_lengths = (Port("mel_lengths", "int64", (1,)),) if masks else ()
    wav, out_len = (Port("wav", "float32", (1, WAV)),), {WAV: Length(MEL, scale=config.hop)}
    return {
        "encode": _encode(Encode(generator), config),
        "flow": MapStage("flow", Flow(generator), (*prior, *g), (z,), lengths=lengths, exact=True),
        "decoder": MapStage(
            "decoder",
            MaskedDecode(generator) if masks else Decode(generator),
            (z, *mel_lengths, *g),
            wav,
            out_len,
            lengths if masks else {},
        ),
        "render": MapStage(
            "render", Render(generator, masks=masks), (*prior, *g), wav, out_len, lengths
        ),
    }


def streamed(generator: Generator, module: DecodePart) -> list[MapStage]:
    """The stages of which the sound comes in parts."""
    made = stages(generator, masks=False)
    return [made["encode"], made["flow"], decode_part(module, generator.config)]


def decode_part(module: DecodePart, config: GeneratorConfig) -> MapStage:
    """The decoder for one part of a sound after the other."""
    size, carry = config.hidden_channels, config.carry
    widths = (config.decoder_channels // 2 ** (i + 1) for i in range(len(carry.rows) - 1))
    held = [(1, size, carry.rows[0])]
    held += [(1, rows, width) for rows, width in zip(carry.rows[1:], widths, strict=True)]
    return MapStage(
        "decode_part",
        module,
        inputs=(
            Port("z", "float32", (1, size, PART)),
            Port("start", "int64", ()),
            Port("frames", "int64", ()),
            *_condition(config),
            *(Port(f"held_{i}", "float32", shape) for i, shape in enumerate(held)),
        ),
        outputs=(
            Port("wav", "float32", (1, WAV)),
            *(Port(f"kept_{i}", "float32", shape) for i, shape in enumerate(held)),
        ),
        out_len={WAV: Length(PART, scale=config.hop)},
    )


def _condition(config: GeneratorConfig) -> tuple[Port, ...]:
    return (Port("g", "float32", (1, config.condition, 1)),) if config.conditions else ()


def _encode(module: nn.Module, config: GeneratorConfig) -> MapStage:
    size = config.hidden_channels
    shapes = {
        "sid": Port("sid", "int64", (1,)),
        "spembs": Port("spembs", "float32", (1, config.xvector)),
        "lid": Port("lid", "int64", (1,)),
    }
    g = _condition(config)
    return MapStage(
        "encode",
        module,
        inputs=(
            Port("ids", "int64", (1, TEXT)),
            Port("text_lengths", "int64", (1,)),
            Port("noise_dur", "float32", (1, 2, TEXT)),
            Port("noise_scale_dur", "float32", ()),
            Port("alpha", "float32", ()),
            *(shapes[name] for name in config.conditions),
        ),
        outputs=(
            Port("m", "float32", (1, size, TEXT)),
            Port("logs", "float32", (1, size, TEXT)),
            Port("durations", "int64", (1, TEXT)),
            *g,
        ),
        lengths={"text_lengths": TEXT},
        exact=True,
    )


def _prior(config: GeneratorConfig) -> tuple[Port, ...]:
    frames = (1, config.hidden_channels, MEL)
    return (
        Port("m", "float32", frames),
        Port("logs", "float32", frames),
        Port("mel_lengths", "int64", (1,)),
        Port("noise", "float32", frames),
        Port("noise_scale", "float32", ()),
    )
