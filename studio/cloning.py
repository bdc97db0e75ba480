"""Between the voice library and the engines: who can speak with a stored voice, and with what."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from engines.api import CancelToken, Capability, CloningEngine, Engine, Voice
from engines.errors import UnknownVoice

if TYPE_CHECKING:
    from studio.voices import LibraryVoice, VoiceLibrary

_ID = re.compile(r"[0-9a-f]{16}")


class Cloning:
    """Looks voices up for requests.

    Args:
        library: the voice library, opened when it is first needed.
        cloners: engines that clone, the best first.
    """

    def __init__(
        self,
        library: Callable[[], VoiceLibrary],
        cloners: Callable[[], Sequence[Capability]],
    ) -> None:
        self._library = library
        self._cloners = cloners

    def profile(self, owner: str, given: str | None) -> LibraryVoice | None:
        """The owner's stored voice of that id; None where it is no id of a stored voice.

        Raises:
            UnknownVoice: it looks like one, and this owner has none of that id.
        """
        if not isinstance(given, str) or not _ID.fullmatch(given):
            return None
        return self._library().get(owner, given)

    def engine(self) -> str:
        """The engine that clones best.

        Raises:
            UnknownVoice: none does.
        """
        for capability in self._cloners():
            return capability.name
        raise UnknownVoice(
            "The voice is one of your own, made from a clip.",
            "No engine that is installed here can speak with such a voice.",
            "Pick a voice of the engine itself.",
            param="voice",
        )

    def voice(self, capability: Capability, profile: LibraryVoice) -> Voice:
        """The stored voice as one of an engine.

        Raises:
            UnknownVoice: the engine does not clone.
        """
        if not capability.clones:
            others = [one.name for one in self._cloners()]
            raise UnknownVoice(
                f"{capability.title} cannot speak with {profile.name!r:.80}, a voice made from a "
                "clip.",
                f"Engines that can: {', '.join(others)}." if others else "No engine here can.",
                "Choose another engine, or a voice of this one.",
                param="voice",
            )
        languages = (profile.language,) if profile.language else ()
        return Voice(
            profile.id, profile.name, capability.name, languages, "", ("cloned",), profile.id
        )

    def conditioned(
        self, owner: str, voice: Voice, engine: Engine, device: str, cancel: CancelToken
    ) -> Voice:
        """The voice with what the engine needs of its clips; others as they are.

        Raises:
            UnknownVoice: it was deleted meanwhile.
            BadReference: its clips do not do for this engine.
        """
        if not voice.reference:
            return voice
        cloner = cast("CloningEngine", engine)
        arrays = self._library().conditioning(owner, voice.reference, cloner, device, cancel)
        return replace(voice, conditioning=arrays)
