"""The processes that own the library: lent, stopped, replaced when they die, none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from engines.api import CancelToken
from engines.errors import Cancelled, DeadlineExceeded, EngineFailure
from engines.espeak import pool, protocol
from engines.espeak.engine import EspeakEngine
from engines.espeak.pool import Pool, Worker, WorkerLost
from engines.espeak.request import Request, Settings
from tests.unit.espeak_helpers import BIRCH, LONG, chunks, make_engine, speak

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def engine() -> Iterator[EspeakEngine]:
    engine = make_engine()
    yield engine
    engine.close()


def family(pid: int) -> list[psutil.Process]:
    worker = psutil.Process(pid)
    return [worker, *worker.children(recursive=True)]


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def test_cancel_ends_the_speech_and_keeps_the_worker(engine: EspeakEngine) -> None:
    expected = speak(engine, BIRCH).samples
    [worker] = engine._pool.workers
    token = CancelToken()
    speech = chunks(engine, LONG, cancel=token)
    next(speech)
    token.cancel()
    with pytest.raises(Cancelled):
        next(speech)
    assert engine._pool.workers == (worker,) and worker.alive
    assert np.array_equal(speak(engine, BIRCH).samples, expected)
    assert engine._pool.workers == (worker,)


def test_leaving_early_keeps_the_worker(engine: EspeakEngine) -> None:
    for _ in range(3):
        speech = chunks(engine, LONG)
        first = next(speech)
        speech.close()  # type: ignore[attr-defined]
        assert first.samples.size > 0
    [worker] = engine._pool.workers
    assert worker.alive and speak(engine, BIRCH).seconds > 1
    assert engine._pool.workers == (worker,)


def test_cancelled_before_it_begins_starts_nothing(engine: EspeakEngine) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        next(chunks(engine, BIRCH, cancel=token))
    assert engine._pool.workers == ()


def test_deadline_is_the_reason_given(engine: EspeakEngine) -> None:
    token = CancelToken(deadline=3600)
    speech = chunks(engine, LONG, cancel=token)
    next(speech)
    token._expires = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        list(speech)


def test_a_waiting_request_can_be_cancelled() -> None:
    small = Pool(1)
    token = CancelToken()
    outcome: list[BaseException] = []

    def wait_in_vain() -> None:
        try:
            with small.lend("gmw/en-US", token):
                pass
        except Cancelled as error:
            outcome.append(error)

    with small.lend("gmw/en-US", CancelToken()):
        thread = threading.Thread(target=wait_in_vain)
        thread.start()
        token.cancel()
        thread.join(timeout=10)
        assert len(outcome) == 1 and len(small.workers) == 1
    small.close()


def test_killed_in_mid_speech(engine: EspeakEngine) -> None:
    speech = chunks(engine, LONG)
    next(speech)
    [worker] = engine._pool.workers
    os.killpg(worker.pid, signal.SIGKILL)
    with pytest.raises(EngineFailure, match=r"stopped while it spoke.*It goes on and on"):
        list(speech)
    assert engine._pool.workers == ()
    assert speak(engine, BIRCH).seconds > 1


def test_others_are_not_affected_by_a_crash(engine: EspeakEngine) -> None:
    first, second = chunks(engine, LONG, seed=1), chunks(engine, LONG, seed=2)
    next(first)
    [doomed] = engine._pool.workers
    next(second)
    os.killpg(doomed.pid, signal.SIGKILL)
    with pytest.raises(EngineFailure):
        list(first)
    assert sum(piece.samples.size for piece in second) > 22050 * 60


def test_worker_that_died_while_idle_is_replaced(engine: EspeakEngine) -> None:
    expected = speak(engine, BIRCH).samples
    [worker] = engine._pool.workers
    os.killpg(worker.pid, signal.SIGKILL)
    wait_for(lambda: not worker.alive)
    assert np.array_equal(speak(engine, BIRCH).samples, expected)


def test_worker_that_dies_as_it_is_asked_is_replaced_unnoticed(
    engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = speak(engine, BIRCH).samples
    [worker] = engine._pool.workers
    os.killpg(worker.pid, signal.SIGKILL)
    wait_for(lambda: not worker.alive)
    monkeypatch.setattr(Worker, "alive", True)  # it died after the look
    assert np.array_equal(speak(engine, BIRCH).samples, expected)


def test_worker_that_hangs_is_killed(engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    speech = chunks(engine, LONG)
    next(speech)
    [worker] = engine._pool.workers
    processes = family(worker.pid)
    monkeypatch.setattr(pool, "STALL_SECONDS", 0.3)
    os.killpg(worker.pid, signal.SIGSTOP)
    with pytest.raises(EngineFailure, match="no sign of life"):
        list(speech)
    wait_for(lambda: gone(processes))
    assert speak(engine, BIRCH).seconds > 1


def test_worker_that_does_not_react_to_an_abort_is_killed(
    engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    speech = chunks(engine, LONG)
    next(speech)
    [worker] = engine._pool.workers
    monkeypatch.setattr(pool, "ABORT_SECONDS", 0.3)
    os.killpg(worker.pid, signal.SIGSTOP)
    speech.close()  # type: ignore[attr-defined]
    assert engine._pool.workers == () and not worker.alive
    assert speak(engine, BIRCH).seconds > 1


def test_library_that_does_not_load(
    engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pool.espeakng_loader, "get_library_path", lambda: str(tmp_path / "no.so"))
        with pytest.raises(EngineFailure, match=r"did not load.*no\.so"):
            speak(engine, BIRCH)
        patch.undo()
        patch.setattr(pool.espeakng_loader, "get_data_path", lambda: str(tmp_path))
        with pytest.raises(EngineFailure, match="no usable data"):
            speak(engine, BIRCH)
    assert speak(engine, BIRCH).seconds > 1


def test_python_that_does_not_start(engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pool, "_COMMAND", "raise SystemExit(3)")
        with pytest.raises(EngineFailure):
            speak(engine, BIRCH)
    assert speak(engine, BIRCH).seconds > 1


def test_data_in_a_deep_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library itself takes paths of 160 characters at most."""
    data = Path(pool.espeakng_loader.get_data_path())
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 8)
    deep.mkdir(parents=True)
    (deep / data.name).symlink_to(data)
    monkeypatch.setattr(pool.espeakng_loader, "get_data_path", lambda: str(deep / data.name))
    engine = make_engine()
    assert speak(engine, BIRCH).seconds > 1
    engine.close()


def test_many_requests_share_few_workers(engine: EspeakEngine) -> None:
    threads = [threading.Thread(target=speak, args=(engine, BIRCH)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert 1 <= len(engine._pool.workers) <= engine._pool._size


def test_requests_get_a_worker_that_holds_their_voice() -> None:
    two = Pool(2)
    with two.lend("a", CancelToken()) as first, two.lend("b", CancelToken()) as second:
        first.voice, second.voice = "a", "b"
    for voice, expected in (("b", second), ("a", first), ("a", first), ("b", second)):
        with two.lend(voice, CancelToken()) as worker:
            assert worker is expected
    two.close()


def test_close_ends_every_process() -> None:
    engine = make_engine()
    speak(engine, BIRCH)
    speech = chunks(engine, LONG)
    next(speech)
    processes = [process for w in engine._pool.workers for process in family(w.pid)]
    assert processes
    engine.close()
    with pytest.raises(EngineFailure):
        list(speech)
    wait_for(lambda: gone(processes))
    with pytest.raises(Cancelled, match="closed"):
        speak(engine, BIRCH)


PARENT = """
import sys, time
sys.path.insert(0, {root!r})
from tests.unit.espeak_helpers import LONG, chunks, make_engine
engine = make_engine()
speech = chunks(engine, LONG)
next(speech)
print(engine._pool.workers[0].pid, flush=True)
time.sleep(60)
"""


def test_killed_program_leaves_no_process(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(root=str(ROOT))],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,  # nothing depends on the current folder
    )
    assert parent.stdout is not None
    processes = family(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: gone(processes))


@pytest.mark.parametrize(
    "patch",
    [
        "worker.TEXTS = 3",
        "close = worker.Library.close; worker.Library.close = lambda l: close(l) < 0",
    ],
    ids=["after many texts", "where the library stays"],
)
def test_a_worker_starts_itself_again(
    engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch, patch: str
) -> None:
    """It leaks a little with every text, and a library that stays would keep its state."""
    expected = [speak(engine, BIRCH, voice).samples for voice in ("en-us", "de")]
    main = "worker.main("
    monkeypatch.setattr(pool, "_COMMAND", pool._COMMAND.replace(main, f"{patch}; {main}"))
    fresh = make_engine()
    for _ in range(4):
        for voice, samples in zip(("en-us", "de"), expected, strict=True):
            assert np.array_equal(speak(fresh, BIRCH, voice).samples, samples)
    [worker] = fresh._pool.workers
    assert psutil.Process(worker.pid).cmdline()[-1] == "again"
    fresh.close()


def test_memory_of_a_worker_stays_bounded(engine: EspeakEngine) -> None:
    speak(engine, BIRCH)
    [worker] = engine._pool.workers
    for _ in range(600):
        speak(engine, "Yes.")
    assert engine._pool.workers == (worker,)
    assert psutil.Process(worker.pid).memory_info().rss < 60e6


def test_worker_imports_little() -> None:
    """It has to start fast, and GPL code shares no process with the rest."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import engines.espeak.worker; "
    code += (
        "print(*(m for m in sys.modules if m.split('.')[0] in ('numpy', 'pydantic', 'engines')))"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(loaded) == {"engines", "engines.espeak"} | {
        f"engines.espeak.{name}" for name in ("library", "protocol", "worker")
    }


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_library_is_not_in_this_process(engine: EspeakEngine) -> None:
    speak(engine, BIRCH)
    assert "libespeak" not in Path("/proc/self/maps").read_text()


def test_requests_survive_the_pipe() -> None:
    settings = Settings(80, 200, 99, 0, 100, 2**31 - 1)
    request = Request(protocol.SPEAK, "gmw/en-US+Mr serious", "é 你 😀" * 100, settings, True)
    packed = request.pack(7)
    kind, number, size = protocol.HEADER.unpack_from(packed)
    body = packed[protocol.HEADER.size :]
    assert (kind, number, size) == (protocol.SPEAK, 7, len(body))
    voice, text = request.voice.encode(), request.text.encode()
    assert protocol.unpack_body(body) == ((80, 200, 99, 0, 100, 2**31 - 1), True, voice, text)
    words = [(1, 3, 0), (5, 2, 22050)]
    assert protocol.unpack_chunk(protocol.pack_chunk(words, b"abcd")) == (words, b"abcd")


def test_text_longer_than_the_pipe(engine: EspeakEngine) -> None:
    speak(engine, BIRCH, "de")
    text = "ha " * 25_000  # 75 kB
    token = CancelToken()
    speech = chunks(engine, text, "en-us", cancel=token)
    assert next(speech).samples.size > 0
    token.cancel()
    with pytest.raises(Cancelled):
        next(speech)


def test_a_lost_worker_is_closed() -> None:
    one = Pool(1)
    with pytest.raises(WorkerLost), one.lend("a", CancelToken()) as worker:
        raise WorkerLost("test")
    assert one.workers == () and not worker.alive
    one.close()
