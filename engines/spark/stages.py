"""The codec as stages.

Listening: `wav2vec2` and `encoder` and `quantizer_tokenize` give semantic tokens of a clip,
`speaker_encoder` its global ones. Speaking: `speaker_detokenize`, `quantizer_detokenize`, `prenet`
and `decoder` make sound of both. `postnet` gives back the features; only training needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.runtime.buckets import Buckets, geometric
from engines.runtime.stage import Length, MapStage, Port
from engines.spark.config import SparkConfig

if TYPE_CHECKING:
    from torch import nn

    from engines.spark.bicodec import BiCodec, FeatureDecoder
    from engines.spark.wav2vec2 import Features

REF, CLIP, CODES, WAV = "T_ref", "T_clip", "T_codes", "T_wav"

LISTENING = ("wav2vec2", "encoder", "quantizer_tokenize", "speaker_encoder")
SPEAKING = ("speaker_detokenize", "quantizer_detokenize", "prenet", "decoder")

LONGEST_CLIP = 60  # seconds of a reference
LONGEST_CODES = 512  # tokens that are made into sound at once


def codec_buckets(config: SparkConfig) -> dict[str, Buckets]:
    """Sizes of the axes, for runtimes that compile each."""
    second, hop = config.top.sample_rate, config.codec.hop
    frames = LONGEST_CLIP * second // hop
    return {
        REF: geometric(2 * second, LONGEST_CLIP * second, multiple=hop),
        CLIP: geometric(2 * second // hop, frames, multiple=8),
        CODES: geometric(96, LONGEST_CODES, multiple=8),
    }


def listening(
    codec: BiCodec, features: Features, config: SparkConfig, *, masks: bool
) -> list[MapStage]:
    """
    Args:
        masks: padded frames are masked, which costs time; leave it out for a runtime that runs
            every length as it is.
    """
    from engines.spark import bicodec, quantizer, speaker, wav2vec2

    sizes, read = config.codec, config.features
    edge = read.field - read.stride
    return [
        _stage(
            "wav2vec2",
            (wav2vec2.MaskedListen if masks else wav2vec2.Listen)(features),
            (Port("audio", "float32", (1, REF)),),
            Port("feats", "float32", (1, CLIP, read.hidden_size)),
            REF if masks else "",
            {CLIP: Length(REF, 1, -edge, read.stride)},
        ),
        _stage(
            "encoder",
            (bicodec.MaskedEncode if masks else bicodec.Encode)(codec.encoder),
            (Port("feats", "float32", (1, CLIP, sizes.encoder.input_channels)),),
            Port("z", "float32", (1, sizes.encoder.out_channels, CLIP)),
            CLIP if masks else "",
        ),
        _stage(
            "quantizer_tokenize",
            quantizer.Tokenize(codec.quantizer),
            (Port("z", "float32", (1, sizes.quantizer.input_dim, CLIP)),),
            Port("semantic", "int64", (1, CLIP)),
        ),
        _stage(
            "speaker_encoder",
            speaker.SpeakerTokenize(codec.speaker_encoder),
            (Port("mel", "float32", (1, config.ref_frames, sizes.mel_params.num_mels)),),
            Port("tokens", "int64", (1, sizes.speaker_encoder.token_num)),
        ),
    ]


def speaking(codec: BiCodec, config: SparkConfig, *, masks: bool) -> list[MapStage]:
    """As `listening`."""
    from engines.spark import bicodec, quantizer, speaker

    sizes = config.codec
    d_vector = Port("d_vector", "float32", (1, sizes.speaker_encoder.out_dim))
    z_q = Port("z_q", "float32", (1, sizes.quantizer.input_dim, CODES))
    x = Port("x", "float32", (1, sizes.prenet.out_channels, CODES))
    padded = CODES if masks else ""
    return [
        _stage(
            "speaker_detokenize",
            speaker.SpeakerDetokenize(codec.speaker_encoder),
            (Port("tokens", "int64", (1, sizes.speaker_encoder.token_num)),),
            d_vector,
        ),
        _stage(
            "quantizer_detokenize",
            quantizer.Detokenize(codec.quantizer),
            (Port("semantic", "int64", (1, CODES)),),
            z_q,
        ),
        _stage(
            "prenet",
            (bicodec.MaskedPrenet if masks else bicodec.Prenet)(codec.prenet),
            (z_q, d_vector),
            x,
            padded,
        ),
        _stage(
            "decoder",
            (bicodec.MaskedGenerate if masks else bicodec.Generate)(codec.decoder),
            (x, d_vector),
            Port("wav", "float32", (1, WAV)),
            padded,
            {WAV: Length(CODES, sizes.hop)},
            exact=False,
        ),
    ]


def postnet(decoder: FeatureDecoder, config: SparkConfig, *, masks: bool) -> MapStage:
    """As `listening`."""
    from engines.spark.bicodec import MaskedPostnet, Postnet

    sizes = config.codec.postnet
    return _stage(
        "postnet",
        (MaskedPostnet if masks else Postnet)(decoder),
        (Port("x", "float32", (1, sizes.input_channels, CODES)),),
        Port("pred_feat", "float32", (1, sizes.out_channels, CODES)),
        CODES if masks else "",
    )


def _stage(
    name: str,
    module: nn.Module,
    inputs: tuple[Port, ...],
    output: Port,
    padded: str = "",
    out_len: dict[str, Length] | None = None,
    *,
    exact: bool = True,
) -> MapStage:
    """
    Args:
        padded: the axis whose true length the module takes last.
        exact: a rounded number might be another token, or is the work of a moment.
    """
    lengths = {"lengths": padded} if padded else {}
    ports = (Port("lengths", "int64", (1,)),) if padded else ()
    sizes = out_len or {}
    return MapStage(name, module, (*inputs, *ports), (output,), sizes, lengths, exact=exact)
