"""The Speak tab's handlers, called as Gradio calls them: what a person enters, however wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import soundfile

from engines import registry
from engines.api import SpeechRequest, Voice
from studio import kept
from studio.presets import EnginePreset, Presets, StarterVoice
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from ui import choices, controls, view
from ui.desk import Desks
from ui.examples import EXAMPLES
from ui.speak_handlers import Handlers

WORDS = "One two three. Four five six."
VISITOR = SimpleNamespace(session_hash="me")


def event(**data) -> SimpleNamespace:
    return SimpleNamespace(_data=data)


@pytest.fixture(scope="module")
def tone():
    with pytest.MonkeyPatch.context() as patch:
        yield fakes.install(patch)


@pytest.fixture(scope="module")
def groups(tone, tmp_path_factory):
    """The widgets, which take Gradio long to make; no test changes them."""
    folder = tmp_path_factory.mktemp("data")
    studio = Studio(Settings(data_dir=folder, presets_dir=folder / "none"))
    with gr.Blocks():
        yield controls.build_groups(studio, "tone", "sine")
    studio.close()


@pytest.fixture
def studio(tone, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    studio = Studio(
        Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", max_chars=10_000, workers=1)
    )
    studio.shipped = Presets(
        engines=(
            EnginePreset("slow", "Slow", "", "tone", None, {"speed": 0.5}),
            EnginePreset("german", "German", "", "tone", "square", {"speed": 2.0}),
        ),
        voices=(
            StarterVoice("low", "Low", "", "tone", "sine", "en-US", controls={"frequency": 110}),
        ),
    )
    yield studio
    studio.close()


@pytest.fixture
def page(studio, groups):
    """Handlers, and what a form of theirs holds that would be spoken as it stands."""
    values = [spec.default for group in groups for spec in group.specs]
    names = [f"{group.engine}.{spec.name}" for group in groups for spec in group.specs]
    return SimpleNamespace(
        handlers=Handlers(studio, Desks(studio), groups), names=names, values=values, groups=groups
    )


def form(page, **given) -> list:
    """A form by name; an engine's controls as `tone_speed`."""
    base = {
        "text": WORDS,
        "engine": "tone",
        "language": "en",
        "voice": "sine",
        "device": choices.AUTO_DEVICE,
        "seed": "",
        "keep": False,
    }
    fields = {**base, **dict(zip(page.names, page.values, strict=True))}
    for name, value in given.items():
        key = name.replace("_", ".", 1) if name.startswith("tone_") else name
        assert key in fields
        fields[key] = value
    return list(fields.values())


def speak(page, **given) -> tuple[dict, str | None]:
    """The last view, and the seed that was put into its field."""
    outputs = list(page.handlers.speak(VISITOR, *form(page, **given)))
    seeds = [seed for _, seed, _ in outputs if isinstance(seed, str)]
    assert len(seeds) <= 1, "a person who types into the field is not disturbed"
    return outputs[-1][0], seeds[0] if seeds else None


def by_name(page, outputs) -> dict:
    """A handler's last outputs, by the names of the controls; left out where unchanged."""
    values = outputs[-len(page.names) :]
    return {
        name: value
        for name, value in zip(page.names, values, strict=True)
        if not isinstance(value, dict)
    }


# what is spoken


def test_a_form_is_spoken_and_its_seed_shown(page) -> None:
    shown, seed = speak(page)
    assert shown["state"] == view.DONE
    assert shown["sentences"] == 2
    assert shown["seed"] == int(seed)
    assert 0 <= int(seed) < 2**32


def test_a_seed_is_drawn_anew_unless_it_is_kept(page) -> None:
    _, first = speak(page)
    _, second = speak(page, seed=first, keep=False)
    _, third = speak(page, seed=second, keep=True)
    assert first != second == third
    assert speak(page, seed="", keep=True)[0]["state"] == view.DONE


def test_a_seed_that_a_person_typed_is_used_and_kept(page) -> None:
    speak(page)
    (shown, seed, keep), *_ = page.handlers.speak(VISITOR, *form(page, seed=" 7 ", keep=False))
    assert (shown["seed"], seed, keep) == (7, "7", True)


@pytest.mark.parametrize(
    "text",
    [
        "مرحبا بالعالم. هذا نص.",
        "Hello мир 世界 שלום!",
        "Bell\x07 and\x00 null\x1b here.",
        "Smile 😀 please. 🎉",
        "one\u200btwo \u202eback",
    ],
)
def test_odd_but_speakable_texts_are_spoken(page, text) -> None:
    shown, _ = speak(page, text=text)
    assert shown["state"] == view.DONE, shown["alert"]
    assert shown["frames"] > 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": ""}, "text"),
        ({"text": " \n\t "}, "text"),
        ({"text": "😀🎉👍"}, "emoji"),
        ({"text": "?!… —"}, "punctuation"),
        ({"text": "a" * 5_000_000}, "5,000,000 characters"),
        ({"text": "broken \ud800 text"}, ""),
        ({"text": None}, "NoneType"),
        ({"engine": "nobody"}, "no engine 'nobody'"),
        ({"voice": "nobody"}, "no voice 'nobody'"),
        ({"voice": "square"}, "does not speak 'en'"),
        ({"device": "cuda:9"}, "cuda:9"),
        ({"device": "toaster"}, "'toaster'"),
        ({"device": "cuda"}, "cuda"),
        ({"tone_speed": 0}, "speed was 0"),
        ({"tone_speed": float("nan")}, "speed was nan"),
        ({"tone_speed": 1e9}, "speed was 1000000000"),
        ({"tone_speed": None}, "speed was None"),
        ({"tone_frequency": "loud"}, "frequency was 'loud'"),
        ({"seed": "1.5", "keep": True}, "seed was '1.5'"),
        ({"seed": "-1", "keep": True}, "seed was '-1'"),
        ({"seed": "abc", "keep": True}, "seed was 'abc'"),
        ({"seed": "4294967296", "keep": True}, "seed was 4294967296"),
        ({"seed": "9" * 5000, "keep": True}, "seed was '999"),
    ],
)
def test_whatever_is_wrong_is_said_and_the_take_stays(page, given, said) -> None:
    before, _ = speak(page)
    shown, seed = speak(page, **given)
    assert shown["state"] == view.FAILED
    assert said in shown["alert"][0]
    assert len(shown["alert"]) >= 2, "what is allowed, or what to do"
    assert all(len(part) < 600 for part in shown["alert"])
    assert seed is None
    assert (shown["take"], shown["frames"]) == (before["take"], before["frames"])
    assert shown["status"] == before["status"]


def test_a_broken_lexicon_is_said_with_file_and_line(page, studio) -> None:
    (studio.settings.lexicon_dir / "en.txt").write_text("a line without a pronunciation\n")
    shown, _ = speak(page)
    assert shown["state"] == view.FAILED
    assert "en.txt" in shown["alert"][0]
    assert "1" in shown["alert"][0]


def test_a_full_disk_is_said(page, monkeypatch) -> None:
    def full(*_args) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    shown, _ = speak(page)
    assert shown["state"] == view.FAILED
    assert "No space left on device" in shown["alert"][0]
    assert "Free some space" in shown["alert"][-1]


def test_a_full_queue_is_said(page, studio, monkeypatch) -> None:
    monkeypatch.setattr(studio._waiting, "maxsize", 1)
    studio._waiting.put_nowait(None)
    shown, _ = speak(page)
    assert "requests wait already" in shown["alert"][0]


# sentences and files


def again(page, number: object, **given) -> dict:
    views = page.handlers.again(VISITOR, event(number=number), *form(page, **given))
    return [shown for shown, *_ in views][-1]


def test_a_sentence_is_made_again_with_a_new_seed(page) -> None:
    first, _ = speak(page)
    shown = again(page, 1, text="what stands in the box now does not matter")
    assert (shown["state"], shown["version"], shown["take"]) == (view.DONE, 1, first["take"])
    assert shown["seed"] != first["seed"]


@pytest.mark.parametrize("number", [-1, 2, 10**12, "1", None, 1.5])
def test_a_sentence_that_is_none(page, number) -> None:
    speak(page)
    assert again(page, number)["state"] == view.FAILED


def test_again_before_anything_was_spoken(page) -> None:
    assert "Nothing was spoken yet" in again(page, 0)["alert"][0]


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus"])
def test_a_download_holds_the_whole_take(page, name) -> None:
    shown, _ = speak(page)
    _, path = page.handlers.download(VISITOR, event(what="sound", format=name))
    assert Path(path).name == f"one-two-three.{name}"
    assert soundfile.info(path).duration == pytest.approx(shown["frames"] / fakes.RATE, abs=0.1)


def test_captions(page) -> None:
    speak(page)
    _, srt = page.handlers.download(VISITOR, event(what="srt", format="wav"))
    assert "00:00:0" in Path(srt).read_text("utf-8")
    assert "Four five six." in Path(srt).read_text("utf-8")
    _, vtt = page.handlers.download(VISITOR, event(what="vtt", format="wav"))
    assert Path(vtt).read_text("utf-8").startswith("WEBVTT")


@pytest.mark.parametrize(
    ("what", "name", "said"),
    [
        ("sound", "ogg vorbis", "no audio format 'ogg vorbis'"),
        ("sound", None, "no audio format"),
        ("sound", 7, "no audio format"),
        ("../../etc", "wav", "no captions"),
        (None, "wav", "no captions"),
    ],
)
def test_an_unknown_format_is_refused(page, what, name, said) -> None:
    speak(page)
    shown, path = page.handlers.download(VISITOR, event(what=what, format=name))
    assert path is None
    assert said in shown["alert"][0]


def test_a_download_without_a_take(page) -> None:
    shown, path = page.handlers.download(VISITOR, event(what="sound", format="wav"))
    assert path is None
    assert "Nothing was spoken yet" in shown["alert"][0]


def test_a_disk_that_is_full_while_a_download_is_written(page, monkeypatch, tmp_path) -> None:
    speak(page)

    def full(*_args, **_named) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    shown, path = page.handlers.download(VISITOR, event(what="srt", format="wav"))
    assert path is None
    assert "No space left" in shown["alert"][0]


def test_a_dropped_file_fills_the_text_or_is_refused(page) -> None:
    text, _ = page.handlers.read_file(VISITOR, "Grüße.".encode("utf-16"))
    assert text == "Grüße."
    kept, shown = page.handlers.read_file(VISITOR, b"\x89PNG\r\n\x1a\n\0\0\0")
    assert not isinstance(kept, str)
    assert "no plain text" in shown["alert"][0]


# choices


def test_a_starter_voice_brings_its_controls_and_leaves_the_others(page) -> None:
    assert by_name(page, page.handlers.choose_voice("tone", "low", "")) == {"tone.frequency": 110}
    assert by_name(page, page.handlers.choose_voice("tone", "sine", "")) == {"tone.frequency": 440}


def test_what_a_voice_does_not_have_is_hidden_and_not_sent(page, studio, monkeypatch) -> None:
    has = {"sine": {"frequency", "speed"}, "square": {"frequency"}}
    engine = studio.engine("tone")
    monkeypatch.setattr(engine, "controls_of", has.__getitem__, raising=False)

    def visible(outputs) -> dict:
        found = zip(page.names, outputs[-len(page.names) :], strict=True)
        return {name: each["visible"] for name, each in found if name.startswith("tone.")}

    chosen = page.handlers.choose_voice("tone", "square", "")
    assert visible(chosen) == {"tone.frequency": True, "tone.speed": False}
    for back in (
        page.handlers.choose_voice("tone", "low", ""),  # the starter voice is a sine
        page.handlers.choose_engine("tone"),
        page.handlers.apply_preset("tone", "sine", "slow"),
    ):
        assert visible(back) == {"tone.frequency": True, "tone.speed": True}
    set_before, _ = speak(page, voice="square", language="de", tone_speed=1e9)
    assert set_before["state"] == view.DONE, set_before["alert"]


def test_a_preset_sets_every_control_and_the_reset_takes_it_back(page) -> None:
    language, voice, *_ = outputs = page.handlers.apply_preset("tone", "low", "slow")
    assert by_name(page, outputs) == {"tone.frequency": 110, "tone.speed": 0.5}
    assert not isinstance(language, str)
    language, voice, *_ = outputs = page.handlers.apply_preset("tone", "low", "german")
    assert (language, voice.value) == ("de", "square")
    assert by_name(page, outputs) == {"tone.frequency": 440, "tone.speed": 2.0}
    outputs = page.handlers.apply_preset("tone", "sine", "")
    assert by_name(page, outputs) == {"tone.frequency": 440, "tone.speed": 1.0}


def test_a_language_offers_its_voices_and_keeps_one_that_fits(page) -> None:
    voice, *_ = page.handlers.choose_language("tone", "de", "sine", "")
    assert (voice.value, [value for _, value in voice.choices]) == ("square", ["square"])
    voice, *_ = page.handlers.choose_language("tone", "en", "sine", "")
    assert (voice.value, [value for _, value in voice.choices]) == ("sine", ["low", "sine"])


def test_another_engine_brings_its_own_choices_and_controls(page) -> None:
    outputs = page.handlers.choose_engine("espeak")
    language, voice, device, preset = outputs[:4]
    assert language.value == "en"
    assert voice.value == "en-us"
    assert device.choices[0][1] == preset.choices[0][1] or device.value == choices.AUTO_DEVICE
    columns = outputs[4 : 4 + len(page.groups)]
    shown = {g.engine: c.visible for g, c in zip(page.groups, columns, strict=True)}
    assert shown == {name: name == "espeak" for name in registry.names()}
    changed = by_name(page, outputs)
    assert changed and all(name.startswith("espeak.") for name in changed)


def test_examples_choose_a_voice_that_speaks_them(page) -> None:
    german = next(i for i, example in enumerate(EXAMPLES) if example.language == "de")
    text, language, voice, *_ = page.handlers.example(event(number=german), "tone", "")
    assert (text, language, voice.value) == (EXAMPLES[german].text, "de", "square")
    russian = next(i for i, example in enumerate(EXAMPLES) if example.language == "ru")
    text, language, *_ = page.handlers.example(event(number=russian), "tone", "")
    assert text == EXAMPLES[russian].text
    assert not isinstance(language, str), "no voice speaks it: the choice stays"


def test_every_example_has_a_voice_by_default(studio) -> None:
    offered = {primary for _, primary in choices.languages(studio.voices("espeak"))}
    assert {example.language for example in EXAMPLES} <= offered


def test_devices_are_those_that_are_here_and_that_the_engine_uses(studio) -> None:
    capability = studio.engine("tone").capability
    offered = choices.device_choices(capability, titles=True)
    assert [value for _, value in offered] == [choices.AUTO_DEVICE, "cpu"]
    assert offered[1][0].startswith("cpu – ")
    assert choices.device_choices(capability, titles=False)[1] == ("cpu", "cpu")


def test_unlisted_variants_of_a_voice_may_be_typed(page) -> None:
    shown, _ = speak(page, engine="espeak", voice="en-us+f3", text="Hello there.")
    assert shown["state"] == view.DONE, shown["alert"]


# a voice that was made up


@pytest.fixture
def making(page, studio, monkeypatch):
    """The page with an engine that makes voices up."""
    fakes.install(monkeypatch, fakes.MakingEngine)
    return page


def test_a_voice_that_was_made_up_is_kept_by_name_and_chosen(making, studio) -> None:
    shown, _ = speak(making)
    assert (shown["made"], shown["notes"]) == ("sine.v-1", ())
    shown, *rest = making.handlers.keep(VISITOR, event(name=" Nadia "), "tone", "")
    assert (shown["state"], shown["made"], shown["alert"]) == (view.DONE, "", ())
    assert shown["take"] and "Nadia" in shown["notes"][0]
    language, voice = rest[:2]
    assert (language, voice.value) == ("en", "nadia")
    assert ("Nadia", "nadia") in [tuple(choice) for choice in voice.choices]
    assert len(rest) == 2 + len(making.names)
    assert studio.plan(SpeechRequest("x", voice="nadia")).voice.id == "sine.v-1"
    assert speak(making, voice="nadia")[0]["made"] == ""
    assert speak(making)[0]["made"] == "", "it has a name already"
    assert (
        "There is no voice to keep."
        in making.handlers.keep(VISITOR, event(name="Bob"), "tone", "")[0]["alert"]
    )


@pytest.mark.parametrize("given", [{"name": ""}, {"name": "x" * 61}, {"name": 7}, {}, None])
def test_a_name_that_does_not_do_leaves_the_voice_to_be_kept(making, studio, given) -> None:
    speak(making)
    shown, *rest = making.handlers.keep(VISITOR, SimpleNamespace(_data=given), "tone", "")
    assert shown["state"] == view.FAILED and shown["alert"] and shown["made"] == "sine.v-1"
    assert len(rest) == 2 + len(making.names) and studio.kept.voices() == ()


def test_on_a_shared_machine_the_id_is_told_instead(making, studio) -> None:
    object.__setattr__(studio.settings, "shared", True)
    shown, _ = speak(making)
    assert shown["made"] == "" and shown["notes"] == ("This voice can be had again as sine.v-1.",)


def test_voices_that_were_let_go_elsewhere_leave_the_list(making, studio) -> None:
    kept.keep(studio, "Nadia", "square", language="de")
    listed = [value for _, value in making.handlers.look_again("tone", "de")["choices"]]
    assert listed == ["nadia", "square"]
    kept.forget(studio, "Nadia")
    assert making.handlers.look_again("tone", "de")["choices"] == [("Square", "square")]


def test_a_gender_is_said_once() -> None:
    voices = [
        Voice("a", "Spark · female", "tone", (), "female"),
        Voice("b", "Spark · male", "tone", (), "male"),
        Voice("c", "Nadia", "tone", (), "female"),
    ]
    labels = [label for label, _ in choices.voices(voices, "en")]
    assert labels == ["Spark · female", "Spark · male", "Nadia · female"]
