"""The Voices tab: a clip is judged, agreed to and kept; voices are found, heard, taken along."""

from __future__ import annotations

import base64
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import soundfile

from studio import speaker
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes, voice_helpers
from tests.servers import wait_until
from tests.unit.reference_clips import RATE, speech, to_file, white
from ui import voices_clip, voices_view
from ui.voices_clip import Clips
from ui.voices_handlers import LISTED, Lists
from ui.voices_visits import Visits

ME = SimpleNamespace(session_hash="me")
OTHER = SimpleNamespace(session_hash="other")
FORM = ("Ann", "en-GB", "warm, narrator", "Some words.", "Ann Speaker", "Reading aloud", True)


def event(**data: Any) -> SimpleNamespace:
    return SimpleNamespace(_data=data)


WHOSE = pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"], indirect=True)


@pytest.fixture
def shared(request) -> bool:
    return getattr(request, "param", False)


@pytest.fixture
def studio(shared, monkeypatch, tmp_path) -> Iterator[Studio]:
    def embed(samples, rate, *, memory=None, cancel=None):
        return voice_helpers.embed(samples, rate, cancel)

    fakes.install(monkeypatch)
    monkeypatch.setattr(speaker, "embed", embed)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    (tmp_path / "gradio").mkdir()
    studio = Studio(
        Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", workers=1, shared=shared)
    )
    yield studio
    studio.close()


@pytest.fixture
def visits() -> Visits:
    return Visits()


@pytest.fixture
def tracked() -> list[str]:
    return []


@pytest.fixture
def lists(studio, visits, tracked) -> Lists:
    return Lists(studio, visits, tracked.append)


@pytest.fixture
def clips(studio, visits, lists) -> Clips:
    return Clips(studio, visits, lists)


@pytest.fixture
def upload(tmp_path):
    """Gives the path of some bytes as Gradio would after an upload."""

    def uploaded(data: bytes, name: str = "clip") -> str:
        path = tmp_path / "gradio" / name
        path.write_bytes(data)
        return str(path)

    return uploaded


@pytest.fixture
def clip(upload) -> str:
    return upload(to_file(speech()))


@pytest.fixture
def saved(clips, lists, clip) -> str:
    """The id of a voice of mine."""
    list(clips.take_clip(ME, clip))
    return clips.save(ME, *FORM)[3]["view"]["open"]


def take(clips: Clips, path: str, visitor: Any = ME) -> tuple[dict[str, Any], Any]:
    return list(clips.take_clip(visitor, path))[-1]


def names(shown: dict[str, Any]) -> list[str]:
    return [part.split("<")[0] for part in shown["panel"].split("<span class='vv-name'>")[1:]]


def heard(shown: dict[str, Any]) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(base64.b64decode(shown["data"])), dtype="float32")


# a clip


def test_a_clip_is_judged_and_the_form_appears(clips, visits, clip) -> None:
    shown = list(clips.take_clip(ME, clip))
    assert [one[0]["said"] for one in shown] == [
        "Reading the clip …",
        "Looking for speech …",
        "The clip is ready.",
        "Comparing voices …",
        "The clip is ready.",
    ]
    panel, form = shown[-1]
    assert panel["state"] == "ready"
    assert "9.4 s of speech, a good length." in panel["report"]
    assert "<svg" in panel["report"] and "Waveform of 9.6 s" in panel["report"]
    assert form.visible is True
    assert visits.of("me").draft is not None


def test_an_upload_does_not_stay_on_the_disk(clips, clip, upload, tmp_path) -> None:
    take(clips, clip)
    assert not Path(clip).exists()
    refused = upload(b"no sound at all")
    take(clips, refused)
    assert not Path(refused).exists()
    assert not (tmp_path / "voices").exists(), "nobody agreed to anything yet"


def test_a_path_that_was_not_uploaded_is_neither_read_nor_deleted(clips, lists, tmp_path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(to_file(speech()))
    panel, form = take(clips, str(secret))
    assert panel["alert"][0] == "The file was not uploaded here."
    assert form.visible is False
    with pytest.raises(gr.Error, match="not uploaded"):
        lists.take_in(ME, str(tmp_path / "gradio" / ".." / "secret.wav"))
    assert secret.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Dear Sir or Madam,", "The file is a text, not a recording."),
        (b"", "The file is empty."),
        (to_file(np.zeros(RATE)), "The clip is silent from its beginning to its end (1.0 s)."),
        (to_file(white(3 * RATE, -30)), "Nobody speaks in the clip (3.0 s)."),
    ],
)
def test_what_is_no_clip_is_refused_in_words(clips, visits, upload, data, message) -> None:
    panel, form = take(clips, upload(data))
    assert panel["state"] == "failed"
    assert panel["alert"][0] == message
    assert form.visible is False
    assert visits.of("me").draft is None


def test_a_clip_that_is_too_large_is_not_even_read(studio, clips, upload, monkeypatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    path = upload(b"")
    with open(path, "wb") as file:  # noqa: PTH123 (a file with a hole takes no room)
        file.truncate(studio.settings.max_upload + 1)
    panel, _ = take(clips, path)
    assert "at most 209,715,200" in " ".join(panel["alert"])


def test_a_clip_that_cannot_be_used_is_shown_but_not_kept(clips, upload) -> None:
    panel, form = take(clips, upload(to_file(speech()[: RATE // 2])))
    assert panel["state"] == "ready"
    assert panel["said"] == "This clip cannot be used."
    assert "vv-bad" in panel["report"]
    assert form.visible is False
    message = clips.save(ME, *FORM)[2]
    assert "Too short" in message


def test_noise_is_reduced_and_comes_back(clips, visits, upload) -> None:
    take(clips, upload(to_file(speech() + white(speech().size, -36))))
    noisy = visits.of("me").draft.prepared
    panel, _ = list(clips.denoise(ME, event(on=True)))[-1]
    assert "checked" in panel["report"]
    assert "The background was loud" in panel["report"]
    assert visits.of("me").draft.prepared.sha256 != noisy.sha256
    panel, _ = list(clips.denoise(ME, event(on=False)))[-1]
    assert "checked" not in panel["report"]
    assert visits.of("me").draft.prepared.sha256 == noisy.sha256


def test_the_clip_is_heard_as_it_was_and_as_it_is_kept(clips, upload) -> None:
    take(clips, upload(to_file(np.concatenate([np.zeros(3 * RATE), speech()]))))
    original, rate = heard(clips.listen(ME, event(which="original")))
    cleaned, _ = heard(clips.listen(ME, event(which="cleaned")))
    assert rate == RATE
    assert original.size == speech().size + 3 * RATE
    assert cleaned.size < speech().size
    again = clips.listen(ME, event(which="cleaned"))
    assert again["key"] != clips.listen(ME, event(which="cleaned"))["key"]


def test_a_long_clip_is_sent_compressed(clips, upload) -> None:
    take(clips, upload(to_file(np.tile(speech(), 8))))
    shown = clips.listen(ME, event(which="original"))
    assert shown["mime"] == "audio/mpeg"
    assert len(shown["data"]) < 1_500_000
    assert heard(shown)[0].size == pytest.approx(8 * speech().size, rel=0.01)


def test_starting_over_lets_go_of_the_clip(clips, visits, clip) -> None:
    take(clips, clip)
    panel, form = clips.discard(ME)
    assert (panel["state"], form.visible) == ("empty", False)
    assert visits.of("me").draft is None
    assert "gone" in clips.listen(ME, event(which="cleaned"))["alert"][0]
    assert list(clips.denoise(ME, event(on=True)))[-1][0]["state"] == "empty"


def test_another_clip_ends_the_work_on_the_first(clips, visits, clip, upload, monkeypatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    original = voices_clip.decode

    def slow(data, *, cancel):
        if not begun.is_set():
            begun.set()
            go_on.wait(20)
            cancel.raise_if_set()
        return original(data, cancel=cancel)

    monkeypatch.setattr(voices_clip, "decode", slow)
    first: list[Any] = []
    working = threading.Thread(target=lambda: first.extend(clips.take_clip(ME, clip)))
    working.start()
    assert begun.wait(20)
    second = take(clips, upload(to_file(speech("lj_2")), "second"))
    go_on.set()
    working.join(20)
    assert [one[0]["state"] for one in first] == ["working"]
    assert second[0]["state"] == "ready"
    assert visits.of("me").draft.prepared.original.seconds == pytest.approx(9.04, abs=0.01)


def test_whoever_leaves_stops_the_work(clips, visits, clip) -> None:
    following = clips.take_clip(ME, clip)
    next(following)
    token = visits.of("me").token
    following.close()
    assert token.is_set
    take_two = clips.take_clip(OTHER, clip)
    visits.leave("other")
    assert visits.of("other").draft is None
    take_two.close()


def test_clips_that_wait_take_no_more_memory_than_allowed(clips, upload, studio, lists) -> None:
    few = Visits(most_bytes=3_000_000)  # of one clip or so
    clips = Clips(studio, few, lists)
    take(clips, upload(to_file(speech())))
    take(clips, upload(to_file(speech("lj_2"))), OTHER)
    assert few.of("me").draft is None
    assert few.of("other").draft is not None


# keeping it


@WHOSE
def test_a_clip_becomes_a_voice(studio, clips, visits, clip, shared) -> None:
    take(clips, clip)
    prepared = visits.of("me").draft.prepared
    panel, form, message, shown, *fields = clips.save(ME, *FORM)
    assert (panel["state"], panel["said"]) == ("empty", "“Ann” is saved.")
    assert form.visible is False
    assert message == ""
    assert names(shown) == ["Ann"]
    assert fields[0] == "" and fields[-1] is False, "the next voice needs a consent of its own"
    assert visits.of("me").draft is None
    owner = shown["view"] and voices_clip.owner_of(studio, ME)
    assert bool(owner) is shared
    voice = studio.voices_library.get(owner, shown["view"]["open"])
    assert (voice.name, voice.language, voice.tags) == ("Ann", "en-GB", ("warm", "narrator"))
    assert voice.clips[0].transcript == "Some words."
    assert voice.clips[0].sha256 == prepared.sha256
    consent = voice.consents[0]
    assert (consent.who, consent.purpose) == ("Ann Speaker", "Reading aloud")
    assert consent.clip_hash == prepared.sha256
    assert studio.voices_library.clip_wav(owner, voice.id, voice.clips[0].id) == prepared.wav()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, "", "“Name” is empty."),
        (0, "  ", "“Name” is empty."),
        (0, "n" * 10_000, "name"),
        (1, "../../x", "language"),
        (4, "", "“Who speaks in the clip” is empty."),
        (5, " ", "“What the voice may be used for” is empty."),
        (6, False, "the box is not ticked"),
        (6, "yes", "the box is not ticked"),
        (6, None, "the box is not ticked"),
    ],
)
def test_nothing_is_stored_before_all_is_given(
    studio, clips, visits, clip, tmp_path, place, value, message
) -> None:
    take(clips, clip)
    form = list(FORM)
    form[place] = value
    outputs = clips.save(ME, *form)
    assert message in outputs[2]
    assert "role='alert'" in outputs[2]
    assert visits.of("me").draft is not None, "the clip stays for another try"
    assert studio.voices_library.list(voices_clip.owner_of(studio, ME)).total == 0
    assert not list((tmp_path / "voices").rglob("*.wav"))


def test_without_a_clip_nothing_is_saved(clips) -> None:
    assert "There is no clip." in clips.save(ME, *FORM)[2]


def test_a_voice_named_like_a_path_or_like_html_is_just_that(clips, lists, clip, tmp_path) -> None:
    take(clips, clip)
    shown = clips.save(ME, "../../<b>x</b>", *FORM[1:])[3]
    assert names(shown) == ["../../&lt;b&gt;x&lt;/b&gt;"]
    assert "<b>x" not in shown["panel"]
    exported = Path(lists.export(ME, event(voice=shown["view"]["open"])))
    assert exported.name == "b-x-b.voice.zip"
    assert not (tmp_path.parent / "x").exists()


# the list


def test_without_voices_it_says_so(lists) -> None:
    assert "No voices yet" in lists.open(ME)["panel"]
    assert "No voice has these words." in lists.look(ME, event(query="Ann"))["panel"]


def test_voices_are_found_by_their_words(clips, lists, clip, upload, saved) -> None:
    take(clips, upload(to_file(speech("lj_2"))))
    clips.save(ME, "Zoë", "de", "", "Guten Tag", *FORM[4:])
    assert names(lists.open(ME)) == ["Ann", "Zoë"]
    assert names(lists.look(ME, event(query="zoe"))) == ["Zoë"]
    assert names(lists.look(ME, event(query="NARRATOR"))) == ["Ann"]
    assert "1 voice found" in lists.look(ME, event(query="guten"))["panel"]


@pytest.mark.parametrize(
    "sent",
    [None, [], "x", {"query": 7, "limit": "all", "open": {}, "like": 1}, {"limit": True}],
)
def test_whatever_is_sent_gives_the_list(lists, saved, sent) -> None:
    shown = lists.look(ME, SimpleNamespace(_data=sent))
    assert names(shown) == ["Ann"]
    assert shown["view"] == {"query": "", "limit": LISTED, "open": "", "like": False}


def test_a_long_list_is_shown_in_parts(studio, lists, saved) -> None:
    owner = voices_clip.owner_of(studio, ME)
    for number in range(LISTED + 3):
        clip = voice_helpers.clip(200 + number)
        studio.voices_library.add(owner, f"V{number:03}", "", [], [clip], voice_helpers.CONSENT)
    shown = lists.open(ME)
    assert len(names(shown)) == LISTED
    assert f"{LISTED} of {LISTED + 4} voices" in shown["panel"]
    assert "data-do='more'" in shown["panel"]
    shown = lists.look(ME, event(limit=2 * LISTED))
    assert len(names(shown)) == LISTED + 4
    assert "data-do='more'" not in shown["panel"]


def test_an_opened_voice_shows_clips_and_consent(lists, saved) -> None:
    closed = lists.open(ME)["panel"]
    panel = lists.look(ME, event(open=saved))["panel"]
    assert "Ann Speaker agreed on" in panel
    assert "Some words." in panel
    assert "Ann Speaker" not in closed
    assert "aria-expanded='true'" in panel
    assert names(lists.look(ME, event(open="0" * 16))) == ["Ann"], "one that is gone"


def test_a_voice_gets_another_name(lists, saved) -> None:
    shown = lists.rename(ME, event(voice=saved, name="Anna", open=saved))
    assert names(shown) == ["Anna"]
    assert shown["view"]["open"] == saved
    with pytest.raises(gr.Error, match="name"):
        lists.rename(ME, event(voice=saved, name=""))
    assert names(lists.open(ME)) == ["Anna"]


def test_a_deleted_voice_is_gone_with_its_files(lists, saved, tmp_path) -> None:
    assert list((tmp_path / "voices").rglob("*.wav"))
    assert "No voices yet" in lists.remove(ME, event(voice=saved, open=saved))["panel"]
    assert not list((tmp_path / "voices").rglob("*.wav"))
    with pytest.raises(gr.Error):
        lists.remove(ME, event(voice=saved))


def test_a_voice_is_taken_along_and_brought_back(lists, saved, tracked, upload) -> None:
    path = Path(lists.export(ME, event(voice=saved)))
    assert path.name == "ann.voice.zip"
    assert tracked == [str(path)]
    data = path.read_bytes()
    lists.remove(ME, event(voice=saved))
    brought = upload(data)
    shown = lists.take_in(ME, brought)
    assert names(shown) == ["Ann"]
    assert "Ann Speaker agreed on" in shown["panel"]
    assert not Path(brought).exists()


def test_what_is_no_voice_file_is_refused_and_the_list_stays(lists, saved, upload) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../evil", b"x")
    for data in (out.getvalue(), b"", b"no zip"):
        path = upload(data)
        with pytest.raises(gr.Error, match="voice file"):
            lists.take_in(ME, path)
        assert not Path(path).exists()
    assert names(lists.open(ME)) == ["Ann"]


def test_voices_that_sound_like_a_clip_come_in_order(studio, lists, clips, clip, saved) -> None:
    owner = voices_clip.owner_of(studio, ME)
    tone = voice_helpers.clip(2000)
    studio.voices_library.add(owner, "Tone", "", [], [tone], voice_helpers.CONSENT)
    assert "There is no clip to compare with." in lists.like(ME)["panel"]
    take(clips, clip_again(clip))
    shown = lists.like(ME)
    assert names(shown) == ["Ann", "Tone"]
    assert "100% alike" in shown["panel"]
    assert shown["view"]["like"] is True
    assert "% alike" not in lists.look(ME, event(like=False))["panel"]


def clip_again(path: str) -> str:
    Path(path).write_bytes(to_file(speech()))
    return path


@WHOSE
def test_others_see_and_touch_nothing_of_mine(lists, saved, shared) -> None:
    if not shared:
        assert names(lists.open(OTHER)) == ["Ann"], "on one's own machine there is one owner"
        return
    assert "No voices yet" in lists.open(OTHER)["panel"]
    assert lists.play(OTHER, event(voice=saved))["data"] == ""
    for act in (lists.remove, lists.export):
        with pytest.raises(gr.Error):
            act(OTHER, event(voice=saved))
    with pytest.raises(gr.Error):
        lists.rename(OTHER, event(voice=saved, name="Mine"))
    said = list(lists.speak(OTHER, event(voice=saved, engine="tone", text="Hello.")))
    assert said[-1]["alert"] and not said[-1]["data"]
    assert names(lists.open(ME)) == ["Ann"]


@WHOSE
def test_a_damaged_library_is_told_and_left(studio, lists, shared, tmp_path) -> None:
    (tmp_path / "voices").mkdir(exist_ok=True)
    (tmp_path / "voices" / "voices.sqlite").write_bytes(b"no database" * 1000)
    panel = lists.open(ME)["panel"]
    assert "role='alert'" in panel
    assert ("voices.sqlite" in panel) is not shared, "nothing of the host is told to strangers"
    assert (tmp_path / "voices" / "voices.sqlite").read_bytes() == b"no database" * 1000


# sound


def test_a_voice_and_each_clip_of_it_are_played(studio, lists, saved) -> None:
    voice = studio.voices_library.get(voices_clip.owner_of(studio, ME), saved)
    first = lists.play(ME, event(voice=saved))
    assert first["title"] == "Ann"
    assert heard(first)[0].size == pytest.approx(voice.clips[0].seconds * RATE, abs=1)
    assert lists.play(ME, event(voice=saved, clip=voice.clips[0].id))["data"] == first["data"]
    assert lists.play(ME, event(voice=saved, clip="no such clip"))["alert"]
    assert lists.play(ME, event())["alert"]


def test_without_an_engine_that_clones_it_says_so_kindly(lists, saved) -> None:
    panel = lists.look(ME, event(open=saved))["panel"]
    assert "No engine that is installed here can speak with a voice of your own yet." in panel
    assert "data-do='speak'" not in panel
    said = list(lists.speak(ME, event(voice=saved, engine="tone", text="Hello.")))
    assert "cannot speak with" in " ".join(said[-1]["alert"])


def test_a_voice_is_tried_with_every_engine_that_clones(lists, saved, monkeypatch) -> None:
    cloner = fakes.install(monkeypatch, fakes.CloningEngine)
    panel = lists.look(ME, event(open=saved))["panel"]
    assert "data-engine='tone'" in panel
    assert "No engine" not in panel
    asked = event(voice=saved, engine="tone", text="One two three four.")
    waiting, spoken = list(lists.speak(ME, asked))
    assert waiting["title"] == "Ann · Cloning tone"
    assert waiting["said"] == "Speaking …"
    samples, rate = heard(spoken)
    assert rate == fakes.RATE
    assert samples.size > 0.5 * rate and np.abs(samples).max() > 0.01
    assert cloner.conditioned == 1
    assert list(lists.speak(ME, event(voice=saved, engine="tone", text="")))[-1]["alert"]


def test_closing_the_player_stops_the_speech(lists, saved, monkeypatch, studio) -> None:
    cloner = fakes.install(monkeypatch, fakes.CloningEngine)
    cloner.gate = threading.Event()
    speaking = lists.speak(ME, event(voice=saved, engine="tone", text="One two."))
    assert next(speaking)["said"] == "Speaking …"
    lists.hush(ME)
    assert list(speaking)[-1]["data"] == ""
    wait_until(lambda: not studio.jobs(), "the end of the job")


@pytest.mark.parametrize(
    ("language", "beginning"),
    [("", voices_view.TRIAL), ("en-GB", voices_view.TRIAL), ("de-AT", "Guten Morgen!")],
)
def test_what_is_said_to_try_a_voice_is_in_its_language(language, beginning) -> None:
    assert voices_view.trial_text(language).startswith(beginning)


@pytest.mark.parametrize("shared", [False, True], indirect=True)
def test_voices_kept_under_a_name_can_be_let_go(lists, studio, shared) -> None:
    values = {"name": "<b>Zoë", "description": "", "engine": "tone", "voice": "sine"}
    studio.kept.add({**values, "language": "en-US"}, ())
    shown = lists.open(ME)
    assert names(shown) == ["&lt;b&gt;Zoë"]
    assert "data-do='forget'" not in shown["panel"] if shared else "forget" in shown["panel"]
    assert names(lists.look(ME, SimpleNamespace(_data={"query": "x"}))) == []
    asked = SimpleNamespace(_data={"voice": "b-zoe"})
    if shared:
        with pytest.raises(gr.Error, match="shared"):
            lists.forget(ME, asked)
        return
    assert names(lists.forget(ME, asked)) == [] and studio.kept.voices() == ()
    for wrong in ({"voice": "b-zoe"}, {"voice": 7}, None):
        with pytest.raises(gr.Error):
            lists.forget(ME, SimpleNamespace(_data=wrong))
