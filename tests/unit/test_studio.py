"""The studio's queue, routing and cancellation, on a tone engine."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from engines.api import SpeechRequest
from engines.errors import (
    BadControl,
    BadText,
    Cancelled,
    DeadlineExceeded,
    EngineFailure,
    QueueFull,
    UnknownDevice,
    UnknownEngine,
    UnknownLanguage,
    UnknownPreset,
    UnknownVoice,
    UnsupportedRuntime,
)
from studio.jobs import Job, JobState, Note, SentenceDone, SentenceStarted, Sound
from studio.presets import EnginePreset, Presets, StarterVoice
from studio.route import Router
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes

WORDS = "One two three. Four five six. Seven eight nine."


def request(text: str = WORDS, **values) -> SpeechRequest:
    return SpeechRequest(text, **{"engine": "tone", "seed": 1, **values})


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", workers=2, max_queued=3)


@pytest.fixture
def studio(tone, settings):
    studio = Studio(settings)
    yield studio
    studio.close()


def listen(job: Job) -> tuple[list, np.ndarray]:
    events = list(job.events())
    sound = [event.samples for event in events if isinstance(event, Sound)]
    return events, np.concatenate(sound)


def wait_until(condition, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


# from text to sound


def test_sentences_come_in_order_with_times_that_fit_the_sound(studio) -> None:
    events, sound = listen(job := studio.submit(request()))
    started = [e.utterance.source.strip() for e in events if isinstance(e, SentenceStarted)]
    done = [e.timing for e in events if isinstance(e, SentenceDone)]
    assert started == ["One two three.", "Four five six.", "Seven eight nine."]
    assert [timing.text.strip() for timing in done] == started
    ends = [0.0, *(timing.end for timing in done)]
    assert all(timing.start >= before for timing, before in zip(done, ends, strict=False))
    assert done[-1].end <= sound.size / job.sample_rate + 1e-3
    assert job.state is JobState.DONE
    assert job.progress == 1.0


def test_same_seed_same_sound_and_another_seed_another(studio) -> None:
    first, again, other = (listen(studio.submit(request(seed=seed)))[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_drawn_seed_is_reported_and_repeats_the_sound(studio) -> None:
    job = studio.submit(request(seed=None))
    _, sound = listen(job)
    _, again = listen(studio.submit(request(seed=job.plan.seed)))
    assert np.array_equal(sound, again)


def test_what_was_left_out_is_noted(studio) -> None:
    events, _ = listen(studio.submit(request("Hello 🎉 there.")))
    assert any(isinstance(event, Note) for event in events)


def test_marks_that_nobody_reads_out_are_passed_over(studio, tone) -> None:
    events, _ = listen(studio.submit(request("One two.\n\n* * *\n\nThree four.")))
    assert tone.chunks == 4
    assert sum(isinstance(event, SentenceDone) for event in events) == 3


def test_a_new_house_gets_a_lexicon_that_explains_itself(studio, tone) -> None:
    file = studio.settings.lexicon_dir / "en.txt"
    assert "word = respelling" in file.read_text("utf-8")
    file.write_text("two = deux trois\nfour = /fɔːr/\n", "utf-8")
    events, _ = listen(studio.submit(request("One two four.")))
    assert tone.chunks == 4
    notes = [event.message for event in events if isinstance(event, Note)]
    assert notes == ["Tone takes no phonemes, so it reads as they are written: four."]
    Studio(studio.settings).close()
    assert "deux" in file.read_text("utf-8"), "the user's lexicon was overwritten"


# the queue


def test_a_full_queue_refuses_and_recovers(studio, tone) -> None:
    tone.gate = threading.Event()
    jobs = [studio.submit(request()) for _ in range(2)]
    wait_until(lambda: all(job.state is JobState.RUNNING for job in jobs))
    jobs += [studio.submit(request()) for _ in range(3)]
    assert [studio.queue_position(job) for job in jobs] == [0, 0, 1, 2, 3]
    with pytest.raises(QueueFull, match="3 requests wait"):
        studio.submit(request())
    tone.gate.set()
    listeners = [threading.Thread(target=listen, args=(job,)) for job in jobs]
    for listener in listeners:
        listener.start()
    for listener in listeners:
        listener.join(20)
    assert all(job.state is JobState.DONE for job in jobs)
    assert studio.jobs() == ()
    assert studio.counters.requests == {"done": 5}


def test_cancel_ends_within_one_chunk(studio, tone) -> None:
    job = studio.submit(request("word " * 500))
    events = job.events()
    while not isinstance(next(events), Sound):
        pass
    job.cancel()
    with pytest.raises(Cancelled):
        list(events)
    wait_until(lambda: job.state.ended)
    made = tone.chunks
    time.sleep(0.1)
    assert tone.chunks == made < 500
    assert tone.left == 1


def test_a_listener_that_leaves_stops_the_work(studio, tone) -> None:
    job = studio.submit(request("word " * 500))
    events = job.events()
    next(events)
    events.close()
    wait_until(lambda: job.state is JobState.CANCELLED)
    assert tone.chunks < 500


def test_a_cancelled_job_in_the_queue_never_starts(studio, tone) -> None:
    tone.gate = threading.Event()
    blockers = [studio.submit(request()) for _ in range(2)]
    waiting = studio.submit(request("Never spoken."))
    waiting.cancel()
    with pytest.raises(Cancelled):
        list(waiting.events())
    for job in blockers:
        job.cancel()
    wait_until(lambda: waiting.state is JobState.CANCELLED)
    assert tone.chunks == 0


def test_a_slow_listener_holds_the_engine_back(studio, tone) -> None:
    job = studio.submit(request("word " * 500))
    events = job.events()
    next(events)
    made = -1
    while made != tone.chunks:
        made = tone.chunks
        time.sleep(0.3)
    assert made < 100
    events.close()


def test_a_deadline_ends_a_job_in_work_and_one_in_the_queue(studio, tone) -> None:
    tone.gate = threading.Event()
    running = [studio.submit(request(deadline=0.3)) for _ in range(3)]
    for job in running:
        with pytest.raises(DeadlineExceeded, match=r"0\.3 s"):
            list(job.events())
    wait_until(lambda: not studio.jobs())
    assert studio.counters.requests == {"deadline_exceeded": 3}


def test_an_engine_that_breaks_is_reported_and_the_worker_lives_on(studio, tone) -> None:
    tone.failure = RuntimeError("the tone fell off")
    for _ in range(4):
        with pytest.raises(EngineFailure, match="the tone fell off"):
            list(studio.submit(request()).events())
    tone.failure = None
    listen(studio.submit(request()))
    assert studio.counters.requests == {"engine_failure": 4, "done": 1}


def test_close_ends_what_is_in_work(tone, settings) -> None:
    studio = Studio(settings)
    tone.gate = threading.Event()
    jobs = [studio.submit(request()) for _ in range(5)]
    studio.close()
    assert all(job.state is JobState.CANCELLED for job in jobs)
    with pytest.raises(Cancelled, match="shutting down"):
        studio.submit(request())


# routing


def preset(**values) -> EnginePreset:
    return EnginePreset(
        **{"id": "low", "title": "Low", "description": "", "engine": "tone"} | values
    )


def starter(**values) -> StarterVoice:
    given = {"id": "ann", "name": "Ann", "description": "", "engine": "tone", "voice": "square"}
    return StarterVoice(**given | {"language": "de"} | values)


@pytest.fixture
def router(studio) -> Router:
    presets = Presets(
        engines=(preset(controls={"frequency": 100, "speed": 2}),),
        voices=(starter(controls={"frequency": 200}, aliases=("alloy",)),),
    )
    return Router(studio.settings, lambda: presets, studio.engine, studio._cloning)


def test_defaults_are_filled_in(router) -> None:
    plan = router.plan(request())
    assert (plan.voice.id, plan.language, plan.device) == ("sine", "en-US", "cpu")
    assert plan.sample_rate == fakes.RATE


def test_a_language_alone_finds_a_voice(router) -> None:
    assert router.plan(request(language="de")).voice.id == "square"
    assert router.plan(request(language="de-AT")).voice.id == "square"


def test_given_controls_stand_above_starter_voice_above_preset(router) -> None:
    plan = router.plan(request(preset="low"))
    assert (plan.controls.frequency, plan.controls.speed) == (100, 2)
    plan = router.plan(request(preset="low", voice="ann"))
    assert (plan.voice.id, plan.controls.frequency, plan.controls.speed) == ("square", 200, 2)
    plan = router.plan(request(preset="low", voice="alloy", controls={"frequency": 300}))
    assert (plan.controls.frequency, plan.controls.speed) == (300, 2)


def test_an_engine_off_the_default_device_says_so(router) -> None:
    onnx = replace(router, settings=replace(router.settings, device="onnx"))
    plan = onnx.plan(request())
    assert plan.device == "cpu"
    assert any("runs on cpu, not on onnx" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("values", "error", "param"),
    [
        ({"text": ""}, BadText, "text"),
        ({"text": 7}, BadText, "text"),
        ({"text": "x" * 1_000_001}, BadText, "text"),
        ({"engine": "nope"}, UnknownEngine, "engine"),
        ({"voice": "nope"}, UnknownVoice, "voice"),
        ({"voice": "ann", "engine": "espeak"}, UnknownVoice, "voice"),
        ({"preset": "nope"}, UnknownPreset, "preset"),
        ({"language": "sw"}, UnknownLanguage, "language"),
        ({"language": "de", "voice": "sine"}, UnknownLanguage, "language"),
        ({"device": "gpu"}, UnknownDevice, "device"),
        ({"device": "cuda:7"}, UnknownDevice, "device"),
        ({"device": "onnx"}, UnsupportedRuntime, "device"),
        ({"seed": -1}, BadControl, "seed"),
        ({"seed": 2**32}, BadControl, "seed"),
        ({"seed": 1.5}, BadControl, "seed"),
        ({"seed": True}, BadControl, "seed"),
        ({"seed": "7"}, BadControl, "seed"),
        ({"controls": {"speed": float("nan")}}, BadControl, "speed"),
        ({"controls": [1]}, BadControl, "controls"),
    ],
)
def test_bad_requests_name_the_field(router, values, error, param) -> None:
    with pytest.raises(error) as caught:
        router.plan(request(**values))
    assert caught.value.param == param
    assert str(caught.value).count(".") >= 2


@pytest.mark.parametrize("deadline", [0, -1, float("nan"), float("inf"), "soon", True])
def test_a_bad_deadline_is_refused(studio, deadline) -> None:
    with pytest.raises(BadControl) as caught:
        studio.submit(request(deadline=deadline))
    assert caught.value.param == "deadline"


def test_an_absent_default_device_is_said_at_start(tone, settings) -> None:
    with pytest.raises(UnknownDevice, match="cpu"):
        Studio(replace(settings, device="cuda:7"))
