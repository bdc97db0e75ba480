"""XTTS as stages: listen and speaker for a reference clip, gpt and decoder for a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engines.coqui.xtts.config import (
    DECODER_KERNEL,
    DECODER_RESBLOCKS,
    DECODER_SCALES,
    LATENTS,
    MEL_BANDS,
    SPEAKER_BANDS,
    XttsConfig,
)
from engines.nn.reach import hifigan_reach
from engines.runtime.buckets import Buckets, geometric
from engines.runtime.stage import BATCH, Length, MapStage, Port
from engines.runtime.step import NEW, Carry, StepStage

if TYPE_CHECKING:
    from torch import Tensor, nn

CLIP, BANDS, MEL, WAV = "T_clip", "T_bands", "T_mel", "T_wav"
SMALLEST_PROMPT = 64  # positions, below which a graph of its own would gain nothing
LARGEST_PART = 320  # frames that are decoded at once where every size is compiled
REACH = hifigan_reach(DECODER_KERNEL, DECODER_SCALES, DECODER_RESBLOCKS)

Parts = Mapping[str, "nn.Module"]


def listening(parts: Parts, config: XttsConfig) -> list[MapStage]:
    """What a reference clip goes through, of the parts "conditioning" and "speaker"."""
    return [
        MapStage(
            "listen",
            parts["conditioning"],
            inputs=(Port("mel", "float32", (1, MEL_BANDS, CLIP)), Port("lengths", "int64", (1,))),
            outputs=(Port("latents", "float32", (1, LATENTS, config.width)),),
            lengths={"lengths": CLIP},
        ),
        MapStage(
            "speaker",
            parts["speaker"],
            inputs=(
                Port("bands", "float32", (1, SPEAKER_BANDS, BANDS)),
                Port("lengths", "int64", (1,)),
            ),
            outputs=(Port("embedding", "float32", (1, config.model_args.d_vector_dim)),),
            lengths={"lengths": BANDS},
        ),
    ]


def speaking(parts: Parts, config: XttsConfig, *, masks: bool) -> list[MapStage | StepStage]:
    """What a sentence goes through, of the parts "gpt" and "decoder".

    Args:
        masks: the decoder masks padded frames, which costs time; leave it out for a runtime that
            runs every length as it is.
    """
    return [gpt_stage(parts["gpt"], config), decoder_stage(parts["decoder"], config, masks=masks)]


def gpt_stage(module: nn.Module, config: XttsConfig) -> StepStage:
    args = config.model_args
    return StepStage(
        "gpt",
        module,
        inputs=(
            Port("kinds", "int64", (BATCH, NEW)),
            Port("ids", "int64", (BATCH, NEW)),
            Port("places", "int64", (BATCH, NEW)),
            Port("voice", "float32", (BATCH, LATENTS, config.width)),
        ),
        outputs=(
            Port("logits", "float32", (BATCH, args.gpt_num_audio_tokens)),
            Port("latent", "float32", (BATCH, config.width)),
        ),
        carry=Carry(args.gpt_layers, args.gpt_n_heads, config.width // args.gpt_n_heads),
        sizes=kept_sizes(config),
    )


def decoder_stage(module: nn.Module, config: XttsConfig, *, masks: bool) -> MapStage:
    return MapStage(
        "decoder",
        masked_decoder(module) if masks else unmasked_decoder(module),
        inputs=(
            Port("z", "float32", (1, config.width, MEL)),
            Port("g", "float32", (1, config.model_args.d_vector_dim, 1)),
            *((Port("lengths", "int64", (1,)),) if masks else ()),
        ),
        outputs=(Port("wav", "float32", (1, WAV)),),
        out_len={WAV: Length(MEL, scale=config.model_args.output_hop_length)},
        lengths={"lengths": MEL} if masks else {},
    )


def longest_prompt(config: XttsConfig) -> int:
    """Positions before the first code is known: the voice, the text with its ends, the start."""
    return LATENTS + config.model_args.gpt_max_text_tokens + 2


def kept_sizes(config: XttsConfig) -> Buckets:
    """Of the buffers of keys and values."""
    longest = longest_prompt(config) + config.most_codes
    return geometric(max(8, longest // 5), longest, multiple=8)


def buckets(config: XttsConfig) -> Mapping[str, Buckets]:
    """Where every size is compiled; clips are heard on the CPU there."""
    longest = longest_prompt(config)
    smallest = min(SMALLEST_PROMPT, longest)
    return {
        BATCH: Buckets([1]),
        NEW: geometric(smallest, longest),
        MEL: geometric(64, LARGEST_PART, multiple=8),
    }


def unmasked_decoder(decoder: nn.Module) -> nn.Module:
    from torch import nn

    class Decode(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = decoder

        def forward(self, z: Tensor, g: Tensor) -> tuple[Tensor]:
            return (self.decoder(z, g)[:, 0],)

    return Decode()


def masked_decoder(decoder: nn.Module) -> nn.Module:
    from torch import nn

    class MaskedDecode(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decoder = decoder

        def forward(self, z: Tensor, g: Tensor, lengths: Tensor) -> tuple[Tensor]:
            return (self.decoder(z, g, lengths)[:, 0],)

    return MaskedDecode()
