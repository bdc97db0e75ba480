"""The History tab: what it shows of a take, to whom, and what its buttons do."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile

from engines import registry
from engines.api import SpeechRequest
from studio.history import TakeState, Totals
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.servers import wait_until
from ui import history_view, shell
from ui.history_handlers import LONGEST_READ, Handlers, server_functions
from ui.speak_handlers import Handlers as SpeakHandlers

ME = SimpleNamespace(session_hash="me")
OTHER = SimpleNamespace(session_hash="other")
WORDS = "One two three. Four five six."
FORM = ("text", "engine")


def event(**data) -> SimpleNamespace:
    return SimpleNamespace(_data={"query": "", "before": None, **data})


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


def new_studio(folder: Path, **given) -> Studio:
    return Studio(Settings(data_dir=folder, presets_dir=folder / "none", **given))


@pytest.fixture
def studio(tone, tmp_path) -> Iterator[Studio]:
    studio = new_studio(tmp_path, shared=False)
    yield studio
    studio.close()


def handlers_of(studio: Studio) -> Handlers:
    return Handlers(studio, lambda request: (request.text, request.engine), len(FORM))


@pytest.fixture
def handlers(studio) -> Handlers:
    return handlers_of(studio)


def spoken(studio: Studio, text: str = WORDS, **given) -> str:
    job = studio.submit(SpeechRequest(text, **{"engine": "tone", "door": "page", **given}))
    list(job.events())
    return job.take_id


def listed(shown: dict[str, Any]) -> list[str]:
    return [take["text"] for take in shown["takes"]]


# what is shown


def test_nothing_yet(handlers) -> None:
    shown = handlers.open(ME, {})
    assert shown["takes"] == () and shown["count"] == 0 and shown["alert"] == ()
    assert "100,000 takes" in shown["kept"] and "5.0 GB" in shown["kept"]


def test_a_take_with_what_is_known_of_it(handlers, studio) -> None:
    take_id = spoken(studio, controls={"frequency": 300.5})
    (row,) = handlers.open(ME, {})["takes"]
    assert row["id"] == take_id and row["text"] == WORDS and not row["more"]
    assert row["about"].startswith("Sine · Tone · 1.")
    assert (row["state"], row["trouble"], row["pinned"]) == ("", "", False)
    facts = dict(row["facts"])
    assert facts["Controls"] == "frequency 300.5, speed 1"
    assert facts["Asked for by"] == "this page"
    assert facts["Seed"].isdecimal() and facts["Language"] == "en-US"
    assert "× real time" in facts["Speed"] and facts["On disk"].endswith("kB")
    assert "Preset" not in facts and "Likeness to the clip" not in facts


def test_an_engine_that_is_gone_keeps_its_name(handlers, studio, monkeypatch) -> None:
    spoken(studio)
    monkeypatch.delitem(registry.FAMILIES, "tone")
    (row,) = handlers.open(ME, {})["takes"]
    assert "tone" in row["about"]


def test_how_it_ended_is_said(studio) -> None:
    take = studio.history.find(spoken(studio))
    fields = {name: getattr(take, name) for name in type(take).__dataclass_fields__}
    for state, word in history_view.STATES.items():
        changed = type(take)(**{**fields, "state": state, "error": "It broke.", "lost": "Full."})
        row = history_view.row(changed, {})
        assert row["state"] == word and row["trouble"] == "It broke. Full."
        assert ("Speed" in dict(row["facts"])) is (state is TakeState.DONE)
    assert set(history_view.STATES) == set(TakeState)


def test_a_full_history_says_so() -> None:
    assert "is full" in history_view.kept(Totals(7, 10, 7, 100))
    assert "is full" in history_view.kept(Totals(1, 100, 7, 100))
    assert "is full" not in history_view.kept(Totals(6, 50, 7, 100))


def test_pages_and_search(handlers, studio) -> None:
    for number in range(23):
        spoken(studio, f"Take {number}.")
    first = handlers.look(ME, event())
    assert len(first["takes"]) == 20 and first["count"] == 23
    second = handlers.look(ME, event(before=first["older"]))
    assert listed(second) == ["Take 2.", "Take 1.", "Take 0."] and second["older"] is None
    found = handlers.look(ME, event(query="22"))
    assert listed(found) == ["Take 22."] and found["query"] == "22"
    assert listed(handlers.open(ME, found)) == ["Take 22."], "the tab comes back to its search"


@pytest.mark.parametrize(
    "data",
    [None, [], "x", {}, {"query": 3}, {"query": "x", "before": "y"}, {"query": "x" * 300},
     {"query": "", "before": 10**30}, {"query": "\ud800"}],
)  # fmt: skip
def test_whatever_is_asked_gets_an_answer(handlers, studio, data) -> None:
    spoken(studio)
    asked = SimpleNamespace(_data=data)
    for handler in (handlers.look, handlers.pin, handlers.remove):
        shown = handler(ME, asked)
        assert (
            shown["alert"]
            or data in ({"query": "", "before": 10**30}, {"query": "\ud800"})
            or (shown["takes"])
        )
    *_, shown = handlers.again(ME, asked)
    assert shown["alert"]
    assert handlers.download(ME, asked)[0]["alert"]
    assert handlers.open_in_speak(ME, asked)[0]["alert"]
    handlers.open(ME, data)
    assert studio.history.count("") == 1


# what the buttons do


def test_pin_and_delete(handlers, studio) -> None:
    take_id, other = spoken(studio, "First."), spoken(studio, "Second.")
    shown = handlers.pin(ME, event(take=take_id, pinned=True))
    assert [take["pinned"] for take in shown["takes"]] == [False, True]
    assert shown["said"].startswith("Pinned")
    shown = handlers.pin(ME, event(take=take_id, pinned=False))
    assert not any(take["pinned"] for take in shown["takes"])
    shown = handlers.remove(ME, event(take=take_id))
    assert listed(shown) == ["Second."] and shown["said"] == "Deleted."
    shown = handlers.remove(ME, event(take=take_id))
    assert "There is no take" in shown["alert"][0] and listed(shown) == ["Second."]
    assert handlers.remove(ME, event(take=other))["takes"] == ()


def test_the_last_of_a_page_takes_the_page_along(handlers, studio) -> None:
    takes = [spoken(studio, f"Take {number}.") for number in range(21)]
    first = handlers.look(ME, event())
    shown = handlers.remove(ME, event(take=takes[0], before=first["older"]))
    assert shown["before"] is None and len(shown["takes"]) == 20


def test_it_is_made_again_and_compared(handlers, studio) -> None:
    old = spoken(studio)
    *on_the_way, shown = handlers.again(ME, event(take=old))
    assert on_the_way[0]["busy"] == old and "Making it again" in on_the_way[0]["said"]
    assert shown["said"] == "Made again: the same, sample for sample."
    assert shown["compare"] == () and shown["busy"] == ""
    assert listed(shown) == [WORDS, WORDS]
    assert studio.history.find(shown["takes"][0]["id"]).seed == studio.history.find(old).seed


def test_one_that_came_out_differently_is_listened_to_in_turn(
    handlers, studio, monkeypatch
) -> None:
    old = spoken(studio)
    speak = registry.engine_class("tone").speak

    def differently(self, utterance, *given, **named):
        for chunk in speak(self, utterance, *given, **named):
            late = utterance.index == 1
            yield chunk if not late else type(chunk)(chunk.samples[::-1], chunk.sample_rate)

    monkeypatch.setattr(registry.engine_class("tone"), "speak", differently)
    *_, shown = handlers.again(ME, event(take=old))
    assert "it differs from 0." in shown["said"] or "it differs from 1." in shown["said"]
    assert shown["compare"] == (old, shown["takes"][0]["id"])


def test_one_that_was_stopped_is_the_same_as_far_as_it_goes(handlers, studio) -> None:
    job = studio.submit(SpeechRequest("One two three. " * 40, engine="tone", door="page"))
    for _ in job.events():
        if job.seconds_made > 1:
            break
    wait_until(lambda: job.state.ended, "the end")
    take = studio.history.find(job.take_id)
    *_, shown = handlers.again(ME, event(take=take.id))
    assert take.state is TakeState.CANCELLED
    assert shown["said"] == "Made again: the same as far as the old one goes."


def test_made_again_without_a_history(tone, tmp_path) -> None:
    studio = new_studio(tmp_path, shared=False)
    old = spoken(studio)
    studio.close()
    studio = new_studio(tmp_path, shared=False, history="off")
    *_, shown = handlers_of(studio).again(ME, event(take=old))
    assert "not kept" in shown["said"] and listed(shown) == [WORDS]
    studio.close()


def test_what_goes_wrong_with_it_is_said(handlers, studio, tone) -> None:
    old = spoken(studio)
    tone.failure = ValueError("broken")
    *_, shown = handlers.again(ME, event(take=old))
    assert "broke" in shown["alert"][0] and len(shown["takes"]) == 2


def test_leaving_the_page_stops_it(handlers, studio, tone) -> None:
    old = spoken(studio, "One two three. " * 50)
    views = handlers.again(ME, event(take=old))
    next(views)
    views.close()
    wait_until(lambda: not studio.jobs(), "it stopped")


def test_a_file_is_downloaded(handlers, studio, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    take = studio.history.find(spoken(studio))
    _, path = handlers.download(ME, event(take=take.id, what="sound", format="wav"))
    samples, _ = soundfile.read(path, dtype="int16")
    assert samples.tobytes() == studio.history.pcm(take, 0, take.frames)
    assert Path(path).name == "one-two-three-four-five-six.wav"
    _, path = handlers.download(ME, event(take=take.id, what="vtt", format="wav"))
    assert "Four five six." in Path(path).read_text("utf-8")
    for wrong in ({"what": "midi"}, {"format": "midi"}, {"take": "../x"}):
        asked = {"take": take.id, "what": "sound", "format": "wav", **wrong}
        shown, path = handlers.download(ME, event(**asked))
        assert path is None and shown["alert"] and len(shown["takes"]) == 1


def test_it_is_opened_in_speak(handlers, studio) -> None:
    take_id = spoken(studio)
    panel, tabs, text, engine = handlers.open_in_speak(ME, event(take=take_id))
    assert (text, engine, tabs.selected) == (WORDS, "tone", "speak")
    panel, *rest = handlers.open_in_speak(ME, event(take="x"))
    assert panel["alert"] and len(rest) == 1 + len(FORM)


def test_what_speak_fills_in_makes_the_same_take(tone, tmp_path, monkeypatch) -> None:
    """Through the real form: what "Open in Speak" puts there is what it speaks."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    studio = new_studio(tmp_path, shared=False)
    given = {"voice": "square", "controls": {"frequency": 300.0}, "seed": 5}
    take = studio.history.find(spoken(studio, **given))
    blocks = shell.build(studio)
    fill = next(fn for fn in blocks.fns.values() if fn.name == "open_in_speak")
    speak = next(fn for fn in blocks.fns.values() if _is_method(fn, SpeakHandlers, "speak"))
    values = fill.fn(ME, event(take=take.id))
    filled = dict(zip(fill.outputs, values, strict=True))
    form = [getattr(filled[widget], "value", filled[widget]) for widget in speak.inputs]
    kept = [
        value if not isinstance(value, dict) else widget.value  # what is left as it is
        for widget, value in zip(speak.inputs, form, strict=True)
    ]
    *_, _ = speak.fn(ME, *kept)
    newest = studio.history.page("").takes[0]
    assert newest.id != take.id
    assert (newest.voice, newest.controls, newest.seed) == (take.voice, take.controls, 5)
    assert studio.history.compare(take, newest).same
    studio.close()


def _is_method(fn: Any, kind: type, name: str) -> bool:
    return isinstance(getattr(fn.fn, "__self__", None), kind) and fn.name == name


# whose


def test_on_a_shared_machine_each_sees_his_own(tone, tmp_path) -> None:
    studio = new_studio(tmp_path, shared=True)
    handlers = handlers_of(studio)
    from ui.owner import owner_of

    mine = spoken(studio, "Mine.", owner=owner_of(studio, ME))
    assert listed(handlers.open(ME, {})) == ["Mine."]
    assert handlers.open(OTHER, {})["takes"] == ()
    assert handlers.look(OTHER, event(query="mine"))["takes"] == ()
    for handler in (handlers.pin, handlers.remove):
        assert handler(OTHER, event(take=mine, pinned=True))["alert"]
    *_, shown = handlers.again(OTHER, event(take=mine))
    assert shown["alert"]
    assert handlers.download(OTHER, event(take=mine, what="sound", format="wav"))[1] is None
    assert handlers.open_in_speak(OTHER, event(take=mine))[0]["alert"]
    assert studio.history.find(mine).pinned is False
    studio.close()


# what the page asks for beside


def test_sound_waveform_loudness_and_text(studio) -> None:
    ask = {function.__name__: function for function in server_functions(studio)}
    take = studio.history.find(spoken(studio))
    answer = ask["read_take"]({"take": take.id, "start": 10, "count": 20})
    assert base64.b64decode(answer["pcm"]) == studio.history.pcm(take, 10, 20)
    assert ask["read_take"]({"take": take.id, "start": 10**12, "count": 20}) == {"pcm": ""}
    peaks = ask["take_peaks"]({"take": take.id, "bars": 10})["peaks"]
    assert len(peaks) == 10 and 0 < max(peaks) <= 1
    facts = ask["take_facts"]({"take": take.id})
    assert facts["id"] == take.id
    assert facts["loudness"].startswith("−18.") or facts["loudness"].startswith("−17.")
    assert ask["take_text"]({"take": take.id}) == {"text": WORDS}


def test_no_answer_is_larger_than_a_minute(studio) -> None:
    ask = {function.__name__: function for function in server_functions(studio)}
    take_id = spoken(studio, "One two three four five. " * 70)
    answer = ask["read_take"]({"take": take_id, "start": 0, "count": 10**12})
    assert len(base64.b64decode(answer["pcm"])) == 2 * fakes.RATE * LONGEST_READ
    assert len(ask["take_peaks"]({"take": take_id, "bars": 10**9})["peaks"]) == 2000


@pytest.mark.parametrize("name", ["read_take", "take_peaks", "take_facts", "take_text"])
@pytest.mark.parametrize("asked", [None, [], {}, {"take": 3}, {"take": "../../etc/passwd"}])
def test_what_is_asked_wrongly_gets_an_answer_in_words(studio, name, asked) -> None:
    ask = {function.__name__: function for function in server_functions(studio)}
    (alert,) = ask[name](asked).values()
    assert alert and all(isinstance(part, str) for part in alert)
