"""Loudness and peaks, measured by pyloudnorm on what is delivered."""

from __future__ import annotations

import math

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from studio.delivery import DeliverySettings
from studio.loudness import (
    HOP_STEP,
    Leveller,
    Limiter,
    LoudnessMeter,
    k_weighting,
    lufs,
    weighted_power,
)
from tests.unit.delivery_signals import RATE, deliver, sentence, silence, voice

TARGET = DeliverySettings().loudness


def loudness(samples: np.ndarray, rate: int = RATE) -> float:
    return pyloudnorm.Meter(rate).integrated_loudness(samples.astype(np.float64))


def text(levels: list[float], rate: int = RATE, seconds: float = 2.4) -> list:
    return [
        (sentence(), voice(seconds + 0.3 * (i % 3), i, level, rate))
        for i, level in enumerate(levels)
    ]


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 44100, 48000])
def test_the_weighting_is_that_of_pyloudnorm(rate):
    frequencies = np.linspace(5, rate / 2.01, 500)
    z = np.exp(-2j * np.pi * frequencies / rate)
    expected = np.ones_like(z)
    for stage in pyloudnorm.Meter(rate)._filters.values():
        expected *= np.polyval(stage.b[::-1], z) / np.polyval(stage.a[::-1], z)
    np.testing.assert_allclose(k_weighting(rate, frequencies), np.abs(expected) ** 2, rtol=1e-9)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_the_meter_agrees_with_pyloudnorm(rate):
    hop = HOP_STEP * round(0.1 * rate / HOP_STEP)
    parts = [voice(3, i, level, rate) for i, level in enumerate((0.2, 0.02, 0.5))]
    samples = np.concatenate((parts[0], silence(1, rate), parts[1], silence(0.4, rate), parts[2]))
    meter = LoudnessMeter(rate)
    for frame in np.split(samples[: samples.size // hop * hop], samples.size // hop):
        meter.feed(frame[None], 1)
    assert meter.integrated() == pytest.approx(loudness(samples, rate), abs=0.3)


def test_a_sine_has_the_power_that_the_weighting_gives_it():
    t = np.arange(4096) / RATE
    frequency = 100 * RATE / 4096
    sine = np.sin(2 * np.pi * frequency * t).astype(np.float32)
    weight = k_weighting(RATE, np.array([frequency]))[0]
    assert weighted_power(sine[None], RATE)[0] == pytest.approx(weight / 2, rel=1e-4)


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 44100])
@pytest.mark.parametrize("level", [0.02, 0.3, 1.0])
def test_several_sentences_reach_the_target(rate, level):
    out, _ = deliver(text([level] * 4, rate), rate=rate)
    assert loudness(out, rate) == pytest.approx(TARGET, abs=1)


@pytest.mark.parametrize("target", [-30.0, -23.0, -16.0])
def test_other_targets_are_reached_too(target):
    out, _ = deliver(text([0.3] * 4), DeliverySettings(loudness=target))
    assert loudness(out) == pytest.approx(target, abs=1)


def test_a_voice_that_changes_its_level_stays_near_the_target():
    out, _ = deliver(text([0.3, 0.2, 0.4, 0.25, 0.35, 0.3]))
    assert loudness(out) == pytest.approx(TARGET, abs=1)


def test_a_long_text_of_which_only_parts_are_measured_reaches_the_target():
    levels = list(np.random.default_rng(0).uniform(0.15, 0.5, 30))
    out, _ = deliver(text(levels))
    assert loudness(out) == pytest.approx(TARGET, abs=1)


def test_short_clauses_that_are_cross_faded_reach_the_target():
    pieces = [(sentence(pause=0, joined=i > 0), voice(0.6, i, 0.1)) for i in range(10)]
    out, _ = deliver(pieces)
    assert loudness(out) == pytest.approx(TARGET, abs=1)


def test_one_short_sentence_comes_near_the_target():
    out, _ = deliver([(sentence(), voice(0.5, 3, 0.05))])
    assert loudness(out) == pytest.approx(TARGET, abs=2.5)


def test_the_gain_moves_slowly():
    quiet, loud = voice(1, 1, 0.02), voice(4, 1, 0.2)
    out, (_, second) = deliver(
        [(sentence(), quiet), (sentence(), loud)], DeliverySettings(loudness=-40)
    )
    first = np.abs(out[RATE // 2 :][:2000]).max() / np.abs(quiet[RATE // 2 :][:2000]).max()
    start = round(second.start * RATE)
    gains = [
        20 * math.log10(np.std(out[start + at :][:2000]) / np.std(loud[at:][:2000]) / first)
        for at in (0, RATE, 3 * RATE)
    ]
    assert gains == pytest.approx([0, -2, -6], abs=1.2)  # where it wants to go is 20 dB away


def test_loudness_may_be_left_alone():
    sound = voice(3, 0, 0.1)
    out, _ = deliver([(sentence(), sound)], DeliverySettings(loudness=None, trim=False))
    inner = slice(RATE // 10, -RATE // 10)
    np.testing.assert_array_equal(out[inner], sound[inner])


@pytest.mark.parametrize("level", [0.0, 1e-9, 1e-5])
def test_silence_is_not_made_louder(level):
    noise = (level * np.random.default_rng(0).standard_normal(3 * RATE)).astype(np.float32)
    out, _ = deliver([(sentence(), noise)] * 2, DeliverySettings(trim=False))
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= np.abs(noise).max()


def test_silence_before_sound_does_not_spoil_the_first_gain():
    sound = np.concatenate((silence(2.5), voice(4, 0, 0.05)))
    out, _ = deliver([(sentence(), sound)], DeliverySettings(trim=False))
    assert loudness(out) == pytest.approx(TARGET, abs=1.5)


def test_noise_is_lifted_no_further_than_the_limit():
    noise = (2e-4 * np.random.default_rng(0).standard_normal(3 * RATE)).astype(np.float32)
    out, _ = deliver([(sentence(), noise)], DeliverySettings(trim=False))
    assert np.std(out) / np.std(noise) < 10 ** (30.1 / 20)


spiky = npst.arrays(
    np.float32,
    st.integers(1, 30_000),
    elements=st.floats(-4, 4, width=32),
    fill=st.sampled_from([np.float32(0.1), np.float32(0), np.float32(-0.9)]),
)


@settings(max_examples=50, deadline=None)
@given(sound=spiky, peak=st.sampled_from([-1.0, -6.0, 0.0]), target=st.sampled_from([None, -14.0]))
def test_no_sample_exceeds_the_peak(sound, peak, target):
    pieces = [(sentence(pause=gap), sound) for gap in (0.0, 0.3, 0.0)]
    out, _ = deliver(pieces, DeliverySettings(loudness=target, peak=peak))
    assert np.isfinite(out).all()
    assert np.abs(out).max(initial=0) <= 10 ** (peak / 20) * (1 + 1e-6)


def test_peaks_bend_the_gain_and_do_not_clip():
    t = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 200 * t) * (0.3 + 0.9 * (np.abs(t - 0.5) < 0.01))
    out, _ = deliver(
        [(sentence(), tone.astype(np.float32))], DeliverySettings(loudness=None, trim=False)
    )
    heard = np.abs(tone) > 0.05
    inner = slice(RATE // 10, -RATE // 10)
    gain = (out[inner] / np.where(heard, tone, 1)[inner])[heard[inner]]
    assert gain.min() > 0.7
    assert np.abs(np.diff(gain)).max() < 0.02  # a clipped crest would jump by a fifth
    for quiet in (gain[: RATE // 5], gain[-RATE // 5 :]):  # untouched before and after
        assert np.median(quiet) == pytest.approx(1, abs=1e-6)
    assert np.sum(np.abs(out) > 0.885) < 60  # nor is it flat on top


def test_the_limiter_lets_go_again():
    limiter = Limiter(32, 1100, 3.0 * 32 / RATE, 0.5)
    burst = np.concatenate((np.full(3200, 0.9), np.full(32_000, 0.1))).astype(np.float32)
    out = np.concatenate((limiter.feed(burst), limiter.flush()))
    assert out.size == burst.size
    assert out[1000] == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_allclose(out[-16_000:], 0.1, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40_000), max_size=8), st.booleans())
def test_the_leveller_never_changes_the_length(sizes, flush_between):
    leveller = Leveller(RATE, TARGET, -1.0)
    out = 0
    for size in sizes:
        out += leveller.feed(np.full(size, 0.2, np.float32)).size
        if flush_between:
            out += leveller.flush().size
            assert leveller.flush().size == 0
    assert out + leveller.flush().size == sum(sizes)


def test_no_power_has_no_loudness():
    assert lufs(0) == -math.inf
    assert LoudnessMeter(RATE).integrated() == -math.inf
