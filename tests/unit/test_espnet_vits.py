"""An ESPnet VITS release: its configuration, its weights, and what is wrong with bad ones."""

from __future__ import annotations

import pytest
import torch
import yaml

from engines.errors import BadCheckpoint
from engines.espnet_vits import recipe
from engines.espnet_vits.checkpoint import (
    convert_release,
    load_for_training,
    load_generator,
    open_release,
)
from engines.espnet_vits.config import GeneratorConfig
from tests.espnet_release import CONFIG, GENERATOR, WEIGHTS, write_release


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "release"


def edited(folder, **changes):
    path = folder / CONFIG
    data = {**yaml.safe_load(path.read_text()), **changes}
    path.write_text(yaml.safe_dump({key: each for key, each in data.items() if each != "gone"}))
    return folder


def test_a_release_is_loaded(folder):
    release = open_release(write_release(folder))
    assert release.config.sampling_rate == 22050
    assert release.config.generator.vocabs == 12  # from the token list
    assert release.config.generator.aux_channels == 17  # from n_fft
    generator = load_generator(release)
    assert generator.posterior_encoder is None and not generator.training
    assert not any("original" in name for name, _ in generator.named_parameters())
    assert load_generator(release, posterior=True).posterior_encoder is not None


def test_training_keeps_weight_norm(folder):
    generator, discriminator = load_for_training(open_release(write_release(folder)))
    assert generator.training
    assert torch.nn.utils.parametrize.is_parametrized(generator.decoder.conv_pre)
    assert torch.nn.utils.parametrize.is_parametrized(discriminator.periods[0].post)
    assert not torch.nn.utils.parametrize.is_parametrized(discriminator.scales[0].post)


def test_half_precision_is_brought_to_float32(folder):
    write_release(folder, change=lambda state: {k: v.half() for k, v in state.items()})
    generator = load_generator(open_release(folder))
    assert {each.dtype for each in generator.parameters()} == {torch.float32}


def test_weights_without_a_discriminator_speak(folder):
    def speaking(state):
        return {k: v for k, v in state.items() if "discriminator" not in k and "mel_loss" not in k}

    release = open_release(write_release(folder, change=speaking))
    load_generator(release)
    with pytest.raises(BadCheckpoint, match=r"missing: tts.discriminator"):
        load_for_training(release)


def test_a_release_is_converted(folder):
    release = open_release(write_release(folder))
    before = load_generator(release).state_dict()
    assert convert_release(folder).suffix == ".safetensors"
    (folder / WEIGHTS).unlink()
    after = load_generator(open_release(folder)).state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", ["meta.yaml", CONFIG, WEIGHTS])
def test_a_missing_file_is_named(folder, name):
    (write_release(folder) / name).unlink()
    with pytest.raises(BadCheckpoint, match=f"{name.rsplit('/', 1)[-1]} is missing"):
        load_generator(open_release(folder))


def test_truncated_weights(folder):
    weights = write_release(folder) / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(BadCheckpoint, match=f"{weights.name} is damaged"):
        load_generator(open_release(folder))


def test_weights_of_another_size(folder):
    write_release(folder)
    edited(folder, tts_conf={"generator_params": {**GENERATOR, "decoder_channels": 32}})
    with pytest.raises(BadCheckpoint) as caught:
        load_generator(open_release(folder))
    told = str(caught.value)
    assert WEIGHTS in told
    assert "tts.generator.decoder.input_conv.bias (expected [32], found [16])" in told


def test_a_tensor_too_few_and_one_too_many(folder):
    def change(state):
        state["tts.generator.surprise"] = state.pop("tts.generator.text_encoder.proj.bias")
        return state

    write_release(folder, change=change)
    with pytest.raises(BadCheckpoint) as caught:
        load_generator(open_release(folder))
    assert "1 missing: tts.generator.text_encoder.proj.bias" in str(caught.value)
    assert "1 unexpected: tts.generator.surprise" in str(caught.value)


@pytest.mark.parametrize("path", ["../outside.yaml", "/etc/hostname", "exp/../../outside.yaml"])
@pytest.mark.parametrize("section", ["files", "yaml_files"])
def test_meta_may_not_name_files_outside(folder, path, section):
    meta = write_release(folder) / "meta.yaml"
    data = yaml.safe_load(meta.read_text())
    data[section] = dict.fromkeys(data[section], path)
    meta.write_text(yaml.safe_dump(data))
    (folder.parent / "outside.yaml").write_text((folder / CONFIG).read_text())
    with pytest.raises(BadCheckpoint, match=r"meta.yaml names .* which leads out of"):
        open_release(folder)


@pytest.mark.parametrize("text", ["", "[1, 2]", "files: {}", "a: [", "files: 3", "\0"])
def test_a_damaged_meta(folder, text):
    (write_release(folder) / "meta.yaml").write_text(text)
    with pytest.raises(BadCheckpoint, match=r"meta.yaml"):
        open_release(folder)


def test_yaml_runs_no_code(folder):
    text = f"!!python/object/apply:os.mkdir ['{folder / 'ran'}']"
    (write_release(folder) / CONFIG).write_text(text)
    with pytest.raises(BadCheckpoint, match=r"config.yaml is no YAML"):
        open_release(folder)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tts": "tacotron2"}, "the ESPnet model 'tacotron2'"),
        ({"tts": "gone"}, "something else than speech"),
        ({"tts_conf": {"generator_type": "jets_generator"}}, "generator_type 'jets_generator'"),
        ({"token_list": "gone"}, "token_list is missing"),
        ({"token_list": "dump/token_list/tokens.txt"}, "token_list: .*tokens.txt"),
        ({"token_list": ["<blank>", 5]}, "token_list.1: .*5"),
        ({"feats_extract_conf": {"n_fft": 32, "window": "kaiser"}}, "feats_extract_conf.window"),
        ({"tts_conf": {"sampling_rate": "fast"}}, "sampling_rate: .*'fast'"),
        ({"tts_conf": [1]}, "has no fields under tts_conf"),
    ],
)
def test_a_configuration_of_something_else(folder, changes, told):
    with pytest.raises(BadCheckpoint, match=f"config.yaml .*{told}"):
        open_release(edited(write_release(folder), **changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"text_encoder_rotary": True}, "generator_params.text_encoder_rotary is unknown"),
        ({"text_encoder_self_attention_layer_type": "selfattn"}, "self_attention_layer_type"),
        ({"hidden_channels": 9}, "hidden_channels is no multiple"),
        ({"hidden_channels": -8}, "hidden_channels: .*-8"),
        ({"flow_layers": 10**9}, "flow_layers"),
        ({"decoder_kernel_size": 8}, "decoder_kernel_size is even"),
        ({"decoder_upsample_kernel_sizes": [8, 8]}, "not twice decoder_upsample_scales"),
        ({"decoder_resblock_dilations": [[1, 3]]}, "differ in number"),
        ({"posterior_encoder_stacks": 3}, "no multiple of posterior_encoder_stacks"),
        ({"spks": 5}, "global_channels is needed"),
        ({"vocabs": 5}, "lists 12 tokens, and the model has 5"),
    ],
)
def test_an_architecture_that_is_not_known(folder, changes, told):
    write_release(folder)
    edited(folder, tts_conf={"generator_params": {**GENERATOR, **changes}})
    with pytest.raises(BadCheckpoint, match=told):
        open_release(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"discriminator_type": "wave_judge"}, "discriminator_type"),
        ({"discriminator_params": {"scales": 1, "follow_official_norm": True}}, "official_norm"),
        ({"discriminator_params": {"scales": 1, "crops": 3}}, "discriminator_params.crops is unk"),
    ],
)
def test_a_discriminator_that_is_not_known_still_speaks(folder, changes, told):
    write_release(folder)
    edited(folder, tts_conf={"generator_params": dict(GENERATOR), **changes})
    release = open_release(folder)
    load_generator(release)
    with pytest.raises(BadCheckpoint, match=told):
        load_for_training(release)


def test_what_only_training_reads_may_be_anything(folder):
    edited(write_release(folder), optim="lion", normalize=None, unheard_of={"a": [1]})
    assert open_release(folder).config.g2p == "g2p_en_no_space"


def test_omitted_fields_have_the_defaults_of_the_class():
    config = GeneratorConfig(vocabs=10)
    assert config.use_conformer_conv_in_text_encoder
    assert config.text_encoder_conformer_kernel_size == 7
    assert config.text_encoder_positionwise_conv_kernel_size == 1


def test_a_convolution_module_is_loaded(folder):
    on = {"use_conformer_conv_in_text_encoder": True, "text_encoder_conformer_kernel_size": 7}
    generator = load_generator(open_release(write_release(folder, generator=on)))
    assert generator.text_encoder.encoder.blocks[0].conv_module.norm.running_var is not None


@pytest.mark.parametrize(("number", "counts"), [(None, ()), (1, ()), (-1, ()), (2, ("sid",))])
def test_speakers_count_from_two_on(number, counts):
    config = GeneratorConfig(vocabs=10, spks=number, global_channels=4)
    assert config.conditions == counts


def test_recipe_is_the_published_size():
    config = recipe.generator_config(78)
    assert (config.hop, config.reach) == (256, 14)
    full_band = recipe.generator_config(77, spks=128, global_channels=256, **recipe.FULL_BAND)
    assert full_band.hop == 512
    mel = recipe.training_config(full_band).mel_loss_params
    assert (mel.fs, mel.n_fft, mel.hop_length, mel.log_base) == (44100, 2048, 512, None)
