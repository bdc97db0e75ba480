"""How each stage of the Spark-TTS cases is replayed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from engines.checkpoint import Report
from engines.runtime.stage import Bound, MapStage
from engines.spark import audio, codec, published, stages
from engines.spark.bicodec import BiCodec, Encoder, resampled
from engines.spark.checkpoint import (
    CODEC_FILE,
    FEATURES_FILE,
    examine_codec,
    examine_features,
    load_codec,
    load_features,
)
from engines.spark.config import read_config
from engines.spark.quantizer import Quantizer
from engines.spark.speaker import SpeakerEncoder
from engines.spark.wav2vec2 import Features
from engines.spark.wave import WaveGenerator
from tests.parity import spark_llm
from tests.parity.parts import Lazy, Part, Parts
from tests.parity.replay import Arrays, Case, Handler
from tests.parity.runtimes import Runtime
from tests.parity.spark_full import FullReplayer

SHOWN = (0, 1, 11, 14, 16)  # hidden states of wav2vec2 that cases hold


class Replayer:
    def __init__(self, folder: Path, runtime: Runtime) -> None:
        self._folder = folder / "checkpoint"
        self._runtime = runtime
        parts = Parts(runtime)
        self._run = parts.run
        self._full = FullReplayer(folder / "manifest.json", parts)
        self._llm = spark_llm.Replayer(folder, runtime, self._heard)

    def handler(self, stage: str) -> Handler | str | None:
        kind, _, name = stage.partition(".")
        if kind == "llm":
            return self._llm.handler(stage)
        if kind == "full":
            return self._full.handler(stage)
        return getattr(self, f"_do_{kind}_{name}" if name else f"_do_{kind}", None)

    @cached_property
    def config(self):
        return read_config(self._folder)

    @cached_property
    def codec(self) -> BiCodec:
        return load_codec(self._folder, self.config, training=True)

    @cached_property
    def features(self) -> Features:
        return load_features(self._folder, self.config)

    @cached_property
    def bound(self) -> Mapping[str, Bound]:
        return Lazy(lambda name: self._runtime.bind(self._stages[name]))

    @cached_property
    def _stages(self) -> Mapping[str, MapStage]:
        config, masks = self.config, self._runtime.pads
        made = [
            *stages.listening(self.codec, self.features, config, masks=masks),
            *stages.speaking(self.codec, config, masks=masks),
            stages.postnet(self.codec.postnet, config, masks=masks),
        ]
        return {stage.name: stage for stage in made}

    def _do_audio_volume_normalize(self, case: Case) -> Arrays:
        return {name: audio.volume_normalised(each) for name, each in case.inputs.items()}

    def _do_audio_load(self, case: Case) -> Arrays:
        given, rate = case.inputs["audio"], int(case.inputs["sample_rate"])
        to = self.config.top.sample_rate
        return {
            "resampled": audio.prepared(given, rate, to, normalise=False),
            "audio": audio.prepared(given, rate, to, normalise=True),
        }

    def _do_audio_ref_clip(self, case: Case) -> Arrays:
        size = self.config.top.ref_samples
        return {name: audio.ref_clip(each, size) for name, each in case.inputs.items()}

    def _do_bicodec_mel(self, case: Case) -> Arrays:
        pairs = {"mel": "wav", "mel_short": "wav_short"}
        return {
            ours: self._mel(case.inputs[given]).transpose(0, 2, 1)
            for ours, given in pairs.items()
            if given in case.inputs
        }

    def _do_wav2vec2_features(self, case: Case) -> Arrays:
        values = audio.standardised(case.inputs["audio"])[None]
        names = ("extract_features", *(f"hidden_{index}" for index in SHOWN))
        found = self._run(case, Part(self.features, _hidden), {"audio": values}, *names)
        feats = self.bound["wav2vec2"](audio=values)["feats"]
        return {"input_values": values, "feats": feats, **found}

    def _do_wav2vec2_features_batch(self, case: Case) -> Arrays:
        # the original pads with zeros and lets the model take them for sound
        values = [audio.standardised(each) for each in case.inputs.values()]
        longest = max(map(len, values))
        padded = [np.pad(each, (0, longest - len(each))) for each in values]
        feats = [self.bound["wav2vec2"](audio=each[None])["feats"] for each in padded]
        return {"feats": np.concatenate(feats)}

    def _do_bicodec_encoder(self, case: Case) -> Arrays:
        names = ("backbone", "sampling_0", "downsample_0", "z")
        return self._run(case, Part(self.codec.encoder, _encoder), case.inputs, *names)

    def _do_bicodec_quantizer(self, case: Case) -> Arrays:
        names = ("z_e", "dist", "indices", "z_q")
        found = self._run(case, Part(self.codec.quantizer, _quantizer), case.inputs, *names)
        return {**found, "z_q_forward": found["z_q"]}

    def _do_bicodec_speaker_encoder(self, case: Case) -> Arrays:
        names = ("pooled", "x_vector", "latent", "perceiver", "project_in", "codes", "zq")
        part = Part(self.codec.speaker_encoder, _speaker)
        return self._run(case, part, case.inputs, *names, "indices", "d_vector")

    def _do_bicodec_speaker_detokenize(self, case: Case) -> Arrays:
        part = Part(self.codec.speaker_encoder, _speaker_back)
        return self._run(case, part, case.inputs, "codes", "zq", "d_vector")

    def _do_bicodec_prenet(self, case: Case) -> Arrays:
        inputs = {name: case.inputs[name] for name in ("z_q", "d_vector")}
        return self._run(case, Part(self.codec.prenet), inputs, "x")

    def _do_bicodec_postnet(self, case: Case) -> Arrays:
        return _rows(self.bound["postnet"], {"x": case.inputs["x"]})

    def _do_bicodec_wave_generator(self, case: Case) -> Arrays:
        names = ("conv_pre", "block_0", "wav")
        return self._run(case, Part(self.codec.decoder, _generator), case.inputs, *names)

    def _do_bicodec_tokenize(self, case: Case) -> Arrays:
        wav = case.inputs["ref_wav"][0]
        return {
            "semantic": codec.tokens_of(self.bound, case.inputs["feat"])[None],
            "global": codec.global_tokens(self.bound, self.config, wav)[None, None],
        }

    def _do_bicodec_forward(self, case: Case) -> Arrays:
        found = self._do_bicodec_tokenize(case)
        latent = Part(self.codec.speaker_encoder, _x_vector)
        x_vector = self._run(case, latent, {"mel": self._mel(case.inputs["ref_wav"])}, "x_vector")
        semantic, d_vector = found["semantic"][0], self._vector(found["global"][0, 0])
        x = codec.frames(self.bound, semantic, d_vector)
        return {
            **x_vector,
            "d_vector": d_vector,
            "pred_feat": self.bound["postnet"](x=x)["pred_feat"],
            "recons": codec.wave(self.bound, x, d_vector)[None, None],
        }

    def _do_bicodec_detokenize(self, case: Case) -> Arrays:
        found = [self._detokenized(*pair) for pair in _pairs(case.inputs)]
        names = ("z_q", "d_vector", "wav")
        columns = zip(*found, strict=True)
        return {name: np.concatenate(each) for name, each in zip(names, columns, strict=True)}

    def _do_audio_tokenizer_tokenize(self, case: Case) -> Arrays:
        rate, normalise = self.config.top.sample_rate, self.config.top.volume_normalize
        wav = audio.prepared(case.inputs["audio"], rate, rate, normalise=normalise)
        return {
            "wav": wav,
            "ref_wav": audio.ref_clip(wav, self.config.top.ref_samples)[None],
            "semantic": codec.semantic_tokens(self.bound, wav)[None],
            "global": codec.global_tokens(self.bound, self.config, wav)[None, None],
        }

    def _do_audio_tokenizer_detokenize(self, case: Case) -> Arrays:
        d_vector = self._vector(case.inputs["global"][0])
        x = codec.frames(self.bound, case.inputs["semantic"][0], d_vector)
        return {"wav": codec.wave(self.bound, x, d_vector)}

    def _heard(self, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Semantic and global tokens of a clip."""
        rate, normalise = self.config.top.sample_rate, self.config.top.volume_normalize
        wav = audio.prepared(clip, rate, rate, normalise=normalise)
        speaker = codec.global_tokens(self.bound, self.config, wav)
        return codec.semantic_tokens(self.bound, wav), speaker

    def _do_e2e(self, case: Case) -> Arrays:
        prompt, answer, margin = self._llm.answered(case)
        tokens = self._llm.tokens
        semantic, speaker = tokens.semantic_of(answer), tokens.globals_of(answer)
        made = {"global": speaker} if "global" in case.expected else {}
        if not made:
            speaker = self._heard(case.inputs["audio"])[1]
        d_vector = self._vector(speaker)
        x = codec.frames(self.bound, semantic, d_vector)
        return {
            **made,
            "input_ids": prompt[None],
            "generated_ids": answer[None],
            "margin": margin,
            "semantic": semantic,
            "wav": codec.wave(self.bound, x, d_vector),
        }

    def _detokenized(self, semantic: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, ...]:
        d_vector = self._vector(tokens)
        z_q = self.bound["quantizer_detokenize"](semantic=semantic[None])["z_q"]
        x = codec.frames(self.bound, semantic, d_vector)
        return z_q, d_vector, codec.wave(self.bound, x, d_vector)[None, None]

    def _vector(self, tokens: np.ndarray) -> np.ndarray:
        return codec.speaker_vector(self.bound, tokens)

    def _mel(self, wav: np.ndarray) -> np.ndarray:
        """[1, T] → [1, T_mel, F]."""
        return audio.mel(wav[0], self.config.codec.mel_params)[None]


def manifest_report(file: str, shapes: Mapping[str, Mapping[str, Any]]) -> tuple[Report, str]:
    """The published model held against a file."""
    config = published.config()
    if file == CODEC_FILE:
        return examine_codec(shapes, config.codec, file), "BiCodec"
    if file == FEATURES_FILE:
        layers = f"{config.features.num_hidden_layers} layers, of which some are used"
        return examine_features(shapes, config.features, file), layers
    return spark_llm.manifest_report(file, shapes)


def _rows(bound: Bound, inputs: Arrays) -> Arrays:
    """A stage of one row, run on each row of a batch."""
    count = len(next(iter(inputs.values())))
    rows = [bound(**{key: each[i : i + 1] for key, each in inputs.items()}) for i in range(count)]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _pairs(inputs: Arrays) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(zip(inputs["semantic"], inputs["global"][:, 0], strict=True))


def _hidden(features: Features, values: Tensor) -> tuple[Tensor, ...]:
    x, extracted = features.extracted(values)
    states = features.states(x, None)
    return extracted, *(states[index] for index in SHOWN)


def _encoder(encoder: Encoder, feat: Tensor) -> tuple[Tensor, ...]:
    backbone = encoder.backbone(feat.transpose(1, 2))
    sampled = resampled(backbone)
    return backbone, sampled, encoder.samplers[0](sampled), encoder(feat)


def _quantizer(quantizer: Quantizer, z: Tensor) -> tuple[Tensor, ...]:
    z_e, indices = quantizer.in_project(z), quantizer.tokenize(z)
    return z_e, quantizer.distances(z_e), indices, quantizer.detokenize(indices)


def _speaker(encoder: SpeakerEncoder, mel: Tensor) -> tuple[Tensor, ...]:
    latent = encoder.ecapa(mel)
    perceiver = encoder.perceiver(latent.transpose(1, 2))
    project_in = encoder.quantizer.project_in(perceiver)
    codes = encoder.quantizer.quantize(project_in)
    zq = encoder.quantizer.project_out(codes).transpose(1, 2)
    indices = encoder.tokenize(mel)[:, None]
    pooled = encoder.ecapa.x_vector(latent)
    return *pooled, latent, perceiver, project_in, codes, zq, indices, encoder.vector(codes)


def _speaker_back(encoder: SpeakerEncoder, indices: Tensor) -> tuple[Tensor, ...]:
    codes = encoder.quantizer.codes(indices[:, 0], encoder.project.weight.dtype)
    return codes, encoder.quantizer.project_out(codes), encoder.detokenize(indices[:, 0])


def _x_vector(encoder: SpeakerEncoder, mel: Tensor) -> Tensor:
    return encoder.ecapa.x_vector(encoder.ecapa(mel))[1]


def _generator(decoder: WaveGenerator, x: Tensor) -> tuple[Tensor, ...]:
    pre = decoder.conv_pre(x)
    block: Any = decoder.blocks[0]
    first = block.up(block.snake(pre))
    for unit in block.units:
        first = unit(first, None)
    return pre, first, decoder(x)
