"""The benchmarks' own parts: what they read out, count and print."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from bench import processes, report
from bench.texts import prose


@pytest.mark.parametrize("words", [1, 200, 2000])
def test_prose_has_about_as_many_words_as_asked_for(words: int) -> None:
    text = prose(words)
    assert words <= len(text.split()) < words + 20
    assert text == prose(words) and text.endswith(".")


def test_a_goal_is_a_limit_from_above_or_below() -> None:
    assert report.Figure("x", 2.0, 2.0, at_most=True, detail="").reached
    assert not report.Figure("x", 2.1, 2.0, at_most=True, detail="").reached
    assert report.Figure("x", 0.8, 0.8, at_most=False, detail="").reached
    assert not report.Figure("x", 0.7, 0.8, at_most=False, detail="").reached


def test_a_missed_goal_is_printed_kept_and_returned(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    missed = report.Figure("first sound / whole", 0.5, 0.03, at_most=True, detail="1 s and 2 s")
    assert report.publish("speech", "Speech", [missed]) == 1
    row = "| first sound / whole | 0.500 | at most 0.03 | NO | 1 s and 2 s |"
    assert row in capsys.readouterr().out
    assert row in (tmp_path / "results" / "speech.md").read_text("utf-8")


def test_memory_of_child_processes_is_counted() -> None:
    """A child that takes 60 MB for a moment shows in the peak."""
    hungry = "b = bytearray(60_000_000); b[::4096] = b'x' * len(b[::4096]); input()"
    with processes.MemoryWatch(psutil.Process()) as watch:
        time.sleep(2 * processes.SAMPLE_EVERY)
        before = watch.peak
        with psutil.Popen([sys.executable, "-c", hungry], stdin=-1) as child:
            until = time.monotonic() + 30
            while watch.peak < before + 50_000_000:
                assert time.monotonic() < until, "the child's memory was not seen"
                time.sleep(0.02)
            child.communicate(b"\n")


def test_a_server_that_ends_says_why() -> None:
    command = [sys.executable, "-c", "print('no such luck'); raise SystemExit(3)"]
    with (
        pytest.raises(RuntimeError, match="no such luck"),
        processes.running(command, processes.free_port(), "/"),
    ):
        raise AssertionError("it was not to come this far")
