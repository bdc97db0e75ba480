"""What a published XTTS folder says about its model: sizes, languages, how it likes to be used.

No torch: ONNX Runtime works from the same folder.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from engines.checkpoint import read_json, validated
from engines.errors import BadCheckpoint

CONFIG, WEIGHTS, VOCABULARY, SPEAKERS = (
    "config.json",
    "model.pth",
    "vocab.json",
    "speakers_xtts.pth",
)

# The library builds these parts from constants; no configuration file changes them.
MEL_BANDS = 80  # of a reference clip
LATENTS = 32  # vectors that a reference clip becomes
PERCEIVER_LAYERS, PERCEIVER_HEADS, PERCEIVER_HEAD = 2, 8, 64
ENCODER_BLOCKS = 6
SPEAKER_BANDS = 64
SPEAKER_FILTERS, SPEAKER_BLOCKS = (32, 64, 128, 256), (3, 4, 6, 3)
DECODER_WIDTH, DECODER_SCALES = 512, (8, 8, 2, 2)
DECODER_KERNEL = 7
DECODER_RESBLOCKS = tuple((kernel, (1, 3, 5)) for kernel in (3, 7, 11))
VOICE, TEXT, CODE = range(3)  # what a position of the GPT holds
CLIP_RATE, SPEAKER_RATE = 22_050, 16_000  # Hz, at which the two encoders listen


class _Part(BaseModel):
    # A published file holds the whole training set-up; what concerns speaking is read.
    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelArgs(_Part):
    """Sizes, under the library's names."""

    gpt_max_audio_tokens: int = Field(605, ge=8)
    gpt_max_text_tokens: int = Field(402, ge=8)
    gpt_max_prompt_tokens: int = Field(70, ge=1)
    gpt_layers: int = Field(30, ge=1)
    gpt_n_model_channels: int = Field(1024, ge=8)
    gpt_n_heads: int = Field(16, ge=1)
    gpt_num_audio_tokens: int = Field(8194, ge=3)
    gpt_start_audio_token: int = 8192
    gpt_stop_audio_token: int = 8193
    gpt_code_stride_len: int = Field(1024, ge=1)
    gpt_use_perceiver_resampler: bool = False
    input_sample_rate: int = Field(22_050, ge=1)
    output_sample_rate: int = Field(24_000, ge=1)
    output_hop_length: int = Field(256, ge=1)
    decoder_input_dim: int = Field(1024, ge=1)
    d_vector_dim: int = Field(512, ge=1)
    cond_d_vector_in_each_upsampling_layer: bool = True


class XttsConfig(_Part):
    model: str
    model_args: ModelArgs = Field(default_factory=lambda: ModelArgs.model_validate({}))
    languages: tuple[str, ...] = ()

    temperature: float = 0.85
    length_penalty: float = 1.0
    repetition_penalty: float = 2.0
    top_k: int = 50
    top_p: float = 0.85
    gpt_cond_len: int = 12  # seconds of all clips together that the GPT hears
    gpt_cond_chunk_len: int = 4  # seconds of each of the pieces that they are cut into
    max_ref_len: int = 10  # seconds of each clip
    sound_norm_refs: bool = False

    @property
    def width(self) -> int:
        return self.model_args.gpt_n_model_channels

    @property
    def sample_rate(self) -> int:
        """Hz of the speech."""
        return self.model_args.output_sample_rate

    @property
    def most_codes(self) -> int:
        """Codes that are spoken at most, the stop among them."""
        return self.model_args.gpt_max_audio_tokens - 3

    @property
    def frames_a_latent(self) -> tuple[float, ...]:
        """Factors by which latents are stretched, one after the other, to the decoder's frames."""
        args = self.model_args
        first = args.gpt_code_stride_len / args.output_hop_length
        if args.output_sample_rate == args.input_sample_rate:
            return (first,)
        return first, args.output_sample_rate / args.input_sample_rate


def read_config(folder: Path) -> XttsConfig:
    """
    Raises:
        BadCheckpoint: the file is missing or damaged, or of another model than XTTS v2.
    """
    path = folder / CONFIG
    config = validated(XttsConfig, read_json(path), path, "")
    wrong = unsplittable(config)
    if wrong:
        raise BadCheckpoint(
            f"{path} is of a model that cannot run in stages: {wrong}.",
            "In stages runs XTTS v2, with its perceiver and its decoder of 256 samples a frame.",
            "Run it as one piece on cpu or cuda.",
        )
    return config


def unsplittable(config: XttsConfig) -> str:
    """Why a model does not run in stages; "" where it does."""
    args = config.model_args
    if config.model != "xtts":
        return f"its model is {config.model!r:.40}"
    if not args.gpt_use_perceiver_resampler:
        return "it is XTTS v1, whose clips become latents of any number"
    if args.gpt_n_model_channels % args.gpt_n_heads:
        return f"{args.gpt_n_model_channels} channels do not divide by {args.gpt_n_heads} heads"
    if args.decoder_input_dim != args.gpt_n_model_channels or args.d_vector_dim != 512:
        return "its parts do not fit each other"
    if args.output_hop_length != 256 or not args.cond_d_vector_in_each_upsampling_layer:
        return "its decoder is another one"
    return ""
