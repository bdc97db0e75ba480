"""Ids to samples: the order in which bound stages are called, and what the host does between them.

T_text tokens, T_mel latent frames, T_wav samples, H hidden channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from engines.espnet_vits.config import GeneratorConfig
from engines.nn.alignment import expand, token_of_frame
from engines.runtime.stage import Bound

NOISE_SCALE, NOISE_SCALE_DUR, ALPHA = 0.667, 0.8, 1.0  # ESPnet's defaults


@dataclass(frozen=True)
class Prior:
    """A text that is encoded and spread over its frames.

    Attributes:
        m, logs: float32 [1, H, T_mel].
        g: the condition by name, empty where the model has one voice.
        durations: frames of each token, [T_text].
        token: int64 [T_mel], the token of each frame.
    """

    m: np.ndarray
    logs: np.ndarray
    g: Mapping[str, np.ndarray]
    durations: np.ndarray
    token: np.ndarray


@dataclass(frozen=True)
class Text:
    """What is spoken, and by whom.

    Attributes:
        ids: int64 [T_text], at least one.
        noise: standard normal, float32 [1, 2, T_text].
        conditions: what the model takes of "sid" and "lid", int64 [1], and "spembs", [1, D].
        alpha: above 1 is slower.
    """

    ids: np.ndarray
    noise: np.ndarray
    conditions: Mapping[str, np.ndarray] = field(default_factory=dict)
    noise_scale: float = NOISE_SCALE_DUR
    alpha: float = ALPHA


def encode(bound: Mapping[str, Bound], text: Text, durations: np.ndarray | None = None) -> Prior:
    """Run the encoder; how long the speech is, is known after it.

    Args:
        durations: frames of each token instead of the predicted ones, [T_text].
    """
    out = bound["encode"](
        ids=text.ids[None],
        noise_dur=text.noise,
        noise_scale_dur=np.float32(text.noise_scale),
        alpha=np.float32(text.alpha),
        **text.conditions,
    )
    chosen = out["durations"][0] if durations is None else durations
    token = token_of_frame(chosen)
    return Prior(
        m=expand(out["m"], token),
        logs=expand(out["logs"], token),
        g={"g": out["g"]} if "g" in out else {},
        durations=chosen,
        token=token,
    )


def speak(
    bound: Mapping[str, Bound], prior: Prior, noise: np.ndarray, noise_scale: float = NOISE_SCALE
) -> np.ndarray:
    """
    Args:
        noise: standard normal, float32 [1, H, T_mel].

    Returns:
        float32 [T_wav].
    """
    out = bound["render"](
        m=prior.m, logs=prior.logs, noise=noise, noise_scale=np.float32(noise_scale), **prior.g
    )
    return out["wav"][0]


def latent(
    bound: Mapping[str, Bound], prior: Prior, noise: np.ndarray, noise_scale: float = NOISE_SCALE
) -> np.ndarray:
    """As `speak`, but what the decoder takes, float32 [1, H, T_mel]: for decoding in parts."""
    out = bound["flow"](
        m=prior.m, logs=prior.logs, noise=noise, noise_scale=np.float32(noise_scale), **prior.g
    )
    return out["z"]


def decode(bound: Mapping[str, Bound], z: np.ndarray, g: Mapping[str, np.ndarray]) -> np.ndarray:
    """float32 [1, H, T_mel] → [T_wav], in one pass."""
    return bound["decoder"](z=z, **g)["wav"][0]


def decode_parts(
    bound: Mapping[str, Bound],
    z: np.ndarray,
    g: Mapping[str, np.ndarray],
    config: GeneratorConfig,
    sizes: Iterator[int],
) -> Iterator[np.ndarray]:
    """The same in parts: joined they are what one pass gives.

    Args:
        sizes: frames of each part, without an end. The first has to be longer than the decoder's
            delay for any sound to come of it.
    """
    part, carry, frames = bound["decode_part"], config.carry, z.shape[2]
    ports = {port.name: port for port in part.stage.inputs}
    held = {
        name: np.zeros(port.size({}), np.float32)
        for name, port in ports.items()
        if name.startswith("held_")
    }
    start, behind = 0, -(-carry.delay // config.hop)  # frames until the last sample is out
    z = np.concatenate([z, np.zeros((*z.shape[:2], behind), z.dtype)], axis=2)
    while start < z.shape[2]:
        size = next(sizes)
        # a short rest would hardly take less time than a whole part
        end = start + size if z.shape[2] - start >= size + size // 2 else z.shape[2]
        out = part(z=z[:, :, start:end], start=start, frames=frames, **g, **held)
        held = {name: out[name.replace("held", "kept")] for name in held}
        first = config.hop * start - carry.delay  # sample that `wav` begins with
        wav = out["wav"][0, max(0, -first) : config.hop * frames - first]
        start = end
        if wav.size:
            yield wav
