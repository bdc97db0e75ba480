"""One side of `bench.spark_codec`, as a worker: python -m bench.spark_codec_side KIND FOLDER."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.workers import serve
from engines.nn.snake import LEAST, Snake
from engines.runtime import threads, torchaudio_standin
from engines.runtime.eager import EagerRuntime
from engines.spark import codec, published
from engines.spark.bicodec import BiCodec
from engines.spark.stages import speaking
from engines.spark.wav2vec2 import Features
from engines.spark.wave import Unit

TOKENS = 150  # three seconds
CLIP = 5  # seconds
ECAPA = 512

# Numbers of semantic and of global tokens to samples.
Vocode = Callable[[np.ndarray, np.ndarray], np.ndarray]


def main(kind: str, folder: Path) -> None:
    threads.configure()
    torch.manual_seed(0)
    once = _features(kind) if kind.endswith("layers") else _detokenise(kind, folder)
    once()
    serve(once, {})


def _detokenise(kind: str, folder: Path) -> Callable[[], Mapping[str, Any]]:
    sizes, model = published.codec(), random_codec()
    draw = np.random.default_rng(0)
    semantic = draw.integers(0, sizes.quantizer.codebook_size, TOKENS)
    speaker = draw.integers(0, sizes.speaker_encoder.codes, sizes.speaker_encoder.token_num)
    if kind == "original":
        vocode = original(model)
    else:
        vocode = _ours(model, kind, folder)

    def once() -> Mapping[str, Any]:
        np.save(folder / f"{kind}.npy", vocode(semantic, speaker))
        return {}

    return once


def random_codec() -> BiCodec:
    """At the published size."""
    return BiCodec(published.codec(), ECAPA).eval().requires_grad_(False)


def _ours(model: BiCodec, kind: str, folder: Path) -> Vocode:
    stages = speaking(model, published.config(), masks=False)
    if kind == "onnx":
        from engines.runtime.export import export
        from engines.runtime.onnx_file import read_stage
        from engines.runtime.ort import OrtRuntime

        runtime = OrtRuntime()
        files = [export(stage, folder / "onnx") for stage in stages]
        bound = {file.stem: runtime.bind(read_stage(file)) for file in files}
    else:
        bound = {stage.name: EagerRuntime("cpu", kind).bind(stage) for stage in stages}

    def vocode(semantic: np.ndarray, speaker: np.ndarray) -> np.ndarray:
        d_vector = codec.speaker_vector(bound, speaker)
        return codec.wave(bound, codec.frames(bound, semantic, d_vector), d_vector)

    return vocode


def original(model: BiCodec) -> Vocode:
    """The same model as the original computes it."""
    for part in (model.quantizer.in_project, model.quantizer.out_project, model.decoder):
        for module in part.modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                nn.utils.weight_norm(module)
    _replace(model.decoder)

    def vocode(semantic: np.ndarray, speaker: np.ndarray) -> np.ndarray:
        tokens, voice = torch.from_numpy(semantic)[None], torch.from_numpy(speaker)[None]
        with torch.no_grad():
            d_vector = model.speaker_encoder.detokenize(voice)
            x = model.prenet(model.quantizer.detokenize(tokens), d_vector)
            return model.decoder(x + d_vector[:, :, None])[0, 0].numpy()

    return vocode


class _Snake(nn.Module):
    def __init__(self, alpha: Tensor) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        return x + (self.alpha + LEAST).reciprocal() * torch.sin(self.alpha * x).pow(2)


class _Unit(nn.Module):
    def __init__(self, unit: Unit) -> None:
        super().__init__()
        self.block = nn.Sequential(unit.snake1, unit.conv1, unit.snake2, unit.conv2)

    def forward(self, x: Tensor, _mask: None) -> Tensor:
        return x + self.block(x)


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, Snake):
            setattr(module, name, _Snake(child.alpha))
            continue
        _replace(child)
        if isinstance(child, Unit):
            module._modules[name] = _Unit(child)


def _features(kind: str) -> Callable[[], Mapping[str, Any]]:
    config = published.features()
    audio = torch.randn(1, CLIP * 16_000)
    if kind == "16 layers":
        ours = Features(config).eval()
        return _once(lambda: ours(audio))
    torchaudio_standin.prepare()  # transformers imports it on its way
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    fields: dict[str, Any] = {**config.model_dump(), "num_feat_extract_layers": 7}
    whole = Wav2Vec2Model(Wav2Vec2Config(**fields)).eval()
    return _once(lambda: whole(audio, output_hidden_states=True))


def _once(run: Callable[[], object]) -> Callable[[], Mapping[str, Any]]:
    def once() -> Mapping[str, Any]:
        with torch.inference_mode():
            run()
        return {}

    return once


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
