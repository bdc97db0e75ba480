"""Trimming, pauses, joins, timing: the single exit of sound."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from engines.api import AudioChunk, Span, Utterance, WordTime
from engines.errors import EngineFailure
from studio.delivery import (
    CROSSFADE,
    LEAD,
    SHORTEST_PAUSE,
    TRAIL,
    DeliverySettings,
    Master,
)
from tests.unit.delivery_signals import RATE, deliver, pause, sentence, silence, voice

PLAIN = DeliverySettings(loudness=None, peak=0.0)
SAMPLE = 1 / RATE

arrays = npst.arrays(
    np.float32,
    st.integers(0, 3000),
    elements=st.floats(-1, 1, width=32),
    fill=st.sampled_from([np.float32(0), np.float32(0.3)]),
)
cut_lists = st.lists(st.integers(0, 200_000), max_size=12)


def samples_of(seconds: float) -> int:
    return round(seconds * RATE)


def tone(seconds: float, phase: float = np.pi / 2, level: float = 0.5) -> np.ndarray:
    """A sine that begins at its crest: cut or joined carelessly, it clicks."""
    t = np.arange(samples_of(seconds)) / RATE
    return (level * np.sin(2 * np.pi * 100 * t + phase)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    sounds=st.lists(arrays, min_size=1, max_size=4),
    pauses=st.lists(st.sampled_from([0.0, 0.02, 0.3]), min_size=4, max_size=4),
    cuts=cut_lists,
    level=st.sampled_from([DeliverySettings(), PLAIN, DeliverySettings(trim=False)]),
)
def test_the_cut_into_chunks_changes_nothing(sounds, pauses, cuts, level):
    pieces = [(sentence(pause=gap), sound) for sound, gap in zip(sounds, pauses, strict=False)]
    whole, timings = deliver(pieces, level)
    parts, part_timings = deliver(pieces, level, cuts=cuts)
    np.testing.assert_array_equal(whole, parts)
    assert timings == part_timings


LONG = [
    (sentence(), np.concatenate((silence(0.2), voice(2.5, 1), silence(0.7), voice(0.5, 2)))),
    (sentence(pause=0), voice(3, 3, level=0.9)),
    (sentence(joined=True), voice(1.1, 4)),
]


@settings(max_examples=15, deadline=None)
@given(cuts=cut_lists, engine_rate=st.sampled_from([RATE, 16000, 24000, 44100]))
def test_long_sentences_do_not_depend_on_chunks_either(cuts, engine_rate):
    whole, _ = deliver(LONG, engine_rate=engine_rate)
    parts, _ = deliver(LONG, engine_rate=engine_rate, cuts=cuts)
    np.testing.assert_array_equal(whole, parts)


def test_silence_around_a_sentence_goes_but_for_its_edges():
    sound = tone(0.5)
    padded = np.concatenate((silence(0.4), sound, silence(0.6)))
    out, (timing,) = deliver([(sentence(), padded)], PLAIN)
    assert out.size == samples_of(LEAD) + sound.size + samples_of(TRAIL)
    assert timing.start == 0
    assert timing.end == pytest.approx(out.size / RATE)
    # inside the edges the sound is as it was
    middle = slice(samples_of(0.1), samples_of(0.4))
    np.testing.assert_array_equal(out[samples_of(LEAD) :][middle], sound[middle])


def test_silence_within_a_sentence_stays():
    sound = np.concatenate((tone(0.3), silence(2), tone(0.3)))
    out, _ = deliver([(sentence(), sound)], PLAIN)
    assert out.size == sound.size


def test_without_trimming_all_of_it_stays():
    padded = np.concatenate((silence(0.4), tone(0.5), silence(0.6)))
    out, _ = deliver([(sentence(), padded)], DeliverySettings(loudness=None, peak=0.0, trim=False))
    assert out.size == padded.size


def test_a_sentence_is_followed_by_its_pause_and_the_last_one_by_none():
    out, timings = deliver([(sentence(pause=0.4), tone(0.5)), (sentence(pause=0.7), tone(0.5))])
    assert out.size == 2 * samples_of(0.5) + samples_of(0.4)
    assert timings[1].start - timings[0].end == pytest.approx(0.4, abs=SAMPLE)
    gap = out[round(timings[0].end * RATE) : round(timings[1].start * RATE)]
    assert not gap.any()


def test_an_asked_pause_is_kept_at_the_end_and_at_the_start():
    out, timings = deliver(
        [(pause(0.5), silence(0)), (sentence(), tone(0.5)), (pause(0.25), silence(0))]
    )
    assert out.size == samples_of(0.5) + samples_of(0.5) + samples_of(0.25)
    assert [timing.start for timing in timings] == pytest.approx([0, 0.5, 1.0], abs=SAMPLE)
    assert timings[0].end == timings[0].start
    assert not out[: samples_of(0.5)].any()
    assert not out[-samples_of(0.25) :].any()


@pytest.mark.parametrize(("asked", "expected"), [(0.1, 0.3), (0.3, 0.3), (1.0, 1.0)])
def test_an_asked_pause_stands_for_a_shorter_one_of_punctuation(asked, expected):
    pieces = [
        (sentence(pause=0.3), tone(0.5)),
        (pause(asked), silence(0)),
        (sentence(), tone(0.5)),
    ]
    _, timings = deliver(pieces)
    assert timings[2].start - timings[0].end == pytest.approx(expected, abs=2 * SAMPLE)


def test_asked_pauses_add_up():
    pieces = [(sentence(pause=0.1), tone(0.5))] + [(pause(0.2), silence(0))] * 3
    _, timings = deliver([*pieces, (sentence(), tone(0.5))])
    assert timings[-1].start - timings[0].end == pytest.approx(0.6, abs=4 * SAMPLE)


def test_a_sentence_without_sound_leaves_no_trace_but_its_pause():
    pieces = [
        (sentence(pause=0.2), tone(0.5)),
        (sentence(pause=0.4), silence(3)),
        (sentence(), tone(0.5)),
    ]
    out, timings = deliver(pieces)
    assert out.size == 2 * samples_of(0.5) + samples_of(0.4)
    assert timings[1].start == timings[1].end


def test_nothing_but_silence_delivers_nothing():
    out, _ = deliver([(sentence(), silence(2)), (sentence(), silence(0))])
    assert out.size == 0


def test_cut_edges_do_not_click():
    slope = 2 * np.pi * 100 / RATE * 0.5  # steepest step of the tone itself
    fade_step = 0.5 * np.pi / 2 / samples_of(0.005)
    pieces = [(sentence(), tone(0.5)), (sentence(pause=0), tone(0.5)), (sentence(), tone(0.5))]
    out, _ = deliver(pieces, PLAIN)
    steps = np.abs(np.diff(np.concatenate(([0.0], out, [0.0]))))
    assert steps.max() < slope + 2 * fade_step


def test_clauses_without_a_pause_are_cross_faded():
    noise = np.random.default_rng(0).normal(0, 0.1, (40, RATE // 4)).astype(np.float32)
    pieces = [(sentence(pause=0, joined=i > 0), part) for i, part in enumerate(noise)]
    out, timings = deliver(pieces, DeliverySettings(loudness=None, peak=0.0, trim=False))
    overlap = samples_of(CROSSFADE)
    assert out.size == noise.size - 39 * overlap
    joints = [round(timing.end * RATE) - overlap // 2 for timing in timings[:-1]]
    middles = [out[joint - overlap // 6 : joint + overlap // 6] for joint in joints]
    assert np.std(middles) == pytest.approx(0.1, rel=0.05)  # equal power: no dip, no bump
    # captions must not overlap
    assert all(a.end <= b.start for a, b in itertools.pairwise(timings))


@pytest.mark.parametrize("cut", [0.401, 0.405, 0.41, 0.415, 0.42, 0.43])
def test_a_cross_fade_waits_for_enough_of_the_next_piece(cut):
    """The chunk ends just after the sound has begun."""
    late = np.concatenate((silence(0.4), tone(0.5)))
    pieces = [(sentence(pause=0), tone(0.3)), (sentence(joined=True), late)]
    whole, _ = deliver(pieces)
    parts, _ = deliver(pieces, cuts=[samples_of(cut)])
    np.testing.assert_array_equal(whole, parts)


def test_a_pause_too_short_to_hear_is_a_cross_fade_too():
    pieces = [(sentence(pause=SHORTEST_PAUSE / 2), tone(0.5)), (sentence(), tone(0.5))]
    out, _ = deliver(pieces, PLAIN)
    assert out.size == 2 * samples_of(0.5) - samples_of(CROSSFADE)


@pytest.mark.parametrize("length", [1, 2, 40, 330, 331, 700])
def test_pieces_shorter_than_a_cross_fade_join_too(length):
    pieces = [(sentence(pause=0), tone(1)[:length]) for _ in range(5)]
    out, timings = deliver(pieces, PLAIN)
    assert np.isfinite(out).all()
    assert length <= out.size <= 5 * length
    assert all(a.end <= b.start for a, b in itertools.pairwise(timings))
    assert timings[-1].end == pytest.approx(out.size / RATE)


def test_a_finished_sentence_is_given_out_before_the_next_begins():
    master = Master(RATE, DeliverySettings())
    given = [master.begin(sentence(pause=0.3)), master.push(AudioChunk(tone(1.3), RATE))]
    rest, timing = master.end()
    assert sum(part.size for part in given) + rest.size == round(timing.end * RATE)


def test_long_sentences_are_given_out_while_they_are_made():
    master = Master(RATE, DeliverySettings())
    master.begin(sentence())
    given = [master.push(AudioChunk(voice(0.1, i), RATE)).size for i in range(50)]
    assert sum(given[:12]) > 0  # the first sound within 1.2 s
    assert sum(given) > 0.75 * 5 * RATE


@pytest.mark.parametrize("engine_rate", [8000, 16000, 24000, 48000])
def test_other_sample_rates_are_resampled(engine_rate):
    t = np.arange(engine_rate) / engine_rate
    sound = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    pieces = [(sentence(pause=0.2), sound), (sentence(), sound)]
    out, timings = deliver(pieces, PLAIN, engine_rate=engine_rate)
    assert timings[0].end == pytest.approx(1.0, abs=0.03)
    assert out.size == pytest.approx(2.2 * RATE, rel=0.01)
    for timing in timings:  # the second sentence must not begin in the filter of the first
        part = out[round(timing.start * RATE) :][: RATE // 2]
        peak = np.argmax(np.abs(np.fft.rfft(part))) * RATE / part.size
        assert peak == pytest.approx(440, abs=3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_the_engines_fault(bad):
    sound = tone(0.5)
    sound[1234] = bad
    with pytest.raises(EngineFailure, match="finite"):
        deliver([(sentence(), sound)])


def test_a_change_of_rate_within_a_sentence_is_the_engines_fault():
    master = Master(RATE, DeliverySettings())
    master.begin(sentence())
    master.push(AudioChunk(tone(0.1), RATE))
    with pytest.raises(EngineFailure, match="22050 Hz to 16000 Hz"):
        master.push(AudioChunk(tone(0.1), 16000))


def test_each_sentence_may_have_a_rate_of_its_own():
    master = Master(RATE, PLAIN)
    out = []
    for rate in (RATE, 16000, 48000, 16000, RATE):
        sound = (0.5 * np.sin(np.arange(rate) / rate * 2000)).astype(np.float32)
        out.append(master.begin(sentence(pause=0.1)))
        out.append(master.push(AudioChunk(sound, rate)))
        out.append(master.end()[0])
    out.append(master.finish())
    assert sum(part.size for part in out) == pytest.approx(5.4 * RATE, rel=0.01)


def test_words_move_with_the_trimmed_sound():
    padded = np.concatenate((silence(0.5), tone(1.0), silence(0.5)))
    words = (WordTime(0.5, 0.9, 0, 3), WordTime(0.9, 1.5, 4, 4))
    pieces = [(sentence("one two."), padded)]
    _, (timing,) = deliver(pieces, words=words)
    assert [word.text for word in timing.words] == ["one", "two."]
    assert timing.words[0].start == pytest.approx(LEAD, abs=0.001)
    assert timing.words[1].start == pytest.approx(LEAD + 0.4, abs=0.001)
    assert timing.words[1].end == pytest.approx(LEAD + 1.0, abs=0.001)


def test_words_move_however_the_silence_before_them_was_cut():
    padded = np.concatenate((silence(1.5), tone(1.0)))
    cuts = range(0, padded.size, RATE // 20)
    _, (timing,) = deliver(
        [(sentence("one"), padded)], cuts=cuts, words=(WordTime(1.5, 2.5, 0, 3),)
    )
    assert timing.words[0].start == pytest.approx(LEAD, abs=0.001)
    assert timing.words[0].end == pytest.approx(LEAD + 1.0, abs=0.001)


def test_words_of_later_sentences_count_from_the_start_of_the_audio():
    master = Master(RATE, DeliverySettings())
    for index in range(3):
        master.begin(sentence("word", 0.25, index=index))
        master.push(AudioChunk(tone(1.0), RATE, (WordTime(0.2, 0.8, 0, 4),)))
        _, timing = master.end()
        assert timing.index == index
        assert timing.words[0].start == pytest.approx(1.25 * index + 0.2, abs=0.001)
        assert timing.words[0].end == pytest.approx(1.25 * index + 0.8, abs=0.001)


def test_words_never_leave_their_sentence():
    words = (WordTime(-1.0, 0.1, 0, 3), WordTime(0.4, 9.0, 4, 4))
    _, (timing,) = deliver([(sentence("one two."), tone(0.5))], words=words)
    assert timing.words[0].start == timing.start
    assert timing.words[1].end == timing.end


def test_words_are_those_that_the_user_wrote():
    spans = (Span("It costs ", "It costs "), Span("$12", "twelve dollars"), Span(" now.", " now."))
    utterance = Utterance(spans, "en")
    spoken = utterance.spoken
    words = tuple(
        WordTime(i * 0.1, i * 0.1 + 0.1, spoken.index(word), len(word))
        for i, word in enumerate(("It", "costs", "twelve", "dollars", "now"))
    )
    _, (timing,) = deliver([(utterance, tone(0.5))], words=words)
    assert [word.text for word in timing.words] == ["It", "costs", "$12", "now"]
    assert timing.words[2].start == pytest.approx(0.2)
    assert timing.words[2].end == pytest.approx(0.4)
    assert timing.text == "It costs $12 now."


def test_memory_does_not_grow_with_the_text():
    sound = voice(1.0)
    master = Master(RATE, DeliverySettings())

    def speak(count: int) -> int:
        tracemalloc.reset_peak()
        for _ in range(count):
            master.begin(sentence())
            master.push(AudioChunk(sound, RATE))
            master.end()
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        speak(5)
        few = speak(5)
        assert speak(60) < 1.2 * few
    finally:
        tracemalloc.stop()
