"""A sentence's ids to its latents, one for each code, in the order in which stages are called."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engines.api import CancelToken
from engines.coqui.xtts.checkpoint import Speaker
from engines.coqui.xtts.config import CODE, LATENTS, TEXT, VOICE, XttsConfig
from engines.decode import Sampler, decode
from engines.runtime.sequences import Sequences


def latents(
    sequences: Sequences,
    ids: tuple[int, ...],
    speaker: Speaker,
    sampler: Sampler,
    config: XttsConfig,
    cancel: CancelToken,
) -> Iterator[np.ndarray]:
    """What the decoder makes sound of, float32 [C] for each code, the last for the stop.

    The published model reads text and codes a second time to get these; but what it gets is what
    stood before each code was chosen, since no position looks ahead.

    Args:
        ids: the text's, its ends among them.
        sampler: made with `heard_before`.
    """
    args = config.model_args
    voice = speaker.latents[None]

    def feed(codes: np.ndarray, before: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "kinds": np.full((len(codes), 1), CODE),
            "ids": codes[:, None],
            "places": before[:, None] + 1,  # the start is the first
            "voice": voice,
        }

    for spoken in decode(
        sequences,
        sequences.prefill(None, **prompt(ids, args.gpt_start_audio_token), voice=voice),
        pick=lambda outputs, rows: [sampler(outputs["logits"][row]) for row in rows],
        feed=feed,
        stops=lambda _, code: code == args.gpt_stop_audio_token,
        limits=[config.most_codes],
        cancel=cancel,
    ):
        yield spoken.outputs["latent"]


def heard_before(config: XttsConfig) -> tuple[int, ...]:
    """Codes that count as repeated from the start: the one that begins, and code 1, which the
    library fills the place of the text with."""
    return 1, config.model_args.gpt_start_audio_token


def prompt(ids: tuple[int, ...], start: int) -> dict[str, np.ndarray]:
    """What stands before the first code: the voice, the text, the code that begins.

    Returns:
        kinds, ids and places, int64 [1, N + T_text + 1] each.
    """
    parts = (
        (VOICE, np.arange(LATENTS), np.zeros(LATENTS, np.int64)),
        (TEXT, np.array(ids, np.int64), np.arange(len(ids))),
        (CODE, np.array([start]), np.zeros(1, np.int64)),
    )
    return {
        "kinds": np.concatenate([np.full(len(which), kind) for kind, which, _ in parts])[None],
        "ids": np.concatenate([which for _, which, _ in parts])[None],
        "places": np.concatenate([places for *_, places in parts])[None],
    }
