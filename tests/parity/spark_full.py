"""The cases of the published size, whose weights are a formula instead of a file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from engines.spark import audio, published
from engines.spark.bicodec import BiCodec
from engines.spark.checkpoint import CODEC_FILE, codec_of
from engines.spark.speaker import SpeakerEncoder
from tests.parity.parts import Part, Parts
from tests.parity.replay import Arrays, Case, Handler

RATES = (8, 5, 4, 2)


class FullReplayer:
    """
    Args:
        manifest: names and shapes of the published tensors.
    """

    def __init__(self, manifest: Path, parts: Parts) -> None:
        self._manifest = manifest
        self._run = parts.run
        self._codec = cache(self._load)

    def handler(self, stage: str) -> Handler | None:
        return getattr(self, f"_do_{stage.removeprefix('full.')}", None)

    def _load(self, salt: str) -> BiCodec:
        shapes = json.loads(self._manifest.read_text("utf-8"))[CODEC_FILE]
        state = {key: formula(salt, key, each["shape"]) for key, each in shapes.items()}
        return codec_of(state, published.codec(), "the formula", training=True)

    def _parts(self, case: Case, *names: str) -> nn.ModuleDict:
        codec = self._codec(bytes(case.inputs["salt"].astype(np.uint8)).decode())
        return nn.ModuleDict({name: codec.get_submodule(name) for name in names})

    def _do_speaker_encoder(self, case: Case) -> Arrays:
        part = Part(self._parts(case, "speaker_encoder")["speaker_encoder"], _speaker)
        names = ("project_in", "indices", "x_vector", "d_vector")
        return self._run(case, part, {"mel": case.inputs["mel"]}, *names)

    def _do_semantic_tokenize(self, case: Case) -> Arrays:
        def call(codec: Any, feat: Tensor) -> tuple[Tensor, ...]:
            z = codec["encoder"](feat)
            return codec["quantizer"].in_project(z), codec["quantizer"].tokenize(z)

        part = Part(self._parts(case, "encoder", "quantizer"), call)
        return self._run(case, part, {"feat": case.inputs["feat"]}, "z_e", "semantic")

    def _do_detokenize(self, case: Case) -> Arrays:
        def call(codec: Any, semantic: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
            d_vector = codec["speaker_encoder"].detokenize(tokens[:, 0])
            x = codec["prenet"](codec["quantizer"].detokenize(semantic), d_vector)
            return d_vector, x, codec["decoder"](x + d_vector[:, :, None])

        names = ("speaker_encoder", "quantizer", "prenet", "decoder")
        part = Part(self._parts(case, *names), call)
        inputs = {name: case.inputs[name] for name in ("semantic", "global")}
        inputs["tokens"] = inputs.pop("global")  # a word of Python
        return self._run(case, part, inputs, "d_vector", "prenet", "wav")

    def _do_postnet(self, case: Case) -> Arrays:
        part = Part(self._parts(case, "postnet")["postnet"])
        return self._run(case, part, {"x": case.inputs["x"]}, "pred_feat")

    def _do_mel(self, case: Case) -> Arrays:
        return {"mel": audio.mel(case.inputs["wav"][0], published.codec().mel_params).T[None]}


def formula(salt: str, key: str, shape: list[int]) -> Tensor:
    """The weight that stands for a published one, as the README of the cases defines it."""
    hashed = np.arange(int(np.prod(shape)), dtype=np.uint32) * np.uint32(2654435761)
    hashed += np.uint32(crc32((salt + key).encode()))
    for shift, factor in ((16, 2246822519), (13, 3266489917)):
        hashed ^= hashed >> np.uint32(shift)
        hashed *= np.uint32(factor)
    hashed ^= hashed >> np.uint32(16)
    r = hashed / 2.0**31 - 1
    return torch.from_numpy(_scaled(key, r, shape).astype(np.float32).reshape(shape))


def _scaled(key: str, r: np.ndarray, shape: list[int]) -> np.ndarray:
    rules = {
        "weight_v": lambda: r,
        "weight_g": lambda: _length(key) * (1 + 0.25 * r),
        "alpha": lambda: 1.1 + 0.7 * r,
        "running_mean": lambda: 0.5 * r,
        "running_var": lambda: 1 + 0.6 * r,
        "num_batches_tracked": lambda: 123456 + 0 * r,
        "cluster_size": lambda: 20 + 20 * r,
        "latents": lambda: 1.2 * r,
        "gamma": lambda: 0.5 + 0.25 * r if ".convnext." in key else 1 + 0.4 * r,
        "bias": lambda: 0.25 * r + key.endswith("norm.scale.bias"),
    }
    leaf = key.rpartition(".")[2]
    if leaf in rules:
        return rules[leaf]()
    if key == "quantizer.codebook.weight":
        return 1.7 * r
    if len(shape) == 1:
        return 1 + 0.3 * r
    return _gain(key) * 3**0.5 * r / np.prod(shape[1:]) ** 0.5


def _length(key: str) -> float:
    parts = key.split(".")
    if key.startswith("decoder.model.6."):
        return 0.1
    if parts[:2] == ["decoder", "model"] and parts[3:5] == ["block", "1"] and len(parts) == 6:
        return (RATES[int(parts[2]) - 1] / 2) ** 0.5
    return 0.35 if parts[-3:-1] == ["block", "3"] and len(parts) == 8 else 1.0


def _gain(key: str) -> float:
    if key == "speaker_encoder.speaker_encoder.layer1.conv.weight":
        return 6.0
    if key == "speaker_encoder.quantizer.project_in.weight":
        return 1.4
    return 0.4 if key.endswith(("norm.scale.weight", "norm.shift.weight")) else 1.2


def _speaker(encoder: SpeakerEncoder, mel: Tensor) -> tuple[Tensor, ...]:
    latent = encoder.ecapa(mel)
    project_in = encoder.quantizer.project_in(encoder.perceiver(latent.transpose(1, 2)))
    codes = encoder.quantizer.quantize(project_in)
    tokens = encoder.quantizer.tokens(codes)[:, None]
    return project_in, tokens, encoder.ecapa.x_vector(latent)[1], encoder.vector(codes)
