"""First sound, memory and throughput over HTTP: `python -m bench.speech`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import psutil

from bench import processes, report
from bench.texts import prose

ROUNDS = 3
FIRST_SOUND_GOAL = 0.03  # of the whole time, for LONG words
MEMORY_GOAL = 1.2
THROUGHPUT_GOAL = 0.8
SHORT, LONG, VERY_LONG = 200, 2_000, 20_000  # words
CLIENTS = 8
TEXTS_A_CLIENT = 4
WORDS_A_TEXT = 300
BLOCK = 64 * 1024  # bytes per read
WAV_HEADER = 44  # bytes
BYTES_A_SAMPLE = 2


def fetch(base: str, text: str) -> tuple[float, float, float]:
    """Speak a text over HTTP; seconds to the first sound, seconds to the last, seconds of sound."""
    body = json.dumps({"model": "espeak", "input": text, "response_format": "wav"}).encode()
    request = urllib.request.Request(
        f"{base}/v1/audio/speech", body, {"Content-Type": "application/json"}
    )
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=600) as answer:
        header = answer.read(WAV_HEADER)
        rate = int.from_bytes(header[24:28], "little")
        size = len(answer.read1(BLOCK))
        first = time.perf_counter() - started
        while block := answer.read1(BLOCK):
            size += len(block)
    return first, time.perf_counter() - started, size / BYTES_A_SAMPLE / rate


def first_sound(base: str) -> report.Figure:
    runs = [fetch(base, prose(LONG)) for _ in range(ROUNDS)]
    shares = [first / whole for first, whole, _ in runs]
    first, whole, _ = runs[shares.index(statistics.median_low(shares))]
    return report.Figure(
        f"first sound / whole time, {LONG:,} words",
        first / whole,
        FIRST_SOUND_GOAL,
        at_most=True,
        detail=f"{first * 1000:.0f} ms and {whole:.2f} s, median of {ROUNDS}",
    )


def memory(base: str, server: psutil.Process) -> report.Figure:
    peaks = []
    for words in (SHORT, VERY_LONG):  # on a fresh server: the first peak holds what loads once
        with processes.MemoryWatch(server) as watch:
            fetch(base, prose(words))
        peaks.append(watch.peak)
    return report.Figure(
        f"peak memory, {VERY_LONG:,} words / {SHORT} words",
        peaks[1] / peaks[0],
        MEMORY_GOAL,
        at_most=True,
        detail=f"{peaks[1] / 1e6:.0f} MB and {peaks[0] / 1e6:.0f} MB, all processes of the server",
    )


def throughput(base: str) -> report.Figure:
    texts = [prose(WORDS_A_TEXT)] * TEXTS_A_CLIENT
    runs = []
    for _ in range(ROUNDS):
        direct, ours = _direct(texts * CLIENTS), _clients(base, texts)
        runs.append((ours / direct, ours, direct))
    ratio, ours, direct = statistics.median_low(runs)
    return report.Figure(
        f"throughput of {CLIENTS} HTTP clients / of the library in a loop",
        ratio,
        THROUGHPUT_GOAL,
        at_most=False,
        detail=f"{ours:.0f} and {direct:.0f} seconds of sound a second, median of {ROUNDS}",
    )


def _direct(texts: list[str]) -> float:
    ran = subprocess.run(
        [sys.executable, "-m", "bench.direct"],
        cwd=processes.ROOT,
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(ran.stdout)
    return result["audio"] / result["seconds"]


def _clients(base: str, texts: list[str]) -> float:
    def client(_: int) -> float:
        return sum(fetch(base, text)[2] for text in texts)

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        audio = sum(pool.map(client, range(CLIENTS)))
    return audio / (time.perf_counter() - started)


def main() -> int:
    with processes.app() as (base, server, _):
        figures = [memory(base, server), first_sound(base), throughput(base)]
    return report.publish("speech", "Speech over HTTP", figures)


if __name__ == "__main__":
    sys.exit(main())
