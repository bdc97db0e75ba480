"""Voices that are kept under a name: what is written, what is refused, what is left out."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.api import SpeechRequest
from engines.errors import (
    InvalidRequest,
    StorageError,
    UnknownEngine,
    UnknownLanguage,
    UnknownVoice,
)
from studio import kept
from studio.models.errors import NotAllowedHere
from studio.offered import offered
from studio.presets import Presets, StarterVoice
from studio.settings import Settings
from studio.studio import Studio
from studio.voices import files
from studio.voices.errors import BadVoiceField
from tests import fakes

NOVA = StarterVoice("clara", "Clara", "", "tone", "sine", "en", aliases=("nova",))
OWN = {
    "id": "ann",
    "name": "Ann",
    "description": "",
    "engine": "tone",
    "voice": "sine",
    "language": "en-US",
}


@pytest.fixture(params=[False])
def studio(request, monkeypatch, tmp_path) -> Iterator[Studio]:
    fakes.install(monkeypatch)
    settings = Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", shared=request.param)
    studio = Studio(settings)
    studio.shipped = Presets(voices=(NOVA,))
    studio.kept = kept.KeptVoices(folder(studio), studio.shipped)
    yield studio
    studio.close()


def folder(studio: Studio) -> Path:
    return studio.settings.own_presets_dir / "voices"


def again(studio: Studio) -> tuple[StarterVoice, ...]:
    """What another run would find."""
    return kept.KeptVoices(folder(studio), studio.shipped).voices()


def put(studio: Studio, name: str, text: str) -> None:
    folder(studio).mkdir(parents=True, exist_ok=True)
    (folder(studio) / name).write_text(text, "utf-8")


# keeping


def test_a_kept_voice_speaks_at_once_and_in_the_next_run(studio: Studio) -> None:
    voice = kept.keep(studio, "  Zoë  the\tGreat ", "square")
    assert (voice.id, voice.name, voice.language) == ("zoe-the-great", "Zoë the Great", "de")
    assert again(studio) == (voice,)
    plan = studio.plan(SpeechRequest("Hello.", voice="zoe-the-great"))
    assert (plan.engine, plan.voice.id) == ("tone", "square")
    assert [one.id for one in offered(studio, "", "tone")][:2] == ["clara", "zoe-the-great"]


def test_what_another_program_keeps_is_seen(studio: Studio) -> None:
    assert studio.kept.voices() == ()
    other = kept.KeptVoices(folder(studio), studio.shipped)
    other.add({name: value for name, value in OWN.items() if name != "id"}, ())
    assert [voice.id for voice in studio.kept.voices()] == ["ann"]
    other.remove("ann")
    assert studio.kept.voices() == ()


def test_the_file_is_named_by_the_program_whatever_the_name_is(studio: Studio) -> None:
    names = ("../../evil", "con", "王", "0123456789abcdef", "sine", "C:\\x|?*", "a" * 60)
    voices = [kept.keep(studio, name, "sine") for name in names]
    ids = ["evil", "con", "voice", "0123456789abcdef-2", "sine-2", "c-x", "a" * kept.SLUG]
    assert [voice.id for voice in voices] == ids
    assert {f.name for f in folder(studio).iterdir()} == {f"kept-{one}.json" for one in ids}
    assert {voice.name for voice in again(studio)} == set(names)
    assert list(studio.settings.data_dir.parent.glob("evil*")) == []


def test_another_persons_file_is_never_written_over(studio: Studio) -> None:
    put(studio, "kept-bob.json", "mine")
    assert kept.keep(studio, "Bob", "sine").id == "bob-2"
    assert (folder(studio) / "kept-bob.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", BadVoiceField),
        (" \t\n", BadVoiceField),
        ("\u200d", BadVoiceField),
        ("a\x00b", BadVoiceField),
        ("a\x1b[31m", BadVoiceField),
        ("\u202eevil", BadVoiceField),
        ("\ud800", BadVoiceField),
        ("a" * 61, BadVoiceField),
        ("a" * 1_000_000, BadVoiceField),
        ("CLARA", kept.NameTaken),
        ("Nova", kept.NameTaken),
        ("ÁNN", kept.NameTaken),
    ],
)
def test_a_name_that_does_not_do_is_refused(studio: Studio, name: str, error: type) -> None:
    put(studio, "ann.json", json.dumps(OWN))
    with pytest.raises(error) as caught:
        kept.keep(studio, name, "sine")
    assert caught.value.param == "name" and len(str(caught.value)) < 300
    assert [file.name for file in folder(studio).iterdir()] == ["ann.json"]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"voice_id": "cat"}, UnknownVoice),
        ({"voice_id": ""}, UnknownVoice),
        ({"voice_id": "clara"}, UnknownVoice),
        ({"voice_id": "../sine"}, UnknownVoice),
        ({"voice_id": "sine", "engine": "none"}, UnknownEngine),
        ({"voice_id": "sine", "engine": "espeak"}, UnknownVoice),
        ({"voice_id": "sine", "language": "de"}, UnknownLanguage),
    ],
)
def test_what_is_not_there_is_not_kept(studio: Studio, asked: dict, error: type) -> None:
    with pytest.raises(error):
        kept.keep(studio, "Ann", **asked)
    assert not folder(studio).exists()


def test_a_full_disk_leaves_nothing_behind(studio: Studio, monkeypatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        kept.keep(studio, "Ann", "sine")
    assert list(folder(studio).iterdir()) == [] and studio.kept.voices() == ()


@pytest.mark.parametrize("studio", [True], indirect=True)
def test_a_shared_machine_keeps_nothing(studio: Studio) -> None:
    put(studio, "ann.json", json.dumps(OWN))
    with pytest.raises(NotAllowedHere):
        kept.keep(studio, "Bob", "sine")
    with pytest.raises(NotAllowedHere):
        kept.forget(studio, "Ann")
    assert [voice.id for voice in studio.kept.voices()] == ["ann"]


# letting go


@pytest.mark.parametrize("given", ["zoe", "Zoë", " ZOE "])
def test_a_voice_is_let_go_by_name_or_id(studio: Studio, given: str) -> None:
    voice = kept.keep(studio, "Zoë", "sine")
    assert kept.forget(studio, given) == voice
    assert studio.kept.voices() == again(studio) == ()
    assert kept.keep(studio, "Zoë", "square").id == "zoe"


@pytest.mark.parametrize("given", ["", "clara", "nova", "sine", "../ann", "\ud800"])
def test_only_what_is_kept_is_let_go(studio: Studio, given: str) -> None:
    kept.keep(studio, "Ann", "sine")
    with pytest.raises(kept.NoKeptVoice, match="Ann") as caught:
        kept.forget(studio, given)
    assert isinstance(caught.value, InvalidRequest)
    assert len(studio.kept.voices()) == 1


# files that are broken


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1: is no JSON"),
        (json.dumps({**OWN, "id": "x", "gender": "cat"}, indent=1), "line 8: gender"),
        (json.dumps({**OWN, "id": "nova"}), "the id 'nova' stands in the presets of the program"),
        (json.dumps({**OWN, "engine": "none"}), "There is no engine 'none'"),
        (json.dumps({**OWN, "controls": {"speed": 1}}).replace("1}", "1" * 9999 + "}"), "is no"),
        (json.dumps({**OWN, "name": "\ud800"}), "half a character"),
    ],
)
def test_a_broken_file_is_told_and_the_others_load(
    studio: Studio, text: str, said: str, caplog
) -> None:
    put(studio, "a.json", text)
    put(studio, "b.json", json.dumps({**OWN, "id": "bob"}))
    with caplog.at_level(logging.WARNING, "vivavoce.studio"):
        assert [voice.id for voice in studio.kept.voices()] == ["bob"]
    (fault,) = studio.kept.faults()
    assert said in fault.given and str(folder(studio) / "a.json") in fault.given
    assert len(caplog.messages) == 1 and said in caplog.messages[0]
    put(studio, "a.json", json.dumps(OWN))
    assert [voice.id for voice in studio.kept.voices()] == ["ann", "bob"]
    assert studio.kept.faults() == ()


def test_a_voice_of_an_engine_without_voices_is_not_listed(studio: Studio, monkeypatch) -> None:
    kept.keep(studio, "Ann", "sine")
    monkeypatch.setattr(type(studio.engine("tone")), "voices", lambda _: ())
    assert studio.voices("tone") == offered(studio, "", "tone") == ()
