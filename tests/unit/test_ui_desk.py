"""A visitor's desk: from a request to a take, sentence by sentence, whatever happens on the way."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from engines.api import SpeechRequest
from engines.errors import BadText, EngineFailure, InvalidRequest, UnknownVoice
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.servers import wait_until
from ui import desk as desks_module
from ui import view
from ui.desk import Desks

WORDS = "One two three. Four five six. Seven eight nine."


def request(text: str = WORDS, **values) -> SpeechRequest:
    return SpeechRequest(text, **{"engine": "tone", "voice": "sine", "seed": 1, **values})


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def studio(tone, tmp_path):
    settings = Settings(
        data_dir=tmp_path, presets_dir=tmp_path / "none", workers=1, max_queued=3, loudness=-18
    )
    studio = Studio(settings)
    yield studio
    studio.close()


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def desks(studio, clock):
    return Desks(studio, clock=lambda: clock.now)


@pytest.fixture
def desk(desks):
    return desks.of("me")


@pytest.fixture
def held(tone):
    """The engine waits before each chunk until the gate is opened."""
    tone.gate = threading.Event()
    yield tone.gate
    tone.gate.set()


def last(views) -> view.View:
    return list(views)[-1]


def sound(take) -> np.ndarray:
    return np.concatenate(list(take.blocks()))


def test_a_text_becomes_a_take_with_its_sentences(desk) -> None:
    shown = list(desk.speak(request()))
    assert shown[-1].state == view.DONE
    assert shown[-1].sentences == len(desk.take) == 3
    assert shown[-1].frames == desk.take.frames > fakes.RATE
    assert [s.text.strip() for s in desk.take.timings] == [
        "One two three.",
        "Four five six.",
        "Seven eight nine.",
    ]
    assert desk.take.sentence(0).made_with == {
        "engine": "tone",
        "voice": "sine",
        "language": "en-US",
        "controls": {"frequency": 440.0, "speed": 1.0},
        "seed": 1,
    }
    assert "3 sentences" in shown[-1].status
    assert "real time" in shown[-1].status
    frames = [one.frames for one in shown]
    assert frames == sorted(frames)


def test_sentences_lie_where_their_times_say(desk) -> None:
    last(desk.speak(request()))
    samples = sound(desk.take)
    for sentence in desk.take.timings:
        start, end = (round(t * fakes.RATE) for t in (sentence.start, sentence.end))
        assert np.abs(samples[start:end]).mean() > 0.01
        assert np.abs(samples[end + 400 : end + 800]).max(initial=0) < 0.01


def test_the_first_sound_is_shown_at_once(desk, monkeypatch) -> None:
    monkeypatch.setattr(desks_module, "VIEW_EVERY", 1e9)
    shown = [one for one in desk.speak(request()) if one.state == view.SPEAKING]
    assert any(one.frames and not one.sentences for one in shown)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"text": "  "}, BadText), ({"voice": "nobody"}, UnknownVoice)],
)
def test_a_refused_request_leaves_the_take_alone(desk, wrong, error) -> None:
    last(desk.speak(request()))
    take, before = desk.take, sound(desk.take)
    with pytest.raises(error):
        list(desk.speak(request(**wrong)))
    assert desk.take is take
    np.testing.assert_array_equal(sound(take), before)


def test_a_new_take_replaces_the_old_one(desk, desks, studio) -> None:
    first = last(desk.speak(request()))
    second = last(desk.speak(request("Ten eleven.")))
    assert first.take != second.take
    assert desks.take(second.take) is desk.take
    assert len(list((studio.settings.cache_dir / "takes").iterdir())) == 1


class Permits:
    """A gate that lets so many chunks through and then stays shut."""

    def __init__(self, chunks: int) -> None:
        self.left = chunks

    def wait(self, seconds: float) -> bool:
        if self.left:
            self.left -= 1
            return True
        time.sleep(seconds)
        return False


def test_stopping_keeps_what_was_made(desk, tone) -> None:
    tone.gate = Permits(4)  # a sentence, and the first word of the next

    def stop() -> None:
        wait_until(lambda: desk.take is not None and len(desk.take) >= 1, "a first sentence")
        desk.cancel()

    stopper = threading.Thread(target=stop)
    stopper.start()
    shown = last(desk.speak(request()))
    stopper.join()
    assert shown.state == view.STOPPED
    assert shown.sentences == 1
    assert shown.status.startswith("Stopped · 1 sentence ·")
    assert tone.chunks <= 4


def test_stopping_before_the_first_sound_keeps_the_old_take(desk, tone) -> None:
    old = last(desk.speak(request()))
    tone.gate = threading.Event()
    views = desk.speak(request("Ten eleven twelve."))
    assert next(views).state in (view.WAITING, view.SPEAKING)
    desk.cancel()
    shown = last(views)
    tone.gate.set()
    assert (shown.state, shown.take) == (view.STOPPED, old.take)
    assert shown.frames == old.frames


def test_an_engine_that_breaks_is_said_and_what_was_made_stays(desk, tone) -> None:
    tone.failure = EngineFailure("It broke.", "It should not.", "Try again.")
    shown = last(desk.speak(request("One. " + WORDS)))
    assert shown.state == view.FAILED
    assert shown.alert == ("It broke.", "It should not.", "Try again.")
    assert desk.take is not None and shown.take == desk.take.id
    assert shown.sentences == 1


def test_leaving_the_iterator_stops_the_engine(desk, held, studio) -> None:
    views = desk.speak(request())
    next(views)
    views.close()
    wait_until(lambda: not studio.jobs(), "the job left")
    assert studio.counters.requests == {"cancelled": 1}


def test_waiting_says_how_many_are_before(desks, held, studio) -> None:
    first = desks.of("first").speak(request())
    next(first)  # in work: the engine is held
    second = desks.of("second").speak(request())
    shown = next(second)
    assert shown.state == view.WAITING
    assert shown.status in ("Starting …", "Waiting: 1 request before yours.")
    third = desks.of("third").speak(request())
    assert next(third).status == "Waiting: 1 request before yours."
    for views in (third, second, first):
        views.close()


# a sentence made again


def test_a_sentence_made_again_replaces_the_old_one_only(desk) -> None:
    old = last(desk.speak(request()))
    before = sound(desk.take)
    times = [(s.start, s.end) for s in desk.take.timings]
    text = desk.sentence_text(1)
    shown = last(desk.speak_again(1, request(text, seed=7)))
    assert (shown.state, shown.take, shown.version) == (view.DONE, old.take, 1)
    assert "Sentence 2 made again" in shown.status
    assert [s.text for s in desk.take.timings][1] == text
    assert desk.take.sentence(1).made_with["seed"] == 7
    assert desk.take.sentence(0).made_with["seed"] == 1
    start, end = (round(t * fakes.RATE) for t in times[1])
    after = sound(desk.take)
    np.testing.assert_array_equal(after[: start - 200], before[: start - 200])
    assert np.abs(after[start:end] - before[start:end][: after[start:end].size]).max() > 0.001
    tail = before.size - end - 200
    np.testing.assert_array_equal(after[-tail:], before[-tail:])


def test_other_settings_change_the_length_and_move_the_rest(desk) -> None:
    last(desk.speak(request()))
    third = desk.take.sentence(2).start
    length = desk.take.seconds
    slow = request(desk.sentence_text(1), seed=7, controls={"speed": 0.5})
    last(desk.speak_again(1, slow))
    moved = desk.take.sentence(2).start - third
    assert moved == pytest.approx(0.6, abs=0.05)  # three words of 0.2 s, twice as slow
    assert desk.take.seconds - length == pytest.approx(moved, abs=1e-3)


def test_while_it_is_made_its_number_is_shown(desk, tone) -> None:
    last(desk.speak(request()))
    tone.gate = threading.Event()
    views = desk.speak_again(2, request(desk.sentence_text(2), seed=3))
    shown = next(one for one in views if one.state == view.AGAIN)
    assert shown.busy == 2
    desk.cancel()
    shown = last(views)
    tone.gate.set()
    assert (shown.state, shown.version, shown.busy) == (view.DONE, 0, -1)


def test_without_a_use_for_seeds_it_says_so_instead_of_doing_nothing(desk, tone) -> None:
    tone.capability = replace(tone.capability, uses_seed=False)
    shown = last(desk.speak(request()))
    assert "whatever the seed" in shown.fixed
    with pytest.raises(InvalidRequest, match=r"would sound the same again.*whatever the seed"):
        list(desk.speak_again(0, request(desk.sentence_text(0), seed=9)))
    assert desk.take.version == 0
    changed = request(desk.sentence_text(0), seed=9, controls={"frequency": 600})
    assert last(desk.speak_again(0, changed)).version == 1


def test_an_engine_of_another_rate_is_refused(desk, tone) -> None:
    last(desk.speak(request()))
    tone.capability = replace(tone.capability, sample_rate=22_050)
    with pytest.raises(InvalidRequest, match=r"22050 Hz.*16000 Hz"):
        list(desk.speak_again(0, request(desk.sentence_text(0), seed=9)))


@pytest.mark.parametrize("number", [-1, 3])
def test_a_sentence_that_is_not_there(desk, number) -> None:
    with pytest.raises(InvalidRequest, match="Press Speak first"):
        desk.sentence_text(0)
    last(desk.speak(request()))
    with pytest.raises(InvalidRequest, match="The take has 3"):
        desk.sentence_text(number)


# visitors


def test_visitors_have_desks_of_their_own(desks) -> None:
    last(desks.of("a").speak(request()))
    assert desks.of("b").take is None
    assert desks.of("a").take is not None


def test_leaving_the_page_stops_the_job(desks, held, studio) -> None:
    views = desks.of("a").speak(request())
    next(views)
    job = studio.jobs()[0]
    assert desks.owns("a", job)
    assert not desks.owns("b", job)
    desks.leave("a")
    desks.leave("never here")
    assert last(views).state == view.STOPPED


def test_a_take_is_kept_for_a_while_after_leaving_then_goes(desks, clock, studio) -> None:
    take = last(desks.of("a").speak(request())).take
    desks.leave("a")
    clock.now = desks_module.KEPT_AFTER_LEAVING - 1
    desks.of("b")
    assert len(desks.take(take)) == 3
    clock.now += 2
    desks.of("b")
    assert not list((studio.settings.cache_dir / "takes").iterdir())
    with pytest.raises(InvalidRequest, match="gone"):
        desks.take(take)


def test_coming_back_keeps_the_take(desks, clock) -> None:
    last(desks.of("a").speak(request()))
    desks.leave("a")
    clock.now = desks_module.KEPT_AFTER_LEAVING - 1
    assert desks.of("a").take is not None
    clock.now += desks_module.KEPT_AFTER_LEAVING
    assert desks.of("a").take is not None
