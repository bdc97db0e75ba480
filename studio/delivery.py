"""The single exit of sound: trim, pause or cross-fade, level. One `Master` serves one request.

What it delivers depends on the audio alone, never on how the engine cut it into chunks, and it
holds back no more than it must: the silence at the end of a sentence until that ends, the length
of a cross-fade, and one frame of `studio.loudness`.

Shapes: T samples of one call, at the delivered sample rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from engines.api import AudioChunk, Utterance, WordTime
from engines.errors import EngineFailure
from studio.jobs import CaptionWord, SentenceTiming
from studio.loudness import NOTHING, Leveller
from studio.words import source_words

if TYPE_CHECKING:
    from soxr import ResampleStream

GATHERED = 0.4  # seconds of chunks that are worked on together, since each step has its price
SOUND = 10 ** (-55 / 20)  # magnitude above which a sample is no silence
LEAD = 0.010  # seconds of silence that stay before the sound of a sentence
TRAIL = 0.030  # and after it
FADE = 0.005  # seconds in which a cut edge rises from or falls to silence
CROSSFADE = 0.015  # seconds that two pieces without a pause between them overlap
SHORTEST_PAUSE = 0.05  # seconds; below, the pieces are cross-faded


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """How audio is delivered.

    Attributes:
        loudness: LUFS of the whole; None leaves the engine's.
        peak: dBFS that no sample exceeds.
        trim: drop the silence that an engine puts around a sentence.
    """

    loudness: float | None = -18.0
    peak: float = -1.0
    trim: bool = True


class Master:
    """Turns the chunks of one utterance after another into one continuous signal.

    For each utterance call `begin`, `push` for each chunk, `end`; after the last one `finish`. The
    arrays that these return, joined, are the delivered audio: float32 [T].

    The pause after an utterance is made when the next one sounds, so the audio does not end in
    silence. An utterance without spans is a pause that was asked for: it is made at the end of the
    audio too, and stands for the pause of punctuation before it where it is longer.

    Args:
        sample_rate: Hz, of what is delivered; chunks of another rate are resampled.
    """

    def __init__(self, sample_rate: int, settings: DeliverySettings) -> None:
        self._sample_rate = sample_rate
        self._trim = settings.trim
        self._leveller = Leveller(sample_rate, settings.loudness, settings.peak)
        self._resampler = _Resampler(sample_rate)
        self._overlap = round(CROSSFADE * sample_rate)
        self._fade = round(FADE * sample_rate)
        self._position = 0  # samples delivered or in the leveller
        self._tail = NOTHING  # end of the last piece, while it may be cross-faded
        self._end = 0  # of the last piece, in delivered samples
        self._pause = 0.0  # seconds owed before the next sound

    def begin(self, utterance: Utterance) -> np.ndarray:
        """Start an utterance. Returns the silence of one that is a mere pause."""
        self._utterance = utterance
        self._words: list[WordTime] = []
        self._chunks: list[np.ndarray] = []
        self._chunks_size = 0
        self._trimmer = _Trimmer(self._sample_rate, SOUND if self._trim else -1.0)
        self._held = NOTHING  # sound that a fade may still change
        self._placed = False  # its first sample has its place in the delivered audio
        self._first = self._position + self._tail.size
        if utterance.spans:
            return NOTHING
        self._pause = max(0.0, self._pause - utterance.pause_after)
        return self._rest(utterance.pause_after)

    def push(self, chunk: AudioChunk) -> np.ndarray:
        """Take the next chunk of the utterance; its samples must not change afterwards.

        Raises:
            EngineFailure: it holds NaN or infinity, or its sample rate is not that of the last one.
        """
        self._resampler.expect(chunk.sample_rate)
        self._words.extend(chunk.words)
        self._chunks.append(chunk.samples)
        self._chunks_size += chunk.samples.size
        if self._chunks_size < GATHERED * chunk.sample_rate:
            return NOTHING
        return self._take(self._trimmer.push(self._gathered()))

    def end(self) -> tuple[np.ndarray, SentenceTiming]:
        """End the utterance. Returns the rest of its sound, and where the whole of it lies."""
        samples = np.concatenate((self._gathered(), self._resampler.flush()))
        kept = self._take(self._trimmer.push(samples))
        self._held = np.concatenate((self._held, self._trimmer.end()))
        out = [kept]
        if self._held.size:
            before, body = self._place(self._held)
            cut = max(0, body.size - self._overlap)
            self._tail = body[cut:]
            out += [before, self._give(body[:cut])]
        timing = self._timing()
        if self._utterance.spans:
            self._pause = max(self._pause, self._utterance.pause_after)
        if self._pause >= SHORTEST_PAUSE:
            out.append(self._rest(0.0))
        return np.concatenate(out), timing

    def finish(self) -> np.ndarray:
        """Returns what is left once every utterance has ended."""
        return self._rest(0.0)

    def _gathered(self) -> np.ndarray:
        samples = np.concatenate([NOTHING, *self._chunks])
        self._chunks, self._chunks_size = [], 0
        if not np.isfinite(samples).all():
            raise EngineFailure(
                "The engine made samples that are not finite numbers.",
                "Audio holds neither NaN nor infinity.",
                "Try again with another seed; if it stays, take another voice.",
            )
        return self._resampler.convert(samples)

    def _take(self, samples: np.ndarray) -> np.ndarray:
        self._held = np.concatenate((self._held, samples))
        free = self._held.size - self._overlap
        if free < (1 if self._placed else self._overlap):
            return NOTHING
        before, sound = self._place(self._held[:free])
        self._held = self._held[free:]
        return np.concatenate((before, self._give(sound)))

    def _place(self, sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Join sound to what came before it, where it is the first of its utterance.

        Returns:
            What is delivered before it, and the sound as it is to be given to the leveller.
        """
        if self._placed:
            return NOTHING, sound
        self._placed = True
        pause, self._pause = self._pause, 0.0
        if self._tail.size and pause < SHORTEST_PAUSE:
            tail, self._tail = self._tail, NOTHING
            size = min(tail.size, sound.size)
            alone = tail.size - size
            self._first = self._position + alone
            rise = _rise(size)
            mixed = tail[alone:] * rise[::-1] + sound[:size] * rise
            return NOTHING, np.concatenate((tail[:alone], mixed, sound[size:]))
        before = self._rest(pause)
        self._first = self._position
        size = min(self._fade, sound.size)
        return before, np.concatenate((sound[:size] * _rise(size) ** 2, sound[size:]))

    def _rest(self, seconds: float) -> np.ndarray:
        """Everything that is held back, fading out, and silence."""
        out = []
        if self._tail.size:
            tail, self._tail = self._tail, NOTHING
            size = min(self._fade, tail.size)
            steady = tail.size - size
            fading = tail[steady:] * _rise(size)[::-1] ** 2
            out.append(self._give(np.concatenate((tail[:steady], fading))))
        silence = np.zeros(round(seconds * self._sample_rate), np.float32)
        out += [self._leveller.flush(), silence]
        self._position += silence.size
        return np.concatenate(out)

    def _give(self, samples: np.ndarray) -> np.ndarray:
        self._position += samples.size
        return self._leveller.feed(samples)

    def _timing(self) -> SentenceTiming:
        offset = (self._first - self._trimmer.dropped) / self._sample_rate
        start = max(self._first, self._end)  # later than the first sample where it is cross-faded
        self._end = self._position + self._tail.size if self._placed else start
        start_time, end_time = start / self._sample_rate, self._end / self._sample_rate
        return SentenceTiming(
            index=self._utterance.index,
            text=self._utterance.source.strip(),
            start=start_time,
            end=end_time,
            words=tuple(
                CaptionWord(
                    text,
                    min(max(begins + offset, start_time), end_time),
                    min(max(ends + offset, start_time), end_time),
                )
                for text, begins, ends in source_words(self._utterance, self._words)
            ),
        )


@lru_cache(maxsize=64)
def _rise(size: int) -> np.ndarray:
    """A quarter sine from 0 to 1; its square and that of its mirror image add up to 1."""
    return np.sin(np.linspace(0, np.pi / 2, size, dtype=np.float32))


class _Trimmer:
    """Drops the silence around the sound of one utterance.

    Args:
        threshold: magnitude above which a sample is sound; a negative one makes all of it sound.

    Attributes:
        dropped: samples of silence left out before the sound.
    """

    def __init__(self, sample_rate: int, threshold: float) -> None:
        self.dropped = 0
        self._lead = round(LEAD * sample_rate)
        self._trail = round(TRAIL * sample_rate)
        self._threshold = threshold
        self._sounded = False
        self._silence: list[np.ndarray] = []  # since the last sound

    def push(self, samples: np.ndarray) -> np.ndarray:
        """float32 [T] → float32 [T'], up to the last sound."""
        loud = np.abs(samples) > self._threshold
        if not loud.any():
            self._silence.append(samples)
            if not self._sounded:
                self._silence = [self._shortened()]
            return NOTHING
        last = samples.size - int(loud[::-1].argmax())
        first = 0
        if not self._sounded:
            self._sounded = True
            first = int(loud.argmax())
            self._silence.append(samples[:first])
            self._silence = [self._shortened()]
        sound = np.concatenate((*self._silence, samples[first:last]))
        self._silence = [samples[last:]]
        return sound

    def end(self) -> np.ndarray:
        """The silence that stays after the sound."""
        if not self._sounded:
            return NOTHING
        return np.concatenate(self._silence)[: self._trail]

    def _shortened(self) -> np.ndarray:
        silence = np.concatenate(self._silence)
        surplus = max(0, silence.size - self._lead)
        self.dropped += surplus
        return silence[surplus:]


class _Resampler:
    """Brings the chunks of one utterance after the other to one sample rate."""

    def __init__(self, sample_rate: int) -> None:
        self._to = sample_rate
        self._from: int | None = None  # rate of the utterance in work
        self._stream: ResampleStream | None = None
        self._stream_from: int | None = None

    def expect(self, sample_rate: int) -> None:
        """Say what rate comes next.

        Raises:
            EngineFailure: the rate differs from that of the utterance's last chunk.
        """
        if self._from not in (None, sample_rate):
            raise EngineFailure(
                f"The engine changed from {self._from} Hz to {sample_rate} Hz within a sentence.",
                "A sentence has one sample rate.",
                "This is a fault of the engine: please report it.",
            )
        self._from = sample_rate

    def convert(self, samples: np.ndarray) -> np.ndarray:
        """float32 [T] → float32 [T']."""
        if self._from in (None, self._to):
            return samples
        if self._stream is None or self._stream_from != self._from:
            from soxr import ResampleStream

            self._stream = ResampleStream(self._from, self._to, 1, dtype="float32")
            self._stream_from = self._from
        return self._stream.resample_chunk(samples)

    def flush(self) -> np.ndarray:
        """The end of the utterance, which the filter still held."""
        ended, self._from = self._from, None
        if self._stream is None or ended in (None, self._to):
            return NOTHING
        rest = self._stream.resample_chunk(NOTHING, last=True)
        self._stream.clear()
        return rest
