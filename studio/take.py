"""A take: one text's speech on disk, growing while it is made, any sentence of it replaceable.

Sound is appended to one file of 16-bit samples and never rewritten: a take is a list of pieces of
that file, and a sentence made again is a new piece in the place of the old one. So memory and the
work of a change do not depend on the length of the text, and whoever reads sees no half change.

Shapes: T samples, mono. Times are in seconds, positions in frames (samples) from the first one.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from engines.errors import InvalidRequest
from studio.encoders import to_pcm
from studio.jobs import CaptionWord, SentenceTiming
from studio.pieces import (
    BYTES,
    Journal,
    Piece,
    faded,
    joined,
    not_written,
    read_pcm,
    spliced,
    to_float,
)

FADE = 0.005  # seconds: short enough not to be heard, long enough not to click
BLOCK = 1 << 16  # frames read at a time
PEAK_WINDOW = 1024  # frames looked at for one bar of a waveform, however long the take


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a take; `made_with` says how: engine, voice, language, controls, seed."""

    number: int
    text: str
    start: float
    end: float
    words: tuple[CaptionWord, ...]
    made_with: Mapping[str, Any]


@dataclass(slots=True)
class _Row:
    """Where a sentence sounds, and where its text and words stand in the sentence file."""

    start: int
    end: int
    note_at: int
    note_length: int


class Take:
    """Speech on disk. One thread writes; any thread reads at the same time.

    The folder goes when the object does, and at the latest when the program ends.

    Args:
        parent: folder for takes; made where it is missing.
        sample_rate: Hz.
        made_with: how the speech is made, kept with each sentence.

    Raises:
        StorageError: the folder cannot be written.
    """

    def __init__(self, parent: Path, sample_rate: int, made_with: Mapping[str, Any]) -> None:
        self.id = secrets.token_urlsafe(16)
        self.sample_rate = sample_rate
        self.made_with = dict(made_with)
        self.version = 0  # counts replacements: what was read before one is out of date
        self._pieces: tuple[Piece, ...] = ()
        self._rows: list[_Row] = []
        self._lock = threading.Lock()
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="take-", dir=parent))  # only its owner may enter
            self.delete = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._sound = Journal(folder / "sound.s16le")
            self._notes = Journal(folder / "sentences.jsonl")
        except OSError as error:
            raise not_written(error) from error

    # writing

    def append(self, samples: np.ndarray) -> None:
        """Add float32 [T] at the end.

        Raises:
            StorageError: the disk is full; what was there before stays whole.
        """
        pcm = to_pcm(samples)
        with self._lock:
            offset = self._sound.append(pcm) // BYTES
            self._pieces = joined((*self._pieces, Piece(self.frames, offset, samples.size)))

    def add_sentence(self, timing: SentenceTiming) -> None:
        """Note a sentence whose sound was appended.

        Raises:
            StorageError: the disk is full.
        """
        first = timing.start
        words = [(word.text, word.start - first, word.end - first) for word in timing.words]
        with self._lock:
            start, end = (round(t * self.sample_rate) for t in (timing.start, timing.end))
            self._rows.append(_Row(start, end, *self._note(timing.text, words, self.made_with)))

    def replace(
        self,
        number: int,
        samples: np.ndarray,
        words: Sequence[CaptionWord],
        made_with: Mapping[str, Any],
    ) -> None:
        """Put newly made sound, float32 [T], in the place of a sentence; what follows moves.

        Args:
            words: their times count from the first of `samples`.

        Raises:
            StorageError: the disk is full; the old sentence stays.
        """
        with self._lock:
            row = self._row(number)
            fade = round(FADE * self.sample_rate)
            before = faded(self._read(row.start - fade, row.start), out=fade)
            after = faded(self._read(row.end, row.end + fade), into=fade)
            new = np.concatenate([before, faded(samples, into=fade, out=fade), after])
            text = self._text(row)["text"]
            spoken = [(word.text, word.start, word.end) for word in words]
            note = self._note(text, spoken, made_with)
            offset = self._sound.append(to_pcm(new)) // BYTES
            start, end = row.start - before.size, row.end + after.size
            self._pieces = spliced(self._pieces, start, end, offset, new.size)
            moved = samples.size - (row.end - row.start)
            self._rows[number] = _Row(row.start, row.start + samples.size, *note)
            for later in self._rows[number + 1 :]:
                later.start += moved
                later.end += moved
            self.version += 1

    def _note(
        self, text: str, words: Sequence[tuple[str, float, float]], made_with: Mapping[str, Any]
    ) -> tuple[int, int]:
        note: dict[str, Any] = {"text": text, "words": words}
        if made_with != self.made_with:
            note["made_with"] = dict(made_with)
        line = json.dumps(note, ensure_ascii=False).encode() + b"\n"
        return self._notes.append(line), len(line)

    # reading

    @property
    def frames(self) -> int:
        return self._pieces[-1].at + self._pieces[-1].length if self._pieces else 0

    @property
    def seconds(self) -> float:
        return self.frames / self.sample_rate

    def __len__(self) -> int:
        """How many sentences it holds."""
        return len(self._rows)

    def sentence(self, number: int) -> Sentence:
        """
        Raises:
            InvalidRequest: the take has no sentence of that number, counted from 0.
        """
        with self._lock:
            row = self._row(number)
            note = self._text(row)
            start, end = row.start / self.sample_rate, row.end / self.sample_rate
        words = tuple(CaptionWord(text, start + a, start + b) for text, a, b in note["words"])
        return Sentence(
            number, note["text"], start, end, words, note.get("made_with", self.made_with)
        )

    @property
    def timings(self) -> Sequence[SentenceTiming]:
        """Every sentence, for captions; read from disk as it is asked for."""
        return _Timings(self)

    def pcm(self, start: int, count: int) -> bytes:
        """Up to `count` frames from `start` as 16-bit little-endian samples; fewer at the end."""
        return read_pcm(self._sound, self._pieces, start, start + count)

    def blocks(self) -> Iterator[np.ndarray]:
        """The whole take as float32 blocks. A sentence replaced meanwhile does not show."""
        pieces = self._pieces
        for start in range(0, self.frames, BLOCK):
            yield to_float(read_pcm(self._sound, pieces, start, start + BLOCK))

    def peaks(self, bars: int) -> list[float]:
        """Loudest sample, 0 to 1, at `bars` evenly spaced places."""
        pieces, frames = self._pieces, self.frames
        heights = []
        for bar in range(bars):
            start, end = bar * frames // bars, (bar + 1) * frames // bars
            pcm = read_pcm(self._sound, pieces, start, min(end, start + PEAK_WINDOW))
            loudest = np.abs(to_float(pcm)).max(initial=0.0)
            heights.append(round(float(loudest), 3))
        return heights

    def _row(self, number: int) -> _Row:
        if not 0 <= number < len(self._rows):
            raise InvalidRequest(
                f"There is no sentence {number + 1}.",
                f"The take has {len(self._rows)}.",
                "Pick one of the list.",
            )
        return self._rows[number]

    def _text(self, row: _Row) -> dict[str, Any]:
        return json.loads(self._notes.read(row.note_at, row.note_length))

    def _read(self, start: int, end: int) -> np.ndarray:
        return to_float(read_pcm(self._sound, self._pieces, max(0, start), end))


class _Timings(Sequence[SentenceTiming]):
    def __init__(self, take: Take) -> None:
        self._take = take

    def __len__(self) -> int:
        return len(self._take)

    @overload
    def __getitem__(self, number: int) -> SentenceTiming: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[SentenceTiming]: ...
    def __getitem__(self, number: int | slice) -> SentenceTiming | Sequence[SentenceTiming]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        one = self._take.sentence(number)
        return SentenceTiming(one.number, one.text, one.start, one.end, one.words)


def remove_old(parent: Path, seconds: float) -> None:
    """Delete takes that a program which ended badly left behind: those untouched for `seconds`."""
    for folder in parent.glob("take-*"):
        with contextlib.suppress(FileNotFoundError):  # its own program deletes it at this moment
            touched = max(f.stat().st_mtime for f in (folder, *folder.iterdir()))
            if time.time() - touched > seconds:
                shutil.rmtree(folder, ignore_errors=True)
