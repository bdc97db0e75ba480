"""The voice library: search by sound over 10,000 utterances, listing of 5,000 voices.

`python -m bench.voices`. The embeddings are made up: 200 speakers with as much spread between
utterances as recordings have. Comparing with each of them in NumPy is the other side of the ratio.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import report
from studio.voices import VoiceLibrary, store
from studio.voices.clips import Draft
from studio.voices.files import new_id
from studio.voices.index import SoundIndex, clips_of, voices_of
from studio.voices.rows import Rows
from studio.voices.store import Fields

UTTERANCES = 10_000
VOICES = 5_000
SPEAKERS = 200
SPREAD = 0.3
QUERIES = 300
FOUND = 10
ROUNDS = 30
PAGE = 50
OWNER = "bench"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))


def measure(folder: Path) -> int:
    vectors = made_up(UTTERANCES)
    queries = made_up(QUERIES, seed=1)
    rows = Rows(folder / "voices" / "voices.sqlite")
    voice_id = one_voice(rows, vectors)
    many_voices(rows, vectors[:VOICES], OWNER)
    many_voices(rows, vectors[:PAGE], "small")
    library = VoiceLibrary(folder / "voices", folder / "cache", embed=lambda *_: vectors[0])
    index = SoundIndex(rows, folder / "cache" / "bench")
    scope = clips_of(voice_id)
    begun = time.perf_counter()
    index.nearest(scope, queries[0], FOUND)
    building = time.perf_counter() - begun
    begun = time.perf_counter()
    SoundIndex(rows, folder / "cache" / "bench").nearest(scope, queries[0], FOUND)
    loading = time.perf_counter() - begun
    by_index, by_numpy = medians(
        queries,
        lambda query: index.nearest(scope, query, FOUND),
        lambda query: brute_force(vectors, query),
    )
    voices, voices_numpy = medians(
        queries,
        lambda query: library.near(OWNER, query, FOUND),
        lambda query: brute_force(vectors[:VOICES], query),
    )
    page, small, whole, words = medians(
        range(ROUNDS),
        lambda _: library.list(OWNER, limit=PAGE),
        lambda _: library.list("small", limit=PAGE),
        lambda _: library.list(OWNER),
        lambda _: library.search(OWNER, "voice 77", limit=PAGE),
    )
    figures = [
        report.Figure(
            f"search by sound, {UTTERANCES:,} utterances / NumPy brute force",
            by_index / by_numpy,
            1.0,
            at_most=True,
            detail=f"{ms(by_index)} and {ms(by_numpy)}, medians of {QUERIES}; "
            f"{recall(index, scope, rows, vectors, queries):.1%} of the true {FOUND} found; "
            f"index built in {building:.1f} s, loaded in {loading:.2f} s",
        ),
        report.Figure(
            f"voices like a clip with their records, {VOICES:,} voices / NumPy brute force alone",
            voices / voices_numpy,
            1.5,
            at_most=True,
            detail=f"{ms(voices)} and {ms(voices_numpy)}, medians of {QUERIES}",
        ),
        report.Figure(
            f"page of {PAGE} of {VOICES:,} voices / of {PAGE} voices",
            page / small,
            2.0,
            at_most=True,
            detail=f"{ms(page)} and {ms(small)}, medians of {ROUNDS}; all {VOICES:,} in "
            f"{ms(whole)}; search for words in {ms(words)}",
        ),
    ]
    library.close()
    rows.close()
    return report.publish("voices", "Voice library", figures)


def made_up(count: int, seed: int = 0) -> np.ndarray:
    """float32 [count, 256] of length 1, values 0 and above, as the speaker encoder gives."""
    speakers = np.random.default_rng(99).random((SPEAKERS, 256))
    random = np.random.default_rng(seed)
    found = speakers[random.integers(0, SPEAKERS, count)] + SPREAD * random.random((count, 256))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def one_voice(rows: Rows, vectors: np.ndarray) -> str:
    """A voice with an utterance for each embedding."""
    voice_id, now = new_id(), time.time()
    drafts = [
        Draft(new_id(), f"Utterance number {n}.", "en", 4.0, f"{n:064x}", vector)
        for n, vector in enumerate(vectors)
    ]
    with rows.writing() as db:
        voice = store.add_voice(db, voice_id, "reader", Fields("Reader", "en", (), ""), now)
        store.add_clips(db, voice, drafts, (), now)
        store.refresh(db, voice, now)
        store.changed(db, [clips_of(voice_id).name])
    return voice_id


def many_voices(rows: Rows, vectors: np.ndarray, owner: str) -> None:
    """A voice with one utterance for each embedding."""
    now = time.time()
    with rows.writing() as db:
        for n, vector in enumerate(vectors):
            fields = Fields(f"Voice {n}", "en-GB", ("warm", f"tag{n % 7}"), "Notes.")
            voice = store.add_voice(db, new_id(), owner, fields, now)
            draft = Draft(new_id(), f"Utterance number {n}.", "en", 4.0, f"{n:064x}", vector)
            store.add_clips(db, voice, [draft], (), now)
            store.refresh(db, voice, now)
        store.changed(db, [voices_of(owner).name])


def brute_force(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Positions of the nearest, best first."""
    cosines = vectors @ query
    best = np.argpartition(-cosines, FOUND)[:FOUND]
    return best[np.argsort(-cosines[best])]


def recall(
    index: SoundIndex, scope: tuple, rows: Rows, vectors: np.ndarray, queries: np.ndarray
) -> float:
    with rows.reading() as db:
        first = db.execute("SELECT min(number) FROM embeddings WHERE clip IS NOT NULL").fetchone()[
            0
        ]
    shares = [
        len(
            {number - first for number, _ in index.nearest(scope, query, FOUND)}
            & set(brute_force(vectors, query).tolist())
        )
        / FOUND
        for query in queries
    ]
    return statistics.mean(shares)


def medians(given: Sequence, *works: Callable[[Any], object]) -> list[float]:
    """Seconds that one call of each takes; in turns, so that a busy moment hits all of them."""
    taken: list[list[float]] = [[] for _ in works]
    for work in works:
        work(given[0])  # what is made at the first call does not count
    for value in given:
        for work, seconds in zip(works, taken, strict=True):
            begun = time.perf_counter()
            work(value)
            seconds.append(time.perf_counter() - begun)
    return [statistics.median(seconds) for seconds in taken]


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


if __name__ == "__main__":
    sys.exit(main())
