"""What a clip loses on its way to an engine: silence, noise, and an odd level.

Nothing here changes how the voice sounds: the gain is the same from the first sample to the last.

Shapes: T samples, F frames of speech.FRAME seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio.loudness import HOP, HOP_STEP, LoudnessMeter, lufs
from studio.reference import speech

Span = tuple[float, float]  # seconds of the original, from and to

MARGIN = 0.15  # seconds that stay before and after speech
SHORTEST_CUT = 0.2  # seconds between two margins; less is not worth a cut
LONGEST_KEPT = 60.0  # seconds; of a longer clip only the best part is kept
BEST_PART = 30.0  # seconds of that part
LONGEST_PIECE = 8.0  # seconds; speech without a pause is looked at in pieces of that length
CROSSFADE = 0.010  # seconds in which one piece goes over into the next
LOUDNESS = -20.0  # LUFS of what is kept
PEAK = -1.0  # dBFS that no sample of it exceeds
LOUDEST_GAIN = 40.0  # dB
NOISE_NEEDED = 0.4  # seconds of background from which its spectrum is taken
SUPPRESSED = 0.85  # of the noise; the last bit is what makes a voice sound like water


def speech_spans(likely: np.ndarray, seconds: float) -> list[Span]:
    """Where speech is, with a margin; short pauses belong to it.

    Args:
        likely: float32 [F], of `speech.probabilities`.
        seconds: length of the clip.
    """
    spans: list[Span] = []
    for begin, end in speech.passages(likely):
        start = max(0.0, begin * speech.FRAME - MARGIN)
        stop = min(seconds, end * speech.FRAME + MARGIN)
        if spans and start - spans[-1][1] < SHORTEST_CUT:
            spans[-1] = (spans[-1][0], stop)
        else:
            spans.append((start, stop))
    return spans


def total(spans: Sequence[Span]) -> float:
    return sum(end - start for start, end in spans)


def best_part(spans: Sequence[Span], likely: np.ndarray) -> list[Span]:
    """All spans, or of more than LONGEST_KEPT seconds the BEST_PART in which speech is plainest:
    noise, music and several voices at once make it less likely."""
    if total(spans) <= LONGEST_KEPT:
        return list(spans)
    pieces = [piece for span in spans for piece in _pieces(span, likely)]
    best: tuple[float, list[Span]] = (-1.0, [])
    for first in range(len(pieces)):
        chosen: list[Span] = []
        for piece in pieces[first:]:
            if total(chosen) + piece[1] - piece[0] > BEST_PART:
                break
            chosen.append(piece)
        if total(chosen) < BEST_PART - LONGEST_PIECE:
            break  # nothing but a rest is left
        score = float(np.mean(np.concatenate([_frames(piece, likely) for piece in chosen])))
        if score > best[0]:
            best = (score, chosen)
    return _joined(best[1])


def cut(samples: np.ndarray, sample_rate: int, spans: Sequence[Span]) -> np.ndarray:
    """The spans one after another, cross-faded; float32 [T] → float32 [T'], newly allocated."""
    pieces = [
        samples[round(start * sample_rate) : round(end * sample_rate)] for start, end in spans
    ]
    out = pieces[0].astype(np.float32)
    for piece in pieces[1:]:
        overlap = min(round(CROSSFADE * sample_rate), out.size, piece.size)
        rise = np.linspace(0, 1, overlap, dtype=np.float32)
        mixed = out[out.size - overlap :] * (1 - rise) + piece[:overlap] * rise
        out = np.concatenate((out[: out.size - overlap], mixed, piece[overlap:]))
    return out


def denoise(samples: np.ndarray, sample_rate: int, noise: np.ndarray) -> np.ndarray:
    """Less of a steady background.

    Args:
        samples: float32 [T].
        noise: float32 [T'], the background alone; where that is too short, what is always there
            counts as the background.
    """
    from noisereduce import reduce_noise

    steady = noise.size >= NOISE_NEEDED * sample_rate
    quieter = reduce_noise(
        y=samples,
        sr=sample_rate,
        stationary=steady,
        y_noise=noise if steady else None,
        prop_decrease=SUPPRESSED,
        chunk_size=None,  # in one go, which needs no file
    )
    return np.asarray(quieter, np.float32)


def level(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """The same sound at LOUDNESS, or as near to it as PEAK allows; no constant offset."""
    centred = samples - samples.mean(dtype=float)
    peak = float(np.abs(centred).max())
    if not peak:
        return centred.astype(np.float32)
    loudness = _integrated(centred, sample_rate)
    gain = min(LOUDNESS - loudness, LOUDEST_GAIN, PEAK - 20 * np.log10(peak))
    return (centred * 10 ** (gain / 20)).astype(np.float32)


def _integrated(samples: np.ndarray, sample_rate: int) -> float:
    """LUFS; of a sound that is too short for a measure, by its mean square."""
    hop = HOP_STEP * max(1, round(HOP * sample_rate / HOP_STEP))
    whole = samples.size - samples.size % hop
    meter = LoudnessMeter(sample_rate)
    meter.feed(samples[:whole].astype(np.float32).reshape(-1, hop), 1)
    measured = meter.integrated()
    return measured if np.isfinite(measured) else lufs(float(np.mean(np.square(samples))))


def _frames(span: Span, likely: np.ndarray) -> np.ndarray:
    return likely[int(span[0] / speech.FRAME) : max(1, int(np.ceil(span[1] / speech.FRAME)))]


def _pieces(span: Span, likely: np.ndarray) -> list[Span]:
    """A span in pieces, cut where speech is least likely."""
    start, end = span
    pieces = []
    while end - start > LONGEST_PIECE:
        half, whole = start + LONGEST_PIECE / 2, start + LONGEST_PIECE
        window = _frames((half, whole), likely)
        at = (int(half / speech.FRAME) + int(window.argmin())) * speech.FRAME
        at = min(max(at, half), whole)
        pieces.append((start, at))
        start = at
    return [*pieces, (start, end)]


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Pieces that follow each other without a gap are one span again."""
    out: list[Span] = []
    for start, end in spans:
        if out and start - out[-1][1] < 1e-6:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out
