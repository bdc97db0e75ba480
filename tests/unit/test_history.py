"""The history: what is kept of a take, in what order it is found, who sees it, what goes when."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engines.api import CancelToken, Controls, SpeechRequest, Voice
from engines.errors import Cancelled, EngineFailure, InvalidRequest, StorageError
from studio.captions import to_srt
from studio.encode import format_named
from studio.history import History, TakeState, UnknownTake, kept, request_of
from studio.history import sound as sounds
from studio.jobs import CaptionWord, Job, Note, Plan, SentenceDone, SentenceTiming, Sound
from tests.servers import wait_until

RATE = 16_000


class Pitch(Controls):
    pitch: float = 50.0


def job(text: str = "The birch canoe slid.", **given) -> Job:
    """A job whose request was checked, and that nobody works on."""
    voice = given.pop("voice", Voice("sine", "Sine wave", "tone", ("en",)))
    request = SpeechRequest(text, **{"owner": "", "door": "page", **given})
    plan = Plan(request, text, "tone", voice, "en", "cpu", Pitch(pitch=40), 7, RATE)
    return Job(plan, CancelToken())


def noise(seed: int = 0, seconds: float = 0.5) -> np.ndarray:
    drawn = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE))
    return drawn.astype(np.float32)


def as_pcm(samples: np.ndarray) -> bytes:
    return np.rint(samples * 32767).astype("<i2").tobytes()


def made(history: History, text: str = "The birch canoe slid.", seconds: float = 0.1, **given):
    """A finished take with one sentence."""
    recorder = history.begin(job(text, **given))
    recorder.append(noise(seconds=seconds))
    recorder.sentence(SentenceTiming(0, text, 0.0, seconds))
    recorder.end("done")
    return history.find(recorder.id)


def texts(history: History, query: str = "", owner: str = "") -> list[str]:
    return [take.excerpt for take in history.page(owner, query).takes]


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "audio").glob("*/*"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "history"


@pytest.fixture
def history(folder: Path) -> Iterator[History]:
    history = History(folder, tend=False)
    yield history
    history.close()


# what is kept


def test_a_take_is_kept_with_everything_about_it(history) -> None:
    work = job("The birch canoe slid. It slid on.", preset="calm", owner="ann", door="http")
    work.submitted -= 2
    recorder = history.begin(work)
    samples = noise(seconds=1.5)
    word = CaptionWord("birch", 0.2, 0.5)
    for event in (
        Sound(samples[:5000], 0),
        Note("nothing of it"),
        Sound(samples[5000:], 0),
        SentenceDone(SentenceTiming(0, "The birch canoe slid.", 0.0, 0.7, (word,))),
        SentenceDone(SentenceTiming(1, "  ", 0.7, 0.8)),
        SentenceDone(SentenceTiming(2, "It slid on.", 0.8, 1.5)),
    ):
        assert recorder.take_in(event) == ""
    at_work = history.get("ann", recorder.id)
    assert at_work.state is TakeState.UNFINISHED and at_work.frames == 0
    recorder.end("done")
    take = history.get("ann", recorder.id)
    assert take.state is TakeState.DONE
    assert (take.engine, take.voice, take.voice_name) == ("tone", "sine", "Sine wave")
    assert (take.language, take.device, take.seed) == ("en", "cpu", 7)
    assert (take.preset, take.door) == ("calm", "http")
    assert take.controls == {"pitch": 40}
    assert (take.seconds, take.sentences, take.characters) == (1.5, 2, 33)
    assert abs(take.made - time.time()) < 60
    assert 2 <= take.queued <= take.first_sound <= take.whole < 60
    assert (take.error, take.lost, take.pinned, take.similarity) == ("", "", False, None)
    assert history.text(take) == "The birch canoe slid. It slid on."
    assert history.pcm(take, 0, take.frames) == as_pcm(samples)
    timings = history.timings(take)
    assert [timing.text for timing in timings] == ["The birch canoe slid.", "It slid on."]
    assert timings[0].words == (word,)
    assert "It slid on." in to_srt(timings)


def test_a_long_text_is_kept_whole_and_listed_in_short(history) -> None:
    text = "A word. " * 5000
    take = made(history, text)
    assert history.text(take) == text
    assert take.excerpt == text[:300] and take.characters == len(text)


def test_its_file_is_a_wav_that_says_what_it_is(history) -> None:
    take = made(history, "Hello there.")
    path = history.path(take.id)
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE and samples.tobytes() == history.pcm(take, 0, take.frames)
    with soundfile.SoundFile(path) as file:
        assert file.title == "Hello there."
        assert "Synthetic speech" in file.comment
    assert take.bytes == sum(f.stat().st_size for f in path.parent.iterdir())
    assert path.stat().st_mode & 0o077 == 0, "nobody else of this machine reads it"


def test_parts_of_the_sound(history) -> None:
    take = made(history, seconds=0.5)
    whole = history.pcm(take, 0, take.frames)
    assert history.pcm(take, 100, 50) == whole[200:300]
    assert history.pcm(take, take.frames - 10, 50) == whole[-20:], "no tags after the sound"
    assert history.pcm(take, take.frames + 10, 50) == b""
    joined = np.concatenate(list(history.blocks(take)))
    assert as_pcm(joined) == whole
    loudest = history.peaks(take, 4)
    assert len(loudest) == 4 and 0.4 < max(loudest) <= 0.5


@pytest.mark.parametrize("name", ["flac", "wav"])
def test_it_is_exported_in_a_format(history, tmp_path, name) -> None:
    take = made(history)
    path = tmp_path / f"out.{name}"
    history.export(take, format_named(name), path)
    samples, rate = soundfile.read(path, dtype="int16")
    expected = np.frombuffer(history.pcm(take, 0, take.frames), "<i2")
    assert rate == RATE and np.abs(samples.astype(int) - expected).max() <= 1


def test_how_it_ended_is_noted(history) -> None:
    stopped = history.begin(job("Stopped."))
    stopped.append(noise())
    stopped.end("cancelled", Cancelled())
    broken = history.begin(job("Broken."))
    broken.end("failed", EngineFailure("The engine broke.", "", "Try again."))
    nothing = history.begin(job("Nothing of it."))
    nothing.end("cancelled", Cancelled())
    first, second = history.page("").takes
    assert (first.excerpt, first.state, first.seconds) == ("Broken.", TakeState.FAILED, 0)
    assert first.error == "The engine broke. Try again." and first.first_sound is None
    assert (second.state, second.seconds) == (TakeState.CANCELLED, 0.5)
    assert history.pcm(first, 0, 100) == b"" and history.peaks(first, 5) == []
    assert list(history.blocks(first)) == [] and history.timings(first) == []
    with pytest.raises(UnknownTake):
        history.find(nothing.id)


@pytest.mark.parametrize(
    ("which", "door", "expected"),
    [("all", "http", True), ("all", "page", True), ("all", "", False), ("page", "page", True),
     ("page", "http", False), ("page", "", False), ("off", "page", False)],
)  # fmt: skip
def test_which_doors_are_kept(which, door, expected) -> None:
    assert kept(which, door) is expected


def test_the_request_that_makes_it_again(history) -> None:
    take = made(history, "Again.", owner="ann")
    again = request_of(take, history.text(take), door="page")
    assert again == SpeechRequest(
        "Again.", "tone", "sine", "en", "cpu", {"pitch": 40}, 7, owner="ann", door="page"
    )
    cloned = made(history, voice=Voice("cloned-1", "Ann", "tone", (), reference="ann-1"))
    assert request_of(cloned, "x").voice == "ann-1"


def test_takes_are_compared_sample_by_sample(history) -> None:
    def recorded(samples: np.ndarray):
        recorder = history.begin(job())
        recorder.append(samples)
        recorder.end("done")
        return history.find(recorder.id)

    samples = noise(seconds=6)
    other = samples.copy()
    other[80_000] += 0.1
    one, same, later = recorded(samples), recorded(samples), recorded(other)
    assert history.compare(one, same).same
    assert history.compare(one, later).differs_at == 5.0
    assert history.compare(one, recorded(samples[:40_000])).differs_at == 2.5


def test_no_id_looks_like_a_flag(history, monkeypatch) -> None:
    drawn = iter(["-" * 22, "-a" * 11, "a" * 22])
    monkeypatch.setattr("studio.history.history.secrets.token_urlsafe", lambda _: next(drawn))
    assert history.begin(job()).id == "a" * 22


# the list


def test_pages_follow_one_another_newest_first(history) -> None:
    for number in range(7):
        made(history, f"Take {number}.")
    seen, before = [], None
    for _ in range(3):
        page = history.page("", before=before, limit=3)
        seen += [take.excerpt for take in page.takes]
        before = page.before
    assert seen == [f"Take {number}." for number in range(6, -1, -1)]
    assert before is None
    assert history.page("", limit=7).before is None


def test_a_new_take_moves_no_page(history) -> None:
    for number in range(4):
        made(history, f"Take {number}.")
    first = history.page("", limit=2)
    made(history, "Newer.")
    second = history.page("", before=first.before, limit=2)
    assert [take.excerpt for take in second.takes] == ["Take 1.", "Take 0."]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("canoe", ["canoes", "canoe"]),
        ("CANOE slid", ["canoe"]),
        ("slid birch", ["canoe"]),
        ("ano", ["canoes", "canoe"]),
        ("naive", ["naïve"]),
        ("NAÏVE", ["naïve"]),
        ("is", ["naïve"]),
        ("你", ["chinese"]),
        ("世界", ["chinese"]),
        ("界", ["chinese"]),
        ("好世", []),
        ("ванюша", ["russian"]),
        ("sine tone", ["russian", "chinese", "naïve", "canoes", "canoe"]),
        ("zebra", []),
        ("canoe zebra", []),
        ("ca\"noe' OR * NEAR(", []),
        ("canoe-slid", ["canoe"]),
        ('" OR words:"', []),
        ("!?", []),
    ],
)
def test_search(history, query, found) -> None:
    for name, text in {
        "canoe": "The birch canoe slid.",
        "canoes": "Two canoes.",
        "naïve": "He is naïve.",
        "chinese": "你好，世界。",
        "russian": "Здравствуй, Ванюша!",
    }.items():
        made(history, f"{text} #{name}")
    assert [text.rpartition("#")[2] for text in texts(history, query)] == found


def test_search_is_paged_and_keeps_to_the_owner(history) -> None:
    for number in range(5):
        made(history, f"Canoe {number}.", owner="ann")
        made(history, f"Canoe of Bob's {number}.", owner="bob")
    first = history.page("ann", "canoe", limit=3)
    second = history.page("ann", "canoe", before=first.before, limit=3)
    found = [take.excerpt for take in (*first.takes, *second.takes)]
    assert found == [f"Canoe {number}." for number in range(4, -1, -1)]
    assert second.before is None
    assert history.page("", "canoe").takes == ()


def test_what_is_deleted_is_not_found_and_what_comes_later_is(history) -> None:
    gone = made(history, "One canoe.")
    for number in range(4):
        made(history, f"Canoe {number}.")
    assert len(texts(history, "canoe")) == 5
    history.delete("", gone.id)
    assert texts(history, "canoe") == [f"Canoe {number}." for number in (3, 2, 1, 0)]
    made(history, "Canoe 4.")
    assert len(texts(history, "canoe")) == 5


def test_a_search_that_is_too_long(history) -> None:
    with pytest.raises(InvalidRequest, match="201 characters"):
        history.page("", "x" * 201)


def test_a_damaged_index_is_made_anew(folder) -> None:
    history = History(folder, tend=False)
    made(history, "One canoe.")
    assert texts(history, "canoe") == ["One canoe."]
    history.close()
    (folder / "search.sqlite").write_bytes(b"no database at all " * 500)
    for ending in ("-wal", "-shm"):
        (folder / f"search.sqlite{ending}").unlink(missing_ok=True)
    history = History(folder, tend=False)
    assert texts(history, "canoe") == ["One canoe."]
    history.close()


def test_an_index_damaged_in_use_is_told_and_made_anew(folder) -> None:
    history = History(folder, tend=False)
    made(history, "One canoe.")
    assert texts(history, "canoe") == ["One canoe."]
    with sqlite3.connect(folder / "search.sqlite") as broken:
        broken.execute("DELETE FROM found_data")
    history.close()
    history = History(folder, tend=False)
    with pytest.raises(StorageError, match="made anew"):
        history.page("", "canoe")
    assert texts(history, "canoe") == ["One canoe."]
    history.close()


def test_a_damaged_history_is_told_and_left_alone(folder) -> None:
    folder.mkdir()
    path = folder / "history.sqlite"
    path.write_bytes(b"no database at all " * 500)
    with pytest.raises(StorageError, match=r"history\.sqlite"):
        History(folder)
    assert path.read_bytes() == b"no database at all " * 500


# whose


def test_nobody_sees_anothers_takes(history) -> None:
    take = made(history, "Ann's.", owner="ann")
    assert texts(history, owner="ann") == ["Ann's."]
    assert texts(history) == texts(history, owner="bob") == []
    assert (history.count("ann"), history.count("bob")) == (1, 0)
    for act in (history.get, history.delete, lambda o, i: history.pin(o, i, True)):
        with pytest.raises(UnknownTake):
            act("bob", take.id)
    assert history.find(take.id) == take, "who knows the id may have it"
    for wrong in ("", "../../etc/passwd", take.id[:-1], "x" * 10_000, "\0"):
        with pytest.raises(UnknownTake):
            history.find(wrong)


# room


def test_what_is_deleted_leaves_nothing(history, folder) -> None:
    take, other = made(history, "Secret words."), made(history, "Others.")
    history.delete("", take.id)
    assert files(folder) == [f"{other.id}.jsonl", f"{other.id}.wav"]
    assert history.totals().takes == 1
    assert history.totals().bytes == other.bytes
    with pytest.raises(UnknownTake):
        history.text(take)


def test_a_take_deleted_while_it_is_made_leaves_nothing(history, folder) -> None:
    recorder = history.begin(job())
    history.delete("", recorder.id)
    recorder.append(noise())
    recorder.end("done")
    assert files(folder) == [] and texts(history) == []


def test_the_oldest_make_room_but_not_those_pinned_or_in_work(folder) -> None:
    history = History(folder, max_takes=3, tend=False)
    at_work = history.begin(job("At work."))
    pinned = made(history, "Pinned.")
    assert history.pin("", pinned.id, True).pinned
    for number in range(4):
        made(history, f"Take {number}.")
    history._keeper.make_room()
    assert texts(history) == ["Take 3.", "Pinned.", "At work."]
    at_work.end("done")
    history.pin("", pinned.id, False)
    made(history, "Newest.")
    history._keeper.make_room()
    assert texts(history) == ["Newest.", "Take 3.", "Pinned."], "the list is one of age"
    history.close()


def test_bytes_are_limited(folder) -> None:
    history = History(folder, max_bytes=50_000, tend=False)
    for number in range(6):
        made(history, f"Take {number}.", seconds=0.5)
    history._keeper.make_room()
    assert texts(history) == ["Take 5.", "Take 4.", "Take 3."]
    size = sum(file.stat().st_size for file in (folder / "audio").glob("*/*"))
    assert history.totals().bytes == size <= 50_000
    history.close()


def test_room_is_made_by_itself(folder) -> None:
    history = History(folder, max_takes=2)
    for number in range(5):
        made(history, f"Take {number}.")
    wait_until(lambda: history.count("") == 2, "room was made")
    assert texts(history) == ["Take 4.", "Take 3."]
    history.close()
    before = time.monotonic()
    history = History(folder, max_takes=1)
    wait_until(lambda: history.count("") == 1, "room was made at the start")
    history.close()
    assert time.monotonic() - before < 30


def test_files_without_a_take_are_swept(folder) -> None:
    history = History(folder, tend=False)
    take = made(history)
    ours = folder / "audio" / "zz" / "zzzz.wav"
    older = ours.with_name("zyyy.wav")
    ours.parent.mkdir()
    for file in (ours, older):
        file.write_bytes(b"x")
    os.utime(older, (1, 1))  # of a database that was here before
    os.utime(ours, (time.time() + 5, time.time() + 5))
    history._keeper.sweep()
    assert files(folder) == sorted([f"{take.id}.jsonl", f"{take.id}.wav", "zyyy.wav"])
    history.close()


def test_they_are_swept_by_itself_once_the_program_has_come_up(folder, monkeypatch) -> None:
    monkeypatch.setattr("studio.history.retention.SWEEP_AFTER", 0.05)
    stray = folder / "audio" / "zz" / "zzzz.wav"
    stray.parent.mkdir(parents=True)
    history = History(folder)
    stray.write_bytes(b"x")
    os.utime(stray, (time.time() + 5, time.time() + 5))
    wait_until(lambda: not stray.exists(), "it was swept")
    history.close()


def test_what_was_to_be_deleted_when_the_program_ended_is(folder, monkeypatch) -> None:
    history = History(folder, tend=False)
    take = made(history)
    monkeypatch.setattr(sounds, "remove", lambda path: (_ for _ in ()).throw(StorageError("no")))
    with pytest.raises(StorageError):
        history.delete("", take.id)
    assert len(files(folder)) == 2 and texts(history) == []
    monkeypatch.undo()
    history._keeper.clear_doomed()
    assert files(folder) == []
    history.close()


# trouble


def test_a_full_disk_marks_the_take_and_stops_nothing(history, monkeypatch) -> None:
    recorder = history.begin(job())
    assert recorder.take_in(Sound(noise(1), 0)) == ""
    write, room = os.pwrite, [5_000]

    def full(handle: int, data: bytes, at: int) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = data[: room[0]]
        room[0] -= len(part)
        return write(handle, part, at)

    monkeypatch.setattr(os, "pwrite", full)
    told = recorder.take_in(Sound(noise(2), 0))
    assert "No space left" in told and "goes on" in told
    room[0] = 10**6
    assert recorder.take_in(Sound(noise(3), 0)) == "", "it is told once"
    assert recorder.take_in(SentenceDone(SentenceTiming(0, "Late.", 0, 1))) == ""
    recorder.end("done")
    take = history.find(recorder.id)
    assert take.state is TakeState.DONE and "No space left" in take.lost
    assert history.pcm(take, 0, 10**6) == as_pcm(noise(1))
    samples, _ = soundfile.read(history.path(take.id), dtype="int16")
    assert samples.tobytes() == as_pcm(noise(1))


def test_an_end_that_the_full_disk_refused_is_noted_later(history, monkeypatch) -> None:
    recorder = history.begin(job())
    recorder.append(noise())
    store = history._store

    def full(*_):
        raise StorageError("The disk is full.")

    monkeypatch.setattr(store, "update", full)
    recorder.end("done")
    assert history.find(recorder.id).state is TakeState.UNFINISHED
    monkeypatch.undo()
    history._keeper.mark_late()
    assert history.find(recorder.id).state is TakeState.DONE


def test_a_take_that_cannot_be_entered_is_told_and_not_kept(history, folder, monkeypatch) -> None:
    def full(*_):
        raise StorageError("The disk is full.")

    monkeypatch.setattr(history._store, "enter", full)
    recorder = history.begin(job())
    assert recorder.id == ""
    assert "not kept in the history. The disk is full." in recorder.take_in(Note("x"))
    assert recorder.take_in(Sound(noise(), 0)) == ""
    recorder.end("done")
    assert files(folder) == [] and texts(history) == []


def test_many_record_at_once(folder) -> None:
    history = History(folder)

    def record(number: int) -> None:
        for take in range(5):
            recorder = history.begin(job(f"Thread {number} take {take}."))
            for piece in range(4):
                recorder.append(noise(100 * number + 10 * take + piece, 0.05))
            recorder.end("done")

    threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    takes = history.page("", limit=100).takes
    assert len(takes) == 40
    for take in takes:
        number, turn = (int(word.strip(".")) for word in take.excerpt.split()[1::2])
        pieces = [noise(100 * number + 10 * turn + piece, 0.05) for piece in range(4)]
        assert history.pcm(take, 0, 10**6) == as_pcm(np.concatenate(pieces))
    assert len(history.page("", "thread", limit=100).takes) == 40
    history.close()


# likeness


def test_a_cloned_voice_is_compared_with_its_reference(folder) -> None:
    asked = []

    def likeness(owner: str, reference: str, samples: np.ndarray, rate: int) -> float:
        asked.append((owner, reference, samples.size, rate))
        if reference == "broken":
            raise ValueError("no such voice")
        return 0.75

    history = History(folder, likeness=likeness)
    made(history, voice=Voice("v", "V", "tone", (), reference="broken"))
    take = made(history, owner="ann", voice=Voice("v", "V", "tone", (), reference="ann-1"))
    made(history, "A voice of the engine's own.")
    wait_until(lambda: history.find(take.id).similarity is not None, "it was compared")
    history.close()
    assert history_similarities(folder) == [None, 0.75, None]
    assert asked == [("", "broken", 1600, RATE), ("ann", "ann-1", 1600, RATE)]


def history_similarities(folder: Path) -> list[float | None]:
    with sqlite3.connect(folder / "history.sqlite") as database:
        return [row[0] for row in database.execute("SELECT similarity FROM takes ORDER BY number")]
