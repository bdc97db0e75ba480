"""What is kept of a voice that was made from clips: the clips, and what a model heard in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from engines.api import Reference
from engines.coqui.performing import Latents
from engines.coqui.shelf import Installed

CLIP, RATE, LATENTS = "clip", "rate", "latents"
PIECE = 20.0  # seconds that a model says in another voice at once


def pack(
    references: Sequence[Reference], installed: Installed, latents: Latents
) -> dict[str, np.ndarray]:
    """Arrays by name: samples and rate of each clip, and the latents of one model."""
    kept = {f"{_prefix(installed)}/{name}": array for name, array in latents.items()}
    for number, each in enumerate(references):
        kept[f"{CLIP}/{number}"] = np.asarray(each.samples, np.float32)
        kept[f"{RATE}/{number}"] = np.array([each.sample_rate], np.int64)
    return kept


def latents_of(kept: Mapping[str, np.ndarray], installed: Installed) -> Latents | None:
    """What this model heard in them; None where it has not listened yet."""
    start = f"{_prefix(installed)}/"
    found = {key[len(start) :]: array for key, array in kept.items() if key.startswith(start)}
    return found or None


def references_of(kept: Mapping[str, np.ndarray]) -> list[Reference]:
    numbers = sorted(int(key.partition("/")[2]) for key in kept if key.startswith(f"{CLIP}/"))
    return [
        Reference(kept[f"{CLIP}/{number}"], int(kept[f"{RATE}/{number}"][0])) for number in numbers
    ]


def pieces(clip: Reference, seconds: float = PIECE) -> Iterator[Reference]:
    """A long clip in parts, cut where it is quietest; a model hears each as a whole, and what that
    takes grows faster than its length."""
    samples, rate = clip.samples, clip.sample_rate
    most, hop = int(seconds * rate), max(1, rate // 50)
    while samples.size > most:
        late = samples[most // 2 : most]
        steps = late[: late.size // hop * hop].reshape(-1, hop)
        quietest = int(np.square(steps).mean(axis=1).argmin())
        cut = most // 2 + quietest * hop + hop // 2
        yield Reference(samples[:cut], rate)
        samples = samples[cut:]
    yield Reference(samples, rate)


def digest(kept: Mapping[str, np.ndarray]) -> str:
    """A hash of the clips."""
    found = hashlib.sha256()
    for each in references_of(kept):
        found.update(each.sample_rate.to_bytes(4, "little"))
        found.update(np.ascontiguousarray(each.samples).tobytes())
    return found.hexdigest()


def _prefix(installed: Installed) -> str:
    return f"{LATENTS}/{installed.id}@{installed.version}"
