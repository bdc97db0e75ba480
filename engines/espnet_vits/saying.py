"""One sentence of a release: encoded, spread over its frames, made into sound part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from engines.api import AudioChunk, CancelToken
from engines.errors import EngineFailure
from engines.espnet_vits import streaming, synthesis
from engines.espnet_vits.controls import MOST_FRAMES, EspnetVitsControls
from engines.espnet_vits.frontend import Encoded
from engines.espnet_vits.shelf import Installed
from engines.runtime.noise import normal
from engines.runtime.residents import BoundStages
from engines.runtime.stage import Bound


@dataclass(frozen=True)
class Saying:
    """What is said, and how.

    Attributes:
        conditions: what the model takes of "sid", "spembs" and "lid".
        durations: frames of each token, int64 [T_text], where they are given.
        name: of the noise: another for each sentence.
        largest_part: frames that are decoded at once.
    """

    installed: Installed
    encoded: Encoded
    conditions: Mapping[str, np.ndarray]
    durations: np.ndarray | None
    controls: EspnetVitsControls
    seed: int
    name: str
    largest_part: int = streaming.LARGEST_PART


def say(bound: BoundStages, saying: Saying, cancel: CancelToken) -> Iterator[AudioChunk]:
    """
    Raises:
        EngineFailure: the model would speak for minutes.
    """
    config = saying.installed.release.config
    hop, rate = config.generator.hop, config.sampling_rate
    given = 0  # samples
    longest = bound["encode"].longest("T_text") or streaming.LONGEST_TEXT
    for number, part in enumerate(streaming.cut_text(saying.encoded.tokens, longest)):
        cancel.raise_if_set()
        name = f"{saying.name}.{number}" if number else saying.name
        prior = _prior(bound, saying, part, name)
        shape = (1, config.generator.hidden_channels, len(prior.token))
        noise = normal(saying.seed, f"sound {name}", shape)
        borders = (given + hop * np.concatenate([[0], np.cumsum(prior.durations)])) / rate
        words = streaming.words(saying.encoded.tokens[part], borders)
        parts = streaming.sound(
            bound, prior, noise, saying.controls.noise_scale, config.generator, saying.largest_part
        )
        for samples in parts:
            cancel.raise_if_set()
            given += len(samples)
            heard = [word for word in words if word.end <= given / rate]
            words = words[len(heard) :]
            yield AudioChunk(samples, rate, tuple(heard))


def _prior(bound: BoundStages, saying: Saying, part: slice, name: str) -> synthesis.Prior:
    ids = saying.encoded.ids[part]
    text = synthesis.Text(
        ids=ids,
        noise=normal(saying.seed, f"durations {name}", (1, 2, len(ids))),
        conditions=saying.conditions,
        noise_scale=saying.controls.noise_scale_dur,
        alpha=1 / saying.controls.speed,
    )
    durations = None if saying.durations is None else saying.durations[part]

    def encode(**inputs: np.ndarray) -> dict[str, np.ndarray]:
        out = bound["encode"](**inputs)
        _check_length(out["durations"] if durations is None else durations, saying)
        return out

    return synthesis.encode({"encode": cast("Bound", encode)}, text, durations)


def _check_length(durations: np.ndarray, saying: Saying) -> None:
    """Before anything is spread over that many frames."""
    total = float(durations.sum(dtype=np.float64))
    if durations.min() < 0 or total > MOST_FRAMES:  # beyond int64 they come out below 0
        config = saying.installed.release.config
        limit = MOST_FRAMES * config.generator.hop / config.sampling_rate
        raise EngineFailure(
            f"{saying.installed.id} would speak longer than {limit:.0f} s for one sentence.",
            f"A sentence takes at most {MOST_FRAMES:,} frames.",
            "Raise speed, lower noise_scale_dur, or give a shorter sentence.",
        )
