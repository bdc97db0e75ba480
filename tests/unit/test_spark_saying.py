"""What goes wrong when a language model speaks, and what then happens; the model is a script here.

Its stages are real otherwise: whatever tokens it gives, the codec makes sound of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import cycle, islice

import numpy as np
import pytest

from engines.api import CancelToken
from engines.decode import GREEDY, Spoken
from engines.errors import Cancelled, EngineFailure
from engines.memory import MemoryManager
from engines.runtime.eager import EagerRuntime
from engines.spark import codec, guards, published, saying, streaming
from engines.spark.answers import Grammar
from engines.spark.checkpoint import load_codec
from engines.spark.config import read_config
from engines.spark.saying import Desk, Sentence, say
from engines.spark.stages import speaking
from engines.spark.streaming import Stream
from engines.spark.tokens import read_tokens
from engines.spark.writing import Asked
from tests.spark_release import release_folder

TEXT = "A sentence that takes about two seconds."  # 33 letters: 16 tokens at least, 612 at most
END = -1


@pytest.fixture(scope="module")
def desk():
    folder = release_folder()
    config = read_config(folder)
    runtime = EagerRuntime("cpu")
    stages = speaking(load_codec(folder, config), config, masks=False)
    bound = {stage.name: runtime.bind(stage) for stage in stages}
    grammar = Grammar(read_tokens(folder), 32)
    return Desk(
        {**bound, "llm": Room()}, MemoryManager(), "", config, grammar, GREEDY, CancelToken()
    )


class Room:
    longest = 4096


@pytest.fixture
def script(desk, monkeypatch):
    """Sets what the model says at each attempt, as numbers of semantic tokens; gives a list of what
    it was asked."""
    asked = []

    def install(*attempts: Iterable[int]) -> list[Asked]:
        turns = iter(attempts)

        def write(*args, cancel, **_) -> Iterator[Spoken]:
            [one] = args[3]
            asked.append(one)
            for index, each in enumerate(islice(next(turns), one.limit)):
                token = desk.grammar.end if each == END else int(desk.grammar.tokens.semantic[each])
                cancel.raise_if_set()
                stop = "stop" if token == desk.grammar.end else ""
                full = "limit" if index + 1 == one.limit else ""
                yield Spoken(0, index, token, {}, stop or full)

        monkeypatch.setattr(saying, "write", write)
        return asked

    return install


def speech(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, 128, count).tolist()


def spoken(desk, text: str = TEXT):
    sentence = Sentence([1, 2, 3], "clone", np.arange(32), text, "seed", 3)
    chunks = list(say(desk, sentence))
    samples = np.concatenate([chunk.samples for chunk in chunks])
    return samples, [note for chunk in chunks for note in chunk.notes]


def whole(desk, tokens):
    d_vector = codec.speaker_vector(desk.bound, np.arange(32))
    x = codec.frames(desk.bound, np.array(tokens), d_vector)
    return codec.wave(desk.bound, x, d_vector)


def test_speech_comes_out_as_in_one_pass_and_without_notes(desk, script):
    tokens = speech(300)
    script([*tokens, END])
    samples, notes = spoken(desk)
    assert notes == []
    np.testing.assert_allclose(samples, whole(desk, tokens), atol=2e-5)


@pytest.mark.parametrize("sizes", [(1,), (7, 90, 3), (1000,)])
def test_parts_join_to_what_one_pass_gives(desk, sizes):
    tokens = speech(420)
    d_vector = codec.speaker_vector(desk.bound, np.arange(32))
    stream = Stream(desk.bound, desk.config.codec, d_vector)
    parts, end = [], 0
    for size in cycle(sizes):
        end += size
        parts += stream.push(tokens[:end])
        if end >= len(tokens):
            break
    before_the_end = len(parts)
    parts += stream.end()
    assert before_the_end > 1
    np.testing.assert_allclose(np.concatenate(parts), whole(desk, tokens), atol=2e-5)


def test_parts_grow_to_the_longest_there_is_memory_for(desk):
    d_vector = codec.speaker_vector(desk.bound, np.arange(32))
    stream = Stream(desk.bound, desk.config.codec, d_vector)
    parts = [*stream.push(speech(1000)), *stream.end()]
    sizes = [part.size // desk.config.codec.hop for part in parts]
    assert sizes == [25, 50, 100, 200, streaming.LARGEST_PART, streaming.LARGEST_PART, 113]


def test_the_first_part_of_twenty_seconds_waits_for_a_tenth_of_them():
    sizes = published.codec()
    first = sizes.prenet.reach + sizes.decoder.reach + streaming.FIRST_PART
    assert first <= 0.1 * 20 * 50
    assert 4 * (sizes.prenet.reach + sizes.decoder.reach) < streaming.LONGEST_CODES


def test_sound_comes_before_the_last_token(desk, script):
    given = []

    def tokens():
        for token in speech(200):
            given.append(token)
            yield token
        yield END

    script(tokens())
    sentence = Sentence([1], "clone", np.arange(32), TEXT, "seed", 1)
    first = next(say(desk, sentence))
    assert first.samples.size == streaming.FIRST_PART * desk.config.codec.hop
    assert len(given) <= 100


def test_an_answer_without_speech_is_asked_for_again(desk, script):
    asked = script([END], [END], [*speech(50), END])
    samples, notes = spoken(desk)
    assert samples.size == 50 * 320
    assert notes == ["Sentence 3 was spoken again with another seed: no speech came out."] * 2
    assert len({one.seed for one in asked}) == 3


def test_three_answers_without_speech_are_an_error(desk, script):
    script([END], [END], [END])
    with pytest.raises(EngineFailure, match=r"Sentence 3 failed 3 times: no speech.*another seed"):
        spoken(desk)


def test_speech_that_is_too_short_for_its_text_is_asked_for_again(desk, script):
    script([*speech(15), END], [*speech(16, 1), END])
    samples, notes = spoken(desk)
    assert samples.size == 16 * 320
    assert notes == [
        "Sentence 3 was spoken again with another seed: it ended too early for its text."
    ]
    script([*speech(5), END], [*speech(6), END], [*speech(7), END])
    samples, notes = spoken(desk)
    assert samples.size == 7 * 320
    assert notes[-1] == "Sentence 3 may be incomplete: it ended too early for its text."


def test_a_generation_that_never_ends_is_ended(desk, script):
    asked = script(speech(5000))
    samples, notes = spoken(desk)
    [one] = asked
    assert one.limit == guards.bounds(TEXT, 3000).most
    assert samples.size == one.limit * 320
    assert notes == ["Sentence 3 may be incomplete: it did not end."]


def test_after_a_loop_the_sentence_goes_on_where_it_began(desk, script):
    good, more = speech(150), speech(40, 1)
    asked = script([*good, *[5] * 1000], [*more, END])
    samples, notes = spoken(desk)
    assert notes == ["Sentence 3 was spoken again with another seed: it went round in circles."]
    kept = samples.size // 320 - len(more)
    assert len(good) <= kept <= len(good) + saying.SUSPECT
    assert list(asked[1].prompt)[-150:-1] and asked[1].kind == "continue"
    np.testing.assert_allclose(samples, whole(desk, [*good, *[5] * (kept - 150), *more]), atol=2e-5)


def test_a_loop_that_nobody_heard_is_forgotten(desk, script):
    asked = script([5] * 1000, [*speech(60, 1), END])
    samples, notes = spoken(desk)
    assert samples.size == 60 * 320
    assert "circles" in notes[0]
    assert asked[1].kind == "clone"


def test_silence_is_asked_for_again(desk, script, monkeypatch):
    heard = iter([True, False])
    monkeypatch.setattr(guards, "silent", lambda _: next(heard))
    script([*speech(60), END], [*speech(61), END])
    samples, notes = spoken(desk)
    assert samples.size == 61 * 320
    assert notes == ["Sentence 3 was spoken again with another seed: it was silent."]
    monkeypatch.undo()
    assert guards.silent(np.zeros(100)) and not guards.silent(np.full(100, 0.01))


def test_a_cancelled_sentence_ends_at_the_next_token(desk, script):
    token = CancelToken()
    given = []

    def tokens():
        for each in speech(200):
            given.append(each)
            if len(given) == 40:
                token.cancel()
            yield each

    script(tokens())
    sentence = Sentence([1], "clone", np.arange(32), TEXT, "seed", 1)
    with pytest.raises(Cancelled):
        list(say(replace(desk, cancel=token), sentence))
    assert len(given) == 40


@pytest.mark.parametrize(
    ("tokens", "start"),
    [
        ([1, 2, 3, *[7] * 100], 3),
        ([1, 2, 3, *[7] * 99], None),
        ([*range(50), *[1, 2, 3] * 80], 50),
        ([*range(50), *[1, 2, 3] * 60], None),
        ([*[9] * 300, 4], None),  # a long pause that ended
        (list(range(1000)), None),
        ([], None),
    ],
)
def test_what_goes_round_and_where_it_began(tokens, start):
    assert guards.loop_start(tokens) == start


def test_chinese_takes_more_tokens_a_sign():
    english, chinese = guards.bounds("four", 3000), guards.bounds("四个字的", 3000)
    assert chinese.least > english.least and chinese.most > english.most
    assert guards.bounds("word " * 500, 900).most == 900
