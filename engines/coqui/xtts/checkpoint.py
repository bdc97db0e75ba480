"""A published XTTS folder: its weights into our modules, strictly; its speakers; safetensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.checkpoint import (
    SUFFIX,
    KeyMap,
    bad_file,
    load,
    on_meta,
    read,
    save,
    unpickle,
)
from engines.coqui.xtts.config import SPEAKERS, WEIGHTS, XttsConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engines.coqui.xtts.encoders import Conditioning, SpeakerEncoder
    from engines.coqui.xtts.gpt import Gpt
    from engines.nn.hifigan import HiFiGan

# The published name, then ours.
_CONDITIONING = (
    ("gpt.conditioning_encoder", "conditioning.conditioning_encoder"),
    ("gpt.conditioning_perceiver", "conditioning.conditioning_perceiver"),
    ("mel_stats", "conditioning.mel_stats"),
)
_SPEAKER = (("hifigan_decoder.speaker_encoder", "speaker"),)
_GPT = (
    ("gpt.text_embedding", "gpt.text_embedding"),
    ("gpt.text_pos_embedding.emb", "gpt.text_positions"),
    ("gpt.mel_embedding", "gpt.code_embedding"),
    ("gpt.mel_pos_embedding.emb", "gpt.code_positions"),
    ("gpt.gpt.h.{}.ln_1", "gpt.blocks.{}.norm1"),
    ("gpt.gpt.h.{}.attn.c_attn", "gpt.blocks.{}.qkv"),
    ("gpt.gpt.h.{}.attn.c_proj", "gpt.blocks.{}.out"),
    ("gpt.gpt.h.{}.ln_2", "gpt.blocks.{}.norm2"),
    ("gpt.gpt.h.{}.mlp.c_fc", "gpt.blocks.{}.up"),
    ("gpt.gpt.h.{}.mlp.c_proj", "gpt.blocks.{}.down"),
    ("gpt.gpt.ln_f", "gpt.last_norm"),
    ("gpt.final_norm", "gpt.final_norm"),
    ("gpt.mel_head", "gpt.code_head"),
)
_DECODER = (
    ("hifigan_decoder.waveform_decoder.cond_layer", "decoder.cond"),
    ("hifigan_decoder.waveform_decoder", "decoder"),
)
# Training's own, what older versions of the library wrote twice, and what follows from constants.
_DROPPED = (
    "dvae",
    "torch_mel_spectrogram_dvae",
    "torch_mel_spectrogram_style_encoder",
    "gpt.gpt_inference",
    "gpt.gpt.wte",
    "gpt.text_head",
    "hifigan_decoder.speaker_encoder.torch_spec",
)
_OLD_MASKS = (".attn.bias", ".attn.masked_bias")  # of GPT-2 in older versions of transformers
TRAINER = "xtts."  # what the library's trainer puts before every name
KEYS = KeyMap((*_CONDITIONING, *_SPEAKER, *_GPT, *_DECODER), drop=_DROPPED)
LISTENING = ("conditioning", "speaker")  # parts that a reference clip goes through
SPEAKING = ("gpt", "decoder")

GPT_LATENT, SPEAKER_EMBEDDING = "gpt_cond_latent", "speaker_embedding"
SPEAKERS_SAFE = str(Path(SPEAKERS).with_suffix(SUFFIX))


class _Settings:
    """Stands for the library's classes in a published file, so that none of its code runs."""


ALLOWED = tuple(
    (_Settings, name)
    for name in (
        "TTS.tts.configs.xtts_config.XttsConfig",
        "TTS.tts.configs.xtts_config.XttsArgs",
        "TTS.tts.configs.xtts_config.XttsAudioConfig",
        "TTS.tts.models.xtts.XttsArgs",
        "TTS.tts.models.xtts.XttsAudioConfig",
        "TTS.config.shared_configs.BaseDatasetConfig",
    )
)


@dataclass(frozen=True)
class Speaker:
    """What a voice is to the model.

    Attributes:
        latents: what the GPT begins with, float32 [32, C].
        embedding: what the decoder is told, float32 [512].
    """

    latents: np.ndarray
    embedding: np.ndarray


def load_parts(
    folder: Path, config: XttsConfig, parts: Sequence[str], texts: int
) -> Mapping[str, nn.Module]:
    """Parts of the model by name: "conditioning", "speaker", "gpt", "decoder".

    Args:
        texts: size of the text vocabulary.

    Raises:
        BadCheckpoint: the weights are missing, damaged, or not those of the configuration.
    """
    from torch import nn

    path = folder / WEIGHTS
    # a part is read from where it lies; all of it goes into memory once
    mapped = "gpt" not in parts
    state = _wanted(_state(path, mapped=mapped), parts)
    _turn(state)
    builders: Mapping[str, Callable[[], nn.Module]] = {
        "conditioning": lambda: _conditioning(config),
        "speaker": lambda: _speaker(config),
        "gpt": lambda: _gpt(config, texts),
        "decoder": lambda: _decoder(config),
    }
    with on_meta():
        whole = nn.ModuleDict({part: builders[part]() for part in parts})
    load(whole, state, KEYS, str(path), mapped=mapped or _safe(path))
    return {part: whole[part].eval().requires_grad_(False) for part in parts}


def load_speakers(folder: Path, *, trust: bool = False) -> dict[str, Speaker]:
    """The voices that come with a release, by name; none where it has none.

    Without torch where the release is converted to safetensors.

    Raises:
        BadCheckpoint: the file is damaged or holds something else.
    """
    safe, path = folder / SPEAKERS_SAFE, folder / SPEAKERS
    if safe.is_file():
        return _safe_speakers(safe)
    if not path.is_file():
        return {}
    found = unpickle(path, trust=trust)
    try:
        return {
            str(name): Speaker(
                each[GPT_LATENT].float().numpy().reshape(each[GPT_LATENT].shape[-2:]),
                each[SPEAKER_EMBEDDING].float().numpy().reshape(-1),
            )
            for name, each in found.items()
        }
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise bad_file(path, f"holds something else than speakers ({error!r:.80})") from error


def convert_release(folder: Path, *, trust: bool = False) -> Path:
    """Write a release's weights and speakers as safetensors beside its torch files, and return
    the file of the weights.

    Raises:
        BadCheckpoint: they cannot be opened.
    """
    path = folder / WEIGHTS
    target = path.with_suffix(SUFFIX)
    if not target.is_file():
        save(_state(path, mapped=True, trust=trust), target)
    convert_speakers(folder, trust=trust)
    return target


def convert_speakers(folder: Path, *, trust: bool = False) -> None:
    """Write the speakers that come with a release as safetensors beside their torch file.

    Raises:
        BadCheckpoint: it is damaged or holds something else.
    """
    if (folder / SPEAKERS).is_file() and not (folder / SPEAKERS_SAFE).is_file():
        import torch

        flat = {}
        for name, speaker in load_speakers(folder, trust=trust).items():
            flat[f"{GPT_LATENT}/{name}"] = torch.from_numpy(speaker.latents)
            flat[f"{SPEAKER_EMBEDDING}/{name}"] = torch.from_numpy(speaker.embedding)
        save(flat, folder / SPEAKERS_SAFE)


def _state(path: Path, *, mapped: bool, trust: bool = False) -> dict[str, Tensor]:
    """All tensors that speaking may need, under the names of a published file."""
    found = read(path, trust=trust, allow=ALLOWED, within="model", mapped=mapped)
    named = {key.removeprefix(TRAINER): each for key, each in found.items()}
    return {
        key: each
        for key, each in named.items()
        if KEYS.own(key) is not None and not key.endswith(_OLD_MASKS)
    }


def _wanted(state: Mapping[str, Tensor], parts: Sequence[str]) -> dict[str, Tensor]:
    """Without the tensors of other parts; what belongs to none stays, and is told."""
    others = {*LISTENING, *SPEAKING} - set(parts)
    return {key: each for key, each in state.items() if _part(key) not in others}


def _part(key: str) -> str:
    return (KEYS.own(key) or "").partition(".")[0] if key.partition(".")[0] in _TOPS else ""


_TOPS = ("gpt", "hifigan_decoder", "mel_stats")


def _turn(state: dict[str, Tensor]) -> None:
    """GPT-2's matrices, which are published as [in, out], as [out, in]; each lets go of the one
    before, so that there is only one of them twice."""
    for key in list(state):
        if ".h." in key and key.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            each = state.pop(key)
            state[key] = each.t().contiguous() if each.dim() == 2 else each
            del each


def _safe(path: Path) -> bool:
    return path.with_suffix(SUFFIX).is_file()


def _conditioning(config: XttsConfig) -> Conditioning:
    from engines.coqui.xtts.encoders import Conditioning

    return Conditioning(config.model_args)


def _speaker(config: XttsConfig) -> SpeakerEncoder:
    from engines.coqui.xtts.encoders import SpeakerEncoder

    return SpeakerEncoder(config.model_args.d_vector_dim)


def _gpt(config: XttsConfig, texts: int) -> Gpt:
    from engines.coqui.xtts.gpt import Gpt

    return Gpt(config.model_args, texts)


def _decoder(config: XttsConfig) -> HiFiGan:
    from engines.coqui.xtts.config import (
        DECODER_KERNEL,
        DECODER_RESBLOCKS,
        DECODER_SCALES,
        DECODER_WIDTH,
    )
    from engines.nn.hifigan import HiFiGan

    return HiFiGan(
        config.width,
        DECODER_WIDTH,
        DECODER_KERNEL,
        DECODER_SCALES,
        DECODER_RESBLOCKS,
        config.model_args.d_vector_dim,
        condition_each=True,
        post_bias=False,
    )


def _safe_speakers(path: Path) -> dict[str, Speaker]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: dict[str, Any] = load_file(path)
        names = dict.fromkeys(key.partition("/")[2] for key in found)
        return {
            name: Speaker(
                np.float32(found[f"{GPT_LATENT}/{name}"]).reshape(
                    found[f"{GPT_LATENT}/{name}"].shape[-2:]
                ),
                np.float32(found[f"{SPEAKER_EMBEDDING}/{name}"]).reshape(-1),
            )
            for name in names
        }
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise bad_file(path, f"is damaged or holds no speakers ({error!r:.80})") from error
