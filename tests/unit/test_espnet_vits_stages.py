"""Stages of an ESPnet VITS model: padding, conditions, parts of the decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engines.errors import EngineFailure
from engines.espnet_vits import synthesis
from engines.espnet_vits.checkpoint import load_generator, open_release
from engines.espnet_vits.stages import stages
from engines.runtime.buckets import Buckets
from engines.runtime.eager import EagerRuntime
from tests.espnet_release import write_release

VOICES = {
    "one": {},
    "ids": {"spks": 4, "langs": 3, "global_channels": 6},
    "vectors": {"spk_embed_dim": 5, "global_channels": 6},
    "convolving": {
        "use_conformer_conv_in_text_encoder": True,
        "text_encoder_conformer_kernel_size": 5,
        "use_only_mean_in_flow": False,
    },
}
CONDITIONS = {
    "ids": {"sid": np.array([2]), "lid": np.array([1])},
    "vectors": {"spembs": np.array([[1, -2, 0.5, 0, 3]], np.float32)},
}
BUCKETS = {"T_text": Buckets([24]), "T_mel": Buckets([64, 256])}
REACH = 40  # more than enough for the tiny decoder


def generator_of(tmp_path: Path, voice: str):
    return load_generator(open_release(write_release(tmp_path / voice, generator=VOICES[voice])))


def bound_stages(generator, *, padded: bool):
    runtime = EagerRuntime("cpu", buckets=BUCKETS if padded else None)
    return {name: runtime.bind(each) for name, each in stages(generator, masks=padded).items()}


def text_of(voice: str, size: int = 9) -> synthesis.Text:
    draw = np.random.default_rng(1)
    return synthesis.Text(
        draw.integers(2, 12, size),
        draw.standard_normal((1, 2, size), np.float32),
        CONDITIONS.get(voice, {}),
    )


def noise_for(prior: synthesis.Prior) -> np.ndarray:
    return np.random.default_rng(2).standard_normal(prior.m.shape, np.float32)


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("size", [1, 9])
def test_padding_changes_nothing(tmp_path, voice, size):
    generator = generator_of(tmp_path, voice)
    given = text_of(voice, size)
    plain = bound_stages(generator, padded=False)
    padded = bound_stages(generator, padded=True)
    prior, other = synthesis.encode(plain, given), synthesis.encode(padded, given)
    np.testing.assert_array_equal(prior.durations, other.durations)
    np.testing.assert_allclose(prior.m, other.m, atol=1e-5)
    noise = noise_for(prior)
    wav = synthesis.speak(plain, prior, noise)
    assert len(wav) == 8 * len(prior.token)
    np.testing.assert_allclose(wav, synthesis.speak(padded, prior, noise), atol=1e-5)
    z = synthesis.latent(padded, prior, noise)
    np.testing.assert_allclose(wav, synthesis.decode(padded, z, prior.g), atol=1e-5)


@pytest.mark.parametrize("voice", ["ids", "vectors"])
def test_a_condition_changes_the_voice(tmp_path, voice):
    bound = bound_stages(generator_of(tmp_path, voice), padded=False)
    given = text_of(voice)
    changed = {name: each - 1 for name, each in given.conditions.items()}
    other = synthesis.Text(given.ids, given.noise, changed)
    first, second = synthesis.encode(bound, given), synthesis.encode(bound, other)
    assert not np.allclose(first.g["g"], second.g["g"])


def test_an_x_vector_counts_by_its_direction(tmp_path):
    bound = bound_stages(generator_of(tmp_path, "vectors"), padded=False)
    given = text_of("vectors")
    louder = synthesis.Text(given.ids, given.noise, {"spembs": 7 * given.conditions["spembs"]})
    np.testing.assert_allclose(
        synthesis.encode(bound, given).g["g"], synthesis.encode(bound, louder).g["g"], atol=1e-6
    )


@pytest.mark.parametrize("voice", ["ids", "vectors"])
def test_a_condition_that_is_left_out_is_named(tmp_path, voice):
    bound = bound_stages(generator_of(tmp_path, voice), padded=False)
    given = text_of(voice)
    with pytest.raises(EngineFailure, match=next(iter(given.conditions))):
        synthesis.encode(bound, synthesis.Text(given.ids, given.noise))


def test_an_x_vector_of_another_size_is_refused(tmp_path):
    bound = bound_stages(generator_of(tmp_path, "vectors"), padded=False)
    given = text_of("vectors")
    short = {"spembs": given.conditions["spembs"][:, :4]}
    with pytest.raises(EngineFailure, match="spembs of shape"):
        synthesis.encode(bound, synthesis.Text(given.ids, given.noise, short))


def test_speed_and_given_durations(tmp_path):
    bound = bound_stages(generator_of(tmp_path, "one"), padded=False)
    given = text_of("one")
    frames = {}
    for alpha in (0.5, 1.0, 2.0):
        at = synthesis.Text(given.ids, given.noise, alpha=alpha)
        frames[alpha] = len(synthesis.encode(bound, at).token)
    assert frames[0.5] < frames[1.0] < frames[2.0]
    silent = synthesis.Text(given.ids, given.noise, alpha=0.0)
    assert len(synthesis.encode(bound, silent).token) == 1
    prior = synthesis.encode(bound, given, np.array([0, 2, 0, 1, 1, 3, 0, 0, 0]))
    assert prior.token.tolist() == [1, 1, 3, 4, 5, 5, 5]


def test_reach_is_little_more_than_needed(tmp_path):
    generator = generator_of(tmp_path, "one")
    z = torch.zeros(1, 8, 2 * REACH + 1, requires_grad=True)
    hop = generator.config.hop
    middle = generator.decoder(z)[0, 0, REACH * hop : (REACH + 1) * hop]
    middle.square().sum().backward()
    used = z.grad[0].abs().sum(0).nonzero()[:, 0]
    needed = max(REACH - int(used.min()), int(used.max()) - REACH)
    assert needed <= generator.config.reach <= needed + 5
