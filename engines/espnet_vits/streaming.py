"""A sentence in parts: over-long ones at the text, sound at the frames, words as they are heard.

T_text tokens, T_mel latent frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from engines.api import WordTime
from engines.espnet_vits import synthesis
from engines.espnet_vits.config import GeneratorConfig
from engines.espnet_vits.frontend import Token
from engines.espnet_vits.synthesis import Prior
from engines.runtime.buckets import geometric
from engines.runtime.stage import Bound

LONGEST_TEXT = 512  # tokens that are encoded at once
# Longer speech goes through the graphs in parts, so the largest need not hold a whole sentence.
BUCKETS = {"T_text": geometric(32, LONGEST_TEXT), "T_mel": geometric(64, 1024)}

# Frames. Each part is longer than the one before, so that it is there before that has been heard
# where speech takes a third of its own time. Long ones leave a processor's cache; what computes on
# something else has to be called less often.
FIRST_PART, GROWTH, LARGEST_PART, LARGEST_ON_GPU = 32, 2, 96, 512
PAUSES = frozenset(",.?!;:、。，．！？；：_")  # tokens after which a sentence is best cut


def cut_text(tokens: Sequence[Token], longest: int) -> list[slice]:
    """Parts of a sentence that are encoded one after the other: one, unless it is over-long. It is
    cut after a pause in the later half of a part, else between words, else anywhere."""
    parts, start = [], 0
    while len(tokens) - start > longest:
        places = range(start + longest, start + longest // 2, -1)
        after_pause = (at for at in places if tokens[at - 1].text in PAUSES)
        between_words = (at for at in places if tokens[at - 1].position != tokens[at].position)
        end = next(after_pause, None) or next(between_words, start + longest)
        parts.append(slice(start, end))
        start = end
    return [*parts, slice(start, len(tokens))]


def sound(
    bound: Mapping[str, Bound],
    prior: Prior,
    noise: np.ndarray,
    noise_scale: float,
    config: GeneratorConfig,
    largest: int = LARGEST_PART,
) -> Iterator[np.ndarray]:
    """The sound of a text in parts, float32 [hop * frames]: joined they are what one pass gives.

    Args:
        bound: with "flow" and "decode_part" the first part is soon there; with "render", for
            runtimes that compile, there is one part where a graph holds it.
        noise: standard normal, float32 [1, H, T_mel].
        largest: frames of the later parts.
    """
    if "render" in bound:
        yield from _rendered(bound, prior, noise, noise_scale, config)
        return
    z = synthesis.latent(bound, prior, noise, noise_scale)
    yield from synthesis.decode_parts(bound, z, prior.g, config, growing(largest))


def largest_part(device: str) -> int:
    """Frames of the later parts on a device."""
    return LARGEST_PART if device in ("cpu", "onnx") else LARGEST_ON_GPU


def flow_reach(config: GeneratorConfig) -> int:
    """Frames on each side beyond which the flow looks at nothing."""
    dilations = sum(config.flow_base_dilation**layer for layer in range(config.flow_layers))
    return config.flow_flows * (config.flow_kernel_size // 2) * dilations


def words(tokens: Sequence[Token], borders: np.ndarray) -> list[WordTime]:
    """When each word sounds.

    Args:
        borders: of the tokens, in seconds, [T_text + 1].
    """
    found: list[WordTime] = []
    times = borders.tolist()
    for token, start, end in zip(tokens, times, times[1:], strict=False):
        if token.length == 0 or not any(sign.isalnum() for sign in token.text):
            continue
        if found and found[-1].position == token.position:
            start = found.pop().start
        found.append(WordTime(start, end, token.position, token.length))
    return found


def _rendered(
    bound: Mapping[str, Bound],
    prior: Prior,
    noise: np.ndarray,
    noise_scale: float,
    config: GeneratorConfig,
) -> Iterator[np.ndarray]:
    frames, largest = noise.shape[2], bound["render"].longest("T_mel")
    overlap = config.reach + flow_reach(config)
    whole = largest is None or frames <= largest
    size = frames if whole or largest is None else max(1, largest - 2 * overlap)
    for start in range(0, frames, size):
        end = min(frames, start + size)
        left, right = max(0, start - overlap), min(frames, end + overlap)
        part = Prior(
            m=prior.m[:, :, left:right],
            logs=prior.logs[:, :, left:right],
            g=prior.g,
            durations=prior.durations,
            token=prior.token[left:right],
        )
        wav = synthesis.speak(bound, part, noise[:, :, left:right], noise_scale)
        yield wav[(start - left) * config.hop : (end - left) * config.hop]


def growing(largest: int) -> Iterator[int]:
    """Frames of one part after the other, without an end."""
    size = FIRST_PART
    while True:
        yield size
        size = min(largest, size * GROWTH)
