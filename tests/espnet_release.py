"""A tiny ESPnet VITS release with random weights, laid out as the published ones are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from engines.checkpoint import KeyMap
from engines.espnet_vits.checkpoint import MELMAT, discriminator_keys, generator_keys
from engines.espnet_vits.config import GeneratorConfig
from engines.espnet_vits.discriminator import Discriminator
from engines.espnet_vits.model import Generator
from engines.espnet_vits.training_config import TrainingConfig

CONFIG, WEIGHTS = "exp/tts_tiny/config.yaml", "exp/tts_tiny/train.total_count.ave_10best.pth"
TOKENS = ("<blank>", "<unk>", "AH0", "N", "T", ",", ".", "?", "HH", "L", "OW1", "<sos/eos>")

GENERATOR: Mapping[str, Any] = {
    "hidden_channels": 8,
    "segment_size": 4,
    "text_encoder_blocks": 1,
    "text_encoder_positionwise_conv_kernel_size": 3,
    "use_conformer_conv_in_text_encoder": False,
    "text_encoder_conformer_kernel_size": -1,
    "decoder_channels": 16,
    "decoder_upsample_scales": [4, 2],
    "decoder_upsample_kernel_sizes": [8, 4],
    "decoder_resblock_kernel_sizes": [3, 5],
    "decoder_resblock_dilations": [[1, 3], [1, 2]],
    "posterior_encoder_layers": 2,
    "flow_flows": 2,
    "flow_layers": 1,
    "stochastic_duration_predictor_dds_conv_layers": 2,
}
TRAINING: Mapping[str, Any] = {
    "discriminator_params": {
        "scales": 1,
        "follow_official_norm": False,
        "periods": [2, 3],
        "scale_discriminator_params": {"channels": 16, "max_downsample_channels": 16},
        "period_discriminator_params": {"channels": 4, "max_downsample_channels": 8},
    },
    "mel_loss_params": {"n_fft": 32, "hop_length": 8, "n_mels": 6, "log_base": None},
}
NORMED = ("decoder.", "flow.couplings.", "posterior_encoder.wavenet.", "periods.")
PLAIN = (".pre.weight", ".proj.weight")


def write_release(
    folder: Path,
    *,
    generator: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    change: Callable[[dict[str, Tensor]], Any] = lambda state: state,
    seed: int = 0,
) -> Path:
    """
    Args:
        generator: changes of `generator_params`.
        config: changes of `config.yaml`.
        change: of the state dict before it is saved.

    Returns:
        The folder.
    """
    params = {**GENERATOR, **(generator or {})}
    fields = {
        "tts": "vits",
        "tts_conf": {"generator_params": params, **TRAINING, "sampling_rate": 22050},
        "token_list": list(TOKENS),
        "token_type": "phn",
        "cleaner": "tacotron",
        "g2p": "g2p_en_no_space",
        "feats_extract": "linear_spectrogram",
        "feats_extract_conf": {"n_fft": 32, "hop_length": 8, "win_length": None},
        "max_epoch": 1000,  # one of many that only training reads
        **(config or {}),
    }
    (folder / CONFIG).parent.mkdir(parents=True)
    (folder / CONFIG).write_text(yaml.safe_dump(fields))
    files = {"files": {"model_file": WEIGHTS}, "yaml_files": {"train_config": CONFIG}}
    (folder / "meta.yaml").write_text(yaml.safe_dump({"espnet": "0.10.3a1", **files}))
    sizes = {"vocabs": len(TOKENS), "aux_channels": 17}
    torch.save(change(dict(state_dict(json.dumps({**sizes, **params}), seed))), folder / WEIGHTS)
    return folder


@cache
def state_dict(params: str, seed: int) -> dict[str, Tensor]:
    """Random weights under their published names, weight norm as `weight_g` and `weight_v`.

    Args:
        params: `generator_params` as JSON.
    """
    torch.manual_seed(seed)
    config = GeneratorConfig.model_validate_json(params)
    training = TrainingConfig.model_validate(TRAINING)
    judge = Discriminator(training.discriminator_params)
    return {
        **_published(Generator(config, posterior=True), generator_keys(config, posterior=True)),
        **_published(judge, discriminator_keys(training.discriminator_params)),
        MELMAT: torch.zeros(17, 6),  # nothing reads it
    }


def _published(module: nn.Module, keys: KeyMap) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for key, each in module.state_dict().items():
        name = keys.published(key)
        if key.startswith(NORMED) and key.endswith(".weight") and not key.endswith(PLAIN):
            length = each.flatten(1).norm(dim=1).view(-1, *[1] * (each.dim() - 1))
            state[f"{name}_g"], state[f"{name}_v"] = length, each * 1.5
        else:
            state[name] = each
    return state
