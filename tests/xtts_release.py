"""A tiny XTTS v2 release with random weights, made and written by coqui-tts itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from engines.runtime import torchaudio_standin

SIZES: Mapping[str, Any] = {
    "gpt_layers": 2,
    "gpt_n_model_channels": 64,
    "gpt_n_heads": 4,
    "gpt_max_audio_tokens": 33,
    "gpt_max_text_tokens": 60,
    "gpt_num_audio_tokens": 40,
    "gpt_start_audio_token": 38,
    "gpt_stop_audio_token": 39,
    "gpt_use_perceiver_resampler": True,
    "decoder_input_dim": 64,
}
LANGUAGES = (
    *("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru"),
    *("nl", "cs", "ar", "zh-cn", "hu", "ko", "ja", "hi"),
)
MERGES = ("t h", "th e", "e r", "a n", "i n", "o u")
SPEAKERS = ("Ada Tester", "Bo Tester")


def write_release(
    folder: Path, *, seed: int = 0, sizes: Mapping[str, Any] | None = None, pieces: int = 0
) -> Path:
    """Write `config.json`, `model.pth`, `vocab.json` and `speakers_xtts.pth`.

    Args:
        sizes: instead of the tiny ones; the speech of a model of any other size never ends.
        pieces: of the vocabulary at least.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(_vocabulary(pieces), "utf-8")
    torchaudio_standin.prepare()
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    torch.manual_seed(seed)
    config = XttsConfig(model_args=XttsArgs(**(SIZES if sizes is None else sizes)))
    model = Xtts(config)
    model.tokenizer = VoiceBpeTokenizer(str(folder / "vocab.json"))
    model.init_models()
    with torch.no_grad():
        if sizes is None:
            _enliven(model)
        else:
            model.gpt.mel_head.bias[config.model_args.gpt_stop_audio_token] = -1e4
    config.save_json(str(folder / "config.json"))
    torch.save({"model": model.state_dict(), "step": 7}, folder / "model.pth")
    draw = torch.Generator().manual_seed(seed)
    width = config.model_args.gpt_n_model_channels
    speakers = {
        name: {
            "gpt_cond_latent": torch.randn(1, 32, width, generator=draw),
            "speaker_embedding": torch.nn.functional.normalize(
                torch.randn(1, 512, 1, generator=draw), dim=1
            ),
        }
        for name in SPEAKERS
    }
    torch.save(speakers, folder / "speakers_xtts.pth")
    return folder


def library_model(folder: Path) -> Any:
    """The release in the library's own hands, as it loads one."""
    torchaudio_standin.prepare()
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    config = XttsConfig()
    config.load_json(str(folder / "config.json"))
    model = Xtts(config)
    model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    return model


def _enliven(model: Any) -> None:
    """Random weights whose speech differs from step to step: a fresh model's is nearly constant,
    and parts of it begin at zero."""
    draw = torch.Generator().manual_seed(1)

    def randomise(tensor: torch.Tensor, scale: float) -> None:
        tensor.copy_(torch.randn(tensor.shape, generator=draw) * scale)

    gpt = model.gpt
    for name, each in gpt.named_parameters():
        if "norm" not in name and "ln_" not in name and each.dim() > 1:
            randomise(each, 0.25)
        elif each.dim() == 1:
            each.add_(torch.randn(each.shape, generator=draw) * 0.1)
    gpt.mel_head.bias[SIZES["gpt_stop_audio_token"]] -= 0.7  # sentences of some length
    randomise(model.mel_stats, 0.1)
    model.mel_stats.abs_().add_(1)
    for name, each in model.hifigan_decoder.named_buffers():
        if name.endswith("running_mean"):
            randomise(each, 0.1)
        elif name.endswith("running_var"):
            each.copy_(torch.rand(each.shape, generator=draw) + 0.5)
    for up in model.hifigan_decoder.waveform_decoder.ups:
        up.weight = up.weight * 2  # louder than the fresh decoder, so that differences are seen


@cache
def _vocabulary(pieces: int) -> str:
    letters = sorted(set("abcdefghijklmnopqrstuvwxyz'.,!?-0123456789äöüßéèêñçáíóúàãőűğışœ"))
    letters += list("абвгдежзийклмнопрстуфхцчшщъыьэюяё")
    merged = [merge.replace(" ", "") for merge in MERGES]
    special = ["[STOP]", "[UNK]", "[SPACE]", *(f"[{code}]" for code in LANGUAGES), "[START]"]
    listed = [*special, *letters, *merged]
    listed += [f"<{number}>" for number in range(len(listed), pieces)]
    vocab = {piece: number for number, piece in enumerate(listed)}
    added = [
        {
            "id": vocab[piece],
            "special": True,
            "content": piece,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for piece in special
    ]
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": None,
            "decoder": None,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": "[UNK]",
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "vocab": vocab,
                "merges": list(MERGES),
            },
        }
    )
