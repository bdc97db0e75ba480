"""The history of 100,000 takes beside one of 100: `python -m bench.history`."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench import report
from bench.texts import prose
from engines.api import CancelToken, Controls, SpeechRequest, Voice
from studio.history import History
from studio.jobs import Job, Plan, SentenceTiming

FEW, MANY = 100, 100_000
ROUNDS = 31
GOAL = 2.0
WORDS = 40  # a take
RATE = 22_050
SOUND = np.full(200, 0.1, np.float32)
RARE_TAKES = 20  # the oldest ones hold the rare word
COMMON, RARE = "the", "xylophone"


def fill(folder: Path, count: int) -> None:
    """A history of takes with texts of some length and very short sounds."""
    words = prose(WORDS * 200).split()
    voice = Voice("en-us", "English (America)", "espeak", ("en-US",))
    history = History(folder, tend=False)
    for first in range(0, count, 1000):
        with history._store.database.write():  # one transaction for many: it is not what is timed
            for number in range(first, min(count, first + 1000)):
                at = number * 7 % (len(words) - WORDS)
                text = " ".join(words[at : at + WORDS]) + f" The number is {number}."
                if number < RARE_TAKES:
                    text += f" A {RARE}."
                request = SpeechRequest(text, door="http")
                plan = Plan(request, text, "espeak", voice, "en-US", "cpu", Controls(), 1, RATE)
                recorder = history.begin(Job(plan, CancelToken()))
                recorder.append(SOUND)
                recorder.sentence(SentenceTiming(0, text, 0.0, 0.01))
                recorder.end("done")
        history.page("", COMMON)  # enters them into the search index
        if first % 10_000 == 0:
            print(f"{first:,} of {count:,} takes", file=sys.stderr)
    history.close()


def opened(folder: Path) -> float:
    """Seconds from nothing to the first page of the list, with what stands above it."""
    started = time.perf_counter()
    history = History(folder)
    takes = history.page("").takes
    totals = history.totals()
    seconds = time.perf_counter() - started
    history.close()
    assert len(takes) == 20 and totals.takes in (FEW, MANY)
    return seconds


def compared(
    what: str, few: Callable[[], float], many: Callable[[], float], detail: str
) -> report.Figure:
    """Both sides in turn, so that whatever else the machine does meets both."""
    pairs = [(few(), many()) for _ in range(ROUNDS + 1)][1:]  # the first warms caches
    low, high = (statistics.median(side) for side in zip(*pairs, strict=True))
    return report.Figure(
        f"{what}: {MANY:,} takes / {FEW} takes",
        high / low,
        GOAL,
        at_most=True,
        detail=f"{high * 1000:.2f} ms and {low * 1000:.2f} ms, medians of {ROUNDS}{detail}",
    )


def timed(work: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return seconds


def figures(few: Path, many: Path) -> Sequence[report.Figure]:
    made = [compared("open, first page", lambda: opened(few), lambda: opened(many), "")]
    histories = [History(folder, tend=False) for folder in (few, many)]
    middle = [history.page("", limit=1).takes[0].number // 2 for history in histories]
    pages = (
        ("a page from the middle", [{"before": number} for number in middle]),
        ("search, a word of every take", [{"query": COMMON}] * 2),
        (f"search, a word of the {RARE_TAKES} oldest", [{"query": RARE}] * 2),
        ("search, a word of no take", [{"query": "zyzzyva"}] * 2),
    )
    for what, asked in pages:
        few_page, many_page = (
            timed(lambda history=history, given=given: history.page("", **given))
            for history, given in zip(histories, asked, strict=True)
        )
        found = " and ".join(
            str(len(history.page("", **given).takes))
            for history, given in zip(reversed(histories), reversed(asked), strict=True)
        )
        made.append(compared(what, few_page, many_page, f"; {found} takes on the page"))
    for history in histories:
        history.close()
    return made


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="vivavoce-history-") as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        for place, count in ((few, FEW), (many, MANY)):
            fill(place, count)
        return report.publish("history", "History", figures(few, many))


if __name__ == "__main__":
    sys.exit(main())
