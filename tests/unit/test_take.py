"""Takes on disk: what is read is what was written, whatever was replaced in between."""

from __future__ import annotations

import errno
import gc
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import InvalidRequest, StorageError
from studio import take as takes
from studio.jobs import CaptionWord, SentenceTiming
from studio.pieces import FULL_SCALE
from studio.take import Take

RATE = 8_000
MADE = {"engine": "tone", "seed": 1}
STEP = 1 / FULL_SCALE


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    size = round(seconds * RATE)
    return np.random.default_rng(seed).uniform(-0.9, 0.9, size).astype(np.float32)


def filled(folder: Path, lengths: list[float], pause: float = 0.0) -> Take:
    """A take of sentences of these lengths, each followed by a pause."""
    take, at = Take(folder, RATE, MADE), 0.0
    for number, length in enumerate(lengths):
        take.append(noise(length, number))
        take.append(np.zeros(round(pause * RATE), np.float32))
        word = CaptionWord("word", at + length / 4, at + length / 2)
        take.add_sentence(SentenceTiming(number, f"Sentence {number}.", at, at + length, (word,)))
        at += length + pause
    return take


def sound(take: Take) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *take.blocks()])


def test_what_was_appended_is_read_back_in_blocks_and_in_slices(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(takes, "BLOCK", 100)
    take, whole = Take(tmp_path, RATE, MADE), noise(0.3)
    for part in np.array_split(whole, 7):
        take.append(part)
    assert take.frames == whole.size
    assert take.seconds == pytest.approx(0.3)
    np.testing.assert_allclose(sound(take), whole, atol=STEP)
    pcm = np.frombuffer(take.pcm(250, 33), "<i2") / FULL_SCALE
    np.testing.assert_allclose(pcm, whole[250:283], atol=STEP)
    assert take.pcm(whole.size - 1, 50) == take.pcm(whole.size - 1, 1)
    assert take.pcm(whole.size, 50) == b""


def test_loud_samples_are_clipped_not_wrapped(tmp_path) -> None:
    take = Take(tmp_path, RATE, MADE)
    take.append(np.array([2.0, -2.0, 1.0], np.float32))
    assert sound(take).tolist() == [1.0, -1.0, 1.0]


def test_sentences_keep_text_times_words_and_how_they_were_made(tmp_path) -> None:
    take = filled(tmp_path, [0.1, 0.2], pause=0.05)
    first, second = take.sentence(0), take.sentence(1)
    assert (first.text, second.text) == ("Sentence 0.", "Sentence 1.")
    assert (second.start, second.end) == pytest.approx((0.15, 0.35))
    assert second.words[0].start == pytest.approx(0.2)
    assert second.made_with == MADE
    assert len(take) == len(take.timings) == 2
    assert [timing.text for timing in take.timings] == ["Sentence 0.", "Sentence 1."]
    assert take.timings[1].words == second.words
    assert len(take.timings[0:5]) == 2


@pytest.mark.parametrize("number", [-1, 2, 10**9])
def test_a_sentence_that_is_not_there(tmp_path, number) -> None:
    take = filled(tmp_path, [0.1, 0.2])
    with pytest.raises(InvalidRequest, match="The take has 2"):
        take.sentence(number)
    with pytest.raises(InvalidRequest):
        take.replace(number, noise(0.1), (), MADE)


def test_a_replaced_sentence_moves_what_follows_and_nothing_else(tmp_path) -> None:
    take = filled(tmp_path, [0.1, 0.2, 0.1], pause=0.05)
    before, new = sound(take), noise(0.3, 9)
    other = {"engine": "tone", "seed": 2}
    take.replace(1, new, [CaptionWord("new", 0.1, 0.2)], other)
    after = sound(take)
    assert take.version == 1
    fade = round(takes.FADE * RATE)
    start, end = round(0.15 * RATE), round(0.45 * RATE)
    np.testing.assert_allclose(after[:start], before[:start], atol=STEP)
    np.testing.assert_allclose(after[start + fade : end - fade], new[fade:-fade], atol=STEP)
    np.testing.assert_allclose(after[end:], before[round(0.35 * RATE) :], atol=STEP)
    assert [(s.start, s.end) for s in take.timings] == [
        pytest.approx(times) for times in ((0, 0.1), (0.15, 0.45), (0.5, 0.6))
    ]
    assert take.sentence(1).text == "Sentence 1."
    assert take.sentence(1).words == (CaptionWord("new", pytest.approx(0.25), pytest.approx(0.35)),)
    assert take.sentence(1).made_with == other
    assert take.sentence(2).made_with == MADE
    assert take.sentence(2).words[0].start == pytest.approx(0.525)


def test_a_join_without_a_pause_does_not_click(tmp_path) -> None:
    """Loud clauses side by side: no step at the joins is larger than the slowest fade allows."""
    take = Take(tmp_path, RATE, MADE)
    for number in range(3):
        take.append(np.full(800, 0.9, np.float32))
        take.add_sentence(SentenceTiming(number, "clause,", number * 0.1, (number + 1) * 0.1))
    take.replace(1, np.full(1000, -0.9, np.float32), (), MADE)
    steps = np.abs(np.diff(sound(take)))
    assert steps.max() <= 1.1 * 0.9 / (takes.FADE * RATE - 1)


def test_reading_goes_on_unharmed_while_a_sentence_is_replaced(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(takes, "BLOCK", 256)
    take = filled(tmp_path, [0.1, 0.2, 0.1])
    before = sound(take)
    blocks = take.blocks()
    first = next(blocks)
    take.replace(1, noise(0.05, 5), (), MADE)
    np.testing.assert_array_equal(np.concatenate([first, *blocks]), before)


def test_a_take_goes_on_after_a_replacement(tmp_path) -> None:
    take = filled(tmp_path, [0.1, 0.1])
    take.replace(0, noise(0.2, 7), (), MADE)
    take.append(more := noise(0.1, 8))
    assert take.frames == round(0.4 * RATE)
    np.testing.assert_allclose(sound(take)[-more.size :], more, atol=STEP)


lengths = st.lists(st.integers(0, 300), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    made=lengths,
    pause=st.integers(0, 60),
    changes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400)), max_size=6),
)
def test_any_order_of_replacements_matches_an_array(tmp_path_factory, made, pause, changes) -> None:
    """The pieces on disk say the same as an ordinary array that is cut and joined."""
    take = Take(tmp_path_factory.mktemp("takes"), RATE, MADE)
    bounds, whole = [], np.zeros(0, np.float32)
    for number, length in enumerate(made):
        start = whole.size
        samples = np.concatenate([np.full(length, 0.1 * (number + 1)), np.zeros(pause)])
        take.append(samples.astype(np.float32))
        whole = np.concatenate([whole, samples])
        bounds.append([start, start + length])
        take.add_sentence(SentenceTiming(number, "x", start / RATE, (start + length) / RATE))
    for number, length in changes:
        if number >= len(made):
            continue
        start, end = bounds[number]
        take.replace(number, np.full(length, -0.5, np.float32), (), MADE)
        whole = np.concatenate([whole[:start], np.full(length, -0.5), whole[end:]])
        for later in bounds[number + 1 :]:
            later[:] = [later[0] + length - (end - start), later[1] + length - (end - start)]
        bounds[number][1] = start + length
    assert take.frames == whole.size
    got = sound(take)
    assert [(round(s.start * RATE), round(s.end * RATE)) for s in take.timings] == [
        tuple(pair) for pair in bounds
    ]
    fade = round(takes.FADE * RATE)
    far = np.ones(whole.size, bool)  # away from every edge, where the fades are
    for pair in bounds:
        for edge in pair:
            far[max(0, edge - fade) : edge + fade] = False
    np.testing.assert_allclose(got[far], whole[far], atol=2 * STEP)


def test_peaks_follow_the_sound(tmp_path) -> None:
    take = Take(tmp_path, RATE, MADE)
    take.append(np.concatenate([np.full(4000, 0.25), np.full(4000, 0.75)]).astype(np.float32))
    assert take.peaks(4) == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.01)
    assert Take(tmp_path, RATE, MADE).peaks(3) == [0.0, 0.0, 0.0]


def test_peaks_of_a_take_shorter_than_its_waveform(tmp_path) -> None:
    take = Take(tmp_path, RATE, MADE)
    take.append(np.full(5, 0.5, np.float32))
    assert max(take.peaks(50)) == pytest.approx(0.5, abs=0.01)


def test_a_full_disk_is_said_and_loses_nothing(tmp_path, monkeypatch) -> None:
    take = filled(tmp_path, [0.1, 0.1])
    before, real = sound(take), os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        if len(data) > 100:  # some of it still fits
            return real(file, data[:100], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match=r"No space left.*Free some space"):
        take.append(noise(0.1, 3))
    with pytest.raises(StorageError):
        take.replace(0, noise(0.1, 3), (), MADE)
    np.testing.assert_array_equal(sound(take), before)
    monkeypatch.setattr(os, "pwrite", real)
    take.append(noise(0.1, 3))
    np.testing.assert_allclose(sound(take)[before.size :], noise(0.1, 3), atol=STEP)


def test_a_folder_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--data-dir"):
        Take(tmp_path / "file" / "takes", RATE, MADE)


def test_a_take_leaves_nothing_behind(tmp_path) -> None:
    take = filled(tmp_path, [0.1])
    folder = next(tmp_path.iterdir())
    assert folder.stat().st_mode & 0o077 == 0
    del take
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_deleting_is_final_and_may_be_said_twice(tmp_path) -> None:
    take = filled(tmp_path, [0.1])
    take.delete()
    take.delete()
    assert not list(tmp_path.iterdir())


def test_only_takes_that_nobody_touched_are_cleared_away(tmp_path) -> None:
    take = filled(tmp_path, [0.1])
    left = tmp_path / "take-left"
    left.mkdir()
    (left / "sound.s16le").write_bytes(b"")
    old = time.time() - 10_000
    for path in (left / "sound.s16le", left):
        os.utime(path, (old, old))
    (tmp_path / "other").mkdir()
    os.utime(tmp_path / "other", (old, old))
    takes.remove_old(tmp_path, 5_000)
    assert {path.name for path in tmp_path.iterdir()} == {
        next(p.name for p in tmp_path.glob("take-*")),
        "other",
    }
    assert len(take) == 1
    assert not left.exists()


def test_ids_cannot_be_guessed_from_one_another(tmp_path) -> None:
    ids = {Take(tmp_path, RATE, MADE).id for _ in range(50)}
    assert len(ids) == 50
    assert min(map(len, ids)) >= 20
