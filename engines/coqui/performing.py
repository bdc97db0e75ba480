"""Who speaks with a model: the library's whole model, or one that is split into stages.

A performer that runs a kind of models in stages takes them over where it can, by one line in
`PERFORMERS`; the library's own way stands last and takes every model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from engines.api import AudioChunk, CancelToken, EngineContext, Reference
from engines.coqui.controls import CoquiControls
from engines.coqui.shelf import Installed

Latents = Mapping[str, np.ndarray]  # what a clip is to a model, by the library's names

PERFORMERS = ("engines.coqui.xtts.performing:StagedXtts", "engines.coqui.opaque:Opaque")


@dataclass(frozen=True, slots=True)
class Saying:
    """One sentence to be spoken.

    Attributes:
        language: the model's own name; "" where it has one language.
        speaker: the model's own name; "" for a voice that was made from a clip.
        latents: of that clip; None for one of the model's own speakers.
    """

    text: str
    language: str
    speaker: str
    latents: Latents | None
    controls: CoquiControls


class Performer(Protocol):
    def __init__(self, context: EngineContext) -> None: ...

    def takes(self, installed: Installed, device: str) -> bool:
        """Whether it speaks with this model on this device."""
        ...

    def condition(
        self,
        installed: Installed,
        references: Sequence[Reference],
        *,
        device: str,
        cancel: CancelToken,
    ) -> Latents:
        """What the clips are to the model. Every performer of a kind gives the same names and
        shapes, so that a voice that was made by one is spoken by another.

        Raises:
            BadReference: the clips do not do.
        """
        ...

    def speak(
        self,
        installed: Installed,
        saying: Saying,
        *,
        device: str,
        seed: int,
        cancel: CancelToken,
    ) -> Iterator[AudioChunk]: ...


def performers(context: EngineContext) -> tuple[Performer, ...]:
    """All of them, the preferred first; their models are loaded when they are used."""

    def made(place: str) -> Any:
        module, _, name = place.partition(":")
        return getattr(import_module(module), name)(context)

    return tuple(made(place) for place in PERFORMERS)
