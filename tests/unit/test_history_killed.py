"""kill -9 while takes are being kept: what was finished is whole, the rest is marked."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engines.api import CancelToken, Controls, SpeechRequest, Voice
from studio.history import History, TakeState
from studio.history import sound as sounds
from studio.jobs import Job, Plan, SentenceTiming
from tests.servers import ROOT, wait_until

RATE = 16_000
KILLS = 50
LONGEST_LIFE = 0.06  # seconds; opening the history takes about 0.01, a take about 0.003

# One process that has imported everything starts the others: each of them records take after take
# and says when one is done, until it is killed.
NURSERY = """
import os, signal, sys, time
from pathlib import Path
from tests.unit.test_history_killed import record
folder, lives = Path(sys.argv[1]), [float(life) for life in sys.argv[2:]]
for number, life in enumerate(lives):
    child = os.fork()
    if not child:
        record(folder, number)
    time.sleep(life)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, status
"""


def pieces(seed: int) -> list[np.ndarray]:
    drawn = np.random.default_rng(seed)
    sizes = drawn.integers(1, 20_000, drawn.integers(1, 8))
    return [drawn.uniform(-0.5, 0.5, size).astype(np.float32) for size in sizes]


def as_pcm(samples: list[np.ndarray]) -> bytes:
    return np.rint(np.concatenate(samples) * 32767).astype("<i2").tobytes()


def job(seed: int) -> Job:
    request = SpeechRequest(f"Take {seed}.", door="page")
    voice = Voice("sine", "Sine", "tone", ("en",))
    plan = Plan(request, request.text, "tone", voice, "en", "cpu", Controls(), seed, RATE)
    return Job(plan, CancelToken())


def record(folder: Path, number: int) -> None:
    """Record takes until the process is killed; each one that ended is said."""
    history = History(folder)
    while True:
        for seed in range(1000 * number, 1000 * number + 1000):
            recorder = history.begin(job(seed))
            for index, samples in enumerate(pieces(seed)):
                recorder.append(samples)
                recorder.sentence(SentenceTiming(index, f"Sentence {index}.", index, index + 1))
            recorder.end("done")
            sys.stdout.write(f"{recorder.id} {seed}\n")
            sys.stdout.flush()


def test_killed_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(9)
    lives = [str(chance.uniform(0, LONGEST_LIFE)) for _ in range(KILLS)]
    command = [sys.executable, "-c", NURSERY, str(tmp_path), *lives]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    said = dict(line.split() for line in ran.stdout.splitlines())
    history = History(tmp_path, tend=False)
    takes = history.page("", limit=100_000).takes
    done = [take for take in takes if take.state is TakeState.DONE]
    broken = [take for take in takes if take.state is TakeState.BROKEN_OFF]
    assert len(done) + len(broken) == len(takes)
    assert len(done) > KILLS / 2 and broken, "the kills did not come in the midst of the work"
    assert said.keys() <= {take.id for take in done}, "what was said to be done is"
    for take in done:
        expected = pieces(take.seed)
        assert take.frames == sum(samples.size for samples in expected)
        assert history.pcm(take, 0, take.frames) == as_pcm(expected)
        assert len(history.timings(take)) == take.sentences == len(expected)
    for take in broken:
        assert as_pcm(pieces(take.seed)).startswith(history.pcm(take, 0, take.frames))
        assert [timing.index for timing in history.timings(take)] == list(range(take.sentences))
        assert take.error
    for take in takes:
        if take.frames:
            samples, rate = soundfile.read(history.path(take.id), dtype="int16")
            assert rate == RATE
            assert samples.tobytes() == history.pcm(take, 0, take.frames)
    there = {file.name for file in (tmp_path / "audio").glob("*/*")}
    assert there <= {f"{take.id}.{end}" for take in takes for end in ("wav", "jsonl")}
    history.close()


def test_a_take_of_a_process_that_lives_is_left_to_it(tmp_path: Path) -> None:
    """Another program that opens the same history must not take it for broken off."""
    command = [
        sys.executable,
        "-c",
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.unit.test_history_killed import *\n"
        "recorder = History(Path(sys.argv[1])).begin(job(1))\n"
        "recorder.append(pieces(1)[0])\n"
        "print(recorder.id, flush=True)\n"
        "input()\n",
        str(tmp_path),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, text=True) as child:
        take_id = child.stdout.readline().strip()
        history = History(tmp_path, tend=False)
        assert history.find(take_id).state is TakeState.UNFINISHED
        history.close()
        child.kill()
    history = History(tmp_path, tend=False)
    take = history.find(take_id)
    assert take.state is TakeState.BROKEN_OFF
    assert history.pcm(take, 0, take.frames) == as_pcm(pieces(1)[:1])
    history.close()


class Killed(BaseException):
    """Stands for the end of the process at an exact place."""


@pytest.mark.parametrize("step", range(9))
def test_killed_between_any_two_steps(tmp_path: Path, monkeypatch, step: int) -> None:
    """Every call that changes a file, up to the row that says done: one is its last."""
    history = History(tmp_path, tend=False)
    recorder = history.begin(job(2))
    left = [step]

    def last(function):
        def call(*given):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return function(*given)

        return call

    monkeypatch.setattr(sounds.os, "pwrite", last(sounds.os.pwrite))
    monkeypatch.setattr(history._store, "update", last(history._store.update))
    samples = pieces(3)[:2]
    ended = False
    try:
        for piece in samples:
            recorder.append(piece)
            recorder.sentence(SentenceTiming(0, "One.", 0, 1))
        recorder.end("done")
        ended = True
    except Killed:
        pass
    monkeypatch.undo()
    monkeypatch.setattr("studio.history.retention._alive", lambda *_: False)
    history.close()
    history = History(tmp_path, tend=False)
    take = history.find(recorder.id)
    assert take.state is (TakeState.DONE if ended else TakeState.BROKEN_OFF)
    heard = history.pcm(take, 0, take.frames)
    assert as_pcm(samples).startswith(heard)
    assert ended is (step == 8)
    if step > 4:
        assert heard == as_pcm(samples)
    if take.frames:
        there, _ = soundfile.read(history.path(take.id), dtype="int16")
        assert there.tobytes() == heard
    history.close()


def test_the_histories_thread_ends(tmp_path: Path) -> None:
    import threading

    history = History(tmp_path)
    wait_until(lambda: any(t.name == "history" for t in threading.enumerate()), "it started")
    history.close()
    history.close()
    assert not any(thread.name == "history" for thread in threading.enumerate())
