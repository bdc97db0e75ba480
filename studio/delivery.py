"""The single exit of sound: trim, pause or cross-fade, level. One `Master` serves one request.

What it delivers depends on the audio alone, never on how the engine cut it into chunks, and it
holds back no more than it must: the silence at the end of a sentence until that ends, the length
of a cross-fade, and one frame of `studio.loudness`.

Shapes: T samples of one call, at the delivered sample rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from engines.api import AudioChunk, Utterance, WordTime
from engines.errors import EngineFailure
from studio.jobs import CaptionWord, SentenceTiming
from studio.loudness import NOTHING, Leveller

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
        self._position = 0  # samples handed to the leveller
        self._tail = NOTHING  # end of the last piece, while it may be cross-faded
        self._pause = 0.0  # seconds owed before the next sound

    def begin(self, utterance: Utterance) -> np.ndarray:
        """Start an utterance. Returns the silence of one that is a mere pause."""
        self._utterance = utterance
        self._words: list[WordTime] = []
        self._trimmer = _Trimmer(self._sample_rate, SOUND if self._trim else -1.0)
        self._held = NOTHING  # sound that a fade may still change
        self._placed = False  # its first sample has its place in the delivered audio
        self._first = self._position + self._tail.size
        if utterance.spans:
            return NOTHING
        self._pause = max(0.0, self._pause - utterance.pause_after)
        out = np.concatenate((self._faded_tail(), self._silence(utterance.pause_after)))
        return np.concatenate((self._give(out), self._leveller.flush()))

    def push(self, chunk: AudioChunk) -> np.ndarray:
        """Take the next chunk of the utterance.

        Raises:
            EngineFailure: it holds NaN or infinity, or its sample rate is not that of the last one.
        """
        if not np.isfinite(chunk.samples).all():
            raise EngineFailure(
                "The engine made samples that are not finite numbers.",
                "Audio holds neither NaN nor infinity.",
                "Try again with another seed; if it stays, take another voice.",
            )
        self._words.extend(chunk.words)
        samples = self._resampler.convert(chunk.samples, chunk.sample_rate)
        return self._take(self._trimmer.push(samples))

    def end(self) -> tuple[np.ndarray, SentenceTiming]:
        """End the utterance. Returns the rest of its sound, and where the whole of it lies."""
        kept = self._take(self._trimmer.push(self._resampler.flush()))
        self._held = np.concatenate((self._held, self._trimmer.end()))
        out = [kept]
        if self._held.size:
            body = self._held if self._placed else self._place(self._held)
            cut = max(0, body.size - self._overlap)
            self._tail = body[cut:]
            out.append(self._give(body[:cut]))
        end = self._position + self._tail.size
        self._pause = max(self._pause, self._utterance.pause_after)
        if self._utterance.spans and self._pause >= SHORTEST_PAUSE:
            out += [self._give(self._faded_tail()), self._leveller.flush()]
        return np.concatenate(out), self._timing(end)

    def finish(self) -> np.ndarray:
        """Returns what is left once every utterance has ended."""
        return np.concatenate((self._give(self._faded_tail()), self._leveller.flush()))

    def _take(self, samples: np.ndarray) -> np.ndarray:
        self._held = np.concatenate((self._held, samples))
        free = self._held.size - self._overlap
        if free < (1 if self._placed else self._overlap):
            return NOTHING
        sound, self._held = self._held[:free], self._held[free:]
        return self._give(sound if self._placed else self._place(sound))

    def _place(self, sound: np.ndarray) -> np.ndarray:
        """Join the first sound of an utterance to what came before it."""
        self._placed = True
        pause, self._pause = self._pause, 0.0
        if self._tail.size and pause < SHORTEST_PAUSE:
            tail, self._tail = self._tail, NOTHING
            size = min(tail.size, sound.size)
            self._first = self._position + tail.size - size
            rise = _rise(size)
            mixed = tail[tail.size - size :] * rise[::-1] + sound[:size] * rise
            return np.concatenate((tail[: tail.size - size], mixed, sound[size:]))
        before = np.concatenate((self._faded_tail(), self._silence(pause)))
        self._first = self._position + before.size
        size = min(self._fade_size, sound.size)
        return np.concatenate((before, sound[:size] * _rise(size) ** 2, sound[size:]))

    def _faded_tail(self) -> np.ndarray:
        tail, self._tail = self._tail, NOTHING
        size = min(self._fade_size, tail.size)
        steady = tail.size - size
        return np.concatenate((tail[:steady], tail[steady:] * _rise(size)[::-1] ** 2))

    @property
    def _fade_size(self) -> int:
        return round(FADE * self._sample_rate)

    def _silence(self, seconds: float) -> np.ndarray:
        return np.zeros(round(seconds * self._sample_rate), np.float32)

    def _give(self, samples: np.ndarray) -> np.ndarray:
        self._position += samples.size
        return self._leveller.feed(samples)

    def _timing(self, end: int) -> SentenceTiming:
        start_time, end_time = self._first / self._sample_rate, end / self._sample_rate
        offset = (self._first - self._trimmer.dropped) / self._sample_rate
        return SentenceTiming(
            index=self._utterance.index,
            text=self._utterance.source.strip(),
            start=start_time,
            end=end_time,
            words=tuple(
                CaptionWord(
                    text,
                    min(max(start + offset, start_time), end_time),
                    min(max(stop + offset, start_time), end_time),
                )
                for text, start, stop in source_words(self._utterance, self._words)
            ),
        )


def _rise(size: int) -> np.ndarray:
    """A quarter sine from 0 to 1; its square and that of its mirror image add up to 1."""
    return np.sin(np.linspace(0, np.pi / 2, size, dtype=np.float32))


def source_words(
    utterance: Utterance, words: Iterable[WordTime]
) -> list[tuple[str, float, float]]:
    """Words as the user wrote them: text, start and end in seconds of the utterance.

    A span that is spoken in other words than it was written in counts as one word, however many
    words were spoken for it.
    """
    found: list[tuple[int, int, float, float]] = []  # from and to character of source, times
    for word in sorted(words, key=lambda word: word.start):
        first, last = _source_range(utterance, word.position, word.position + word.length)
        if first == last:
            continue
        if found and first < found[-1][1] and last > found[-1][0]:
            before = found.pop()
            first, last = min(first, before[0]), max(last, before[1])
            found.append((first, last, before[2], max(word.end, before[3])))
        else:
            found.append((first, last, word.start, word.end))
    source = utterance.source
    return [(source[first:last].strip(), start, end) for first, last, start, end in found]


def _source_range(utterance: Utterance, start: int, end: int) -> tuple[int, int]:
    """Characters of `source` that stand for characters of `spoken`; an empty range for none."""
    ranges: list[tuple[int, int]] = []
    written = said = 0
    for span in utterance.spans:
        low, high = max(start - said, 0), min(end - said, len(span.spoken))
        if low < high:
            if span.source == span.spoken:
                ranges.append((written + low, written + high))
            elif span.source.strip():
                ranges.append((written, written + len(span.source)))
        written += len(span.source)
        said += len(span.spoken)
    return (ranges[0][0], ranges[-1][1]) if ranges else (0, 0)


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
    """Brings the chunks of an utterance to one sample rate."""

    def __init__(self, sample_rate: int) -> None:
        self._to = sample_rate
        self._from: int | None = None  # of the utterance in work
