"""BiCodec and wav2vec2's features: what is loaded, what is refused, how far a token reaches."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.errors import BadCheckpoint
from engines.runtime.eager import EagerRuntime
from engines.spark import audio, codec, published
from engines.spark.checkpoint import (
    CODEC_FILE,
    FEATURES_FILE,
    examine_codec,
    examine_features,
    load_codec,
    load_features,
)
from engines.spark.config import CODEC, LAYERS, WAV2VEC2, read_config
from engines.spark.stages import speaking
from tests.spark_release import release_folder


@pytest.fixture(scope="module")
def folder():
    return release_folder()


@pytest.fixture(scope="module")
def config(folder):
    return read_config(folder)


@pytest.fixture
def own(folder, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(folder, tmp_path / "release", copy_function=_copy)


def _copy(source, target):
    shutil.copyfile(source, target)
    return target


@pytest.fixture(scope="module")
def bound(folder, config):
    made = speaking(load_codec(folder, config), config, masks=False)
    runtime = EagerRuntime("cpu")
    return {stage.name: runtime.bind(stage) for stage in made}


def test_of_the_layers_that_change_nothing_no_weight_is_held(folder, config):
    features = load_features(folder, config)
    published_layers = config.features.num_hidden_layers
    assert published_layers > LAYERS == len(features.layers)
    published_size = sum(
        each.numel()
        for each in torch.load(folder / FEATURES_FILE, weights_only=True, mmap=True).values()
    )
    held = {each.untyped_storage().data_ptr(): each for each in features.state_dict().values()}
    size = sum(each.untyped_storage().nbytes() for each in held.values()) / 4
    assert size < published_size * (LAYERS + 1) / published_layers


def test_what_speaking_does_not_use_is_not_loaded(folder, config):
    names = set(load_codec(folder, config).state_dict())
    more = set(load_codec(folder, config, training=True).state_dict())
    assert any(name.startswith("postnet.") for name in more - names)
    assert not any("pool" in name or name.startswith("postnet") for name in names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("prenet.linear.bias"), r"1 missing: prenet.linear.bias"),
        (lambda state: state.pop("decoder.model.1.block.2.block.1.weight_g"), "the other half"),
        (lambda state: state.update(extra=torch.ones(1)), "1 unexpected: extra"),
        (
            lambda state: state.update({"encoder.project.bias": torch.ones(3)}),
            r"encoder.project.bias \(expected \[40\], found \[3\]\)",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(own, config, change, message):
    state = load_file(own / CODEC_FILE)
    change(state)
    save_file(state, own / CODEC_FILE)
    with pytest.raises(BadCheckpoint, match=message):
        load_codec(own, config)


def test_a_truncated_file_is_told(own, config):
    whole = (own / CODEC_FILE).read_bytes()
    (own / CODEC_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadCheckpoint, match=r"model\.safetensors is damaged"):
        load_codec(own, config)
    whole = (own / FEATURES_FILE).read_bytes()
    (own / FEATURES_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadCheckpoint, match=r"pytorch_model\.bin is damaged"):
        load_features(own, config)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (f"{CODEC}/config.yaml", "vocos_dim: 24", "vocos_dim: 0", "encoder.vocos_dim"),
        (f"{CODEC}/config.yaml", "[1,1]", "[1,2]", "encoder.sample_ratios.1"),
        (f"{CODEC}/config.yaml", "[16,11,8,4]", "[16,11,8,3]", "kernel_sizes"),
        (f"{CODEC}/config.yaml", "input_channel: 24", "input_channel: 25", "differ"),
        (f"{CODEC}/config.yaml", "audio_tokenizer", "audio", "no fields under audio_tokenizer"),
        ("config.yaml", "320", "160", "makes 320 samples a token, and config.yaml says 160"),
        (f"{WAV2VEC2}/config.json", '"do_stable_layer_norm": true', '"x": 1', "do_stable_layer_n"),
        (f"{WAV2VEC2}/config.json", '"hidden_size": 32', '"hidden_size": 48', "input_channels"),
    ],
)
def test_a_configuration_that_is_not_known_is_refused(own, file, old, new, message):
    text = (own / file).read_text("utf-8")
    assert old in text
    (own / file).write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(BadCheckpoint, match=message):
        read_config(own)


def test_tokens_beyond_the_reach_change_nothing(bound, config):
    draw = np.random.default_rng(0)
    sizes = config.codec
    around = sizes.prenet.reach + sizes.decoder.reach
    semantic = draw.integers(0, sizes.quantizer.codebook_size, 2 * around + 41)
    tokens = draw.integers(0, sizes.speaker_encoder.codes, sizes.speaker_encoder.token_num)
    d_vector = codec.speaker_vector(bound, tokens)
    whole = codec.wave(bound, codec.frames(bound, semantic, d_vector), d_vector)
    part = codec.wave(bound, codec.frames(bound, semantic[: around + 1], d_vector), d_vector)
    # the first token is out of reach of what was cut off, and those nearer to the cut are not
    np.testing.assert_allclose(part[: sizes.hop], whole[: sizes.hop], atol=1e-5)
    assert np.abs(part[-sizes.hop :] - whole[around * sizes.hop :][: sizes.hop]).max() > 1e-3


def test_the_published_sizes_are_told_apart_from_others():
    shapes = {"prenet.linear.bias": {"shape": [1024], "dtype": "float32"}}
    report = examine_codec(shapes, published.codec(), "file")
    assert "encoder.project.bias" in report.missing
    assert not report.wrong and not report.unexpected
    report = examine_features(
        {"lm_head.weight": {"shape": [2], "dtype": "float32"}}, published.features(), "file"
    )
    assert report.unexpected == ("lm_head.weight",)


def test_silence_stays_silent_and_finite():
    assert not audio.volume_normalised(np.zeros(2000)).any()
    assert not audio.standardised(np.zeros(2000)).any()
    assert not audio.volume_normalised(np.zeros(0)).size
