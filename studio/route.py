"""From a request as given to a plan with everything decided and checked."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engines import registry
from engines.api import Capability, Engine, SpeechRequest, Voice
from engines.controls import validate
from engines.errors import (
    BadControl,
    BadText,
    UnknownLanguage,
    UnknownVoice,
    UnsupportedRuntime,
)
from engines.runtime import device as devices
from engines.text import clean
from studio.cloning import Cloning
from studio.jobs import Plan
from studio.presets import Presets
from studio.settings import Settings

SEED_LIMIT = 2**32


@dataclass(frozen=True, slots=True)
class Router:
    """Turns requests into plans; knows presets and settings, loads engines through `engine`."""

    settings: Settings
    presets: Callable[[], Presets]
    engine: Callable[[str], Engine]
    cloning: Cloning

    def plan(self, request: SpeechRequest) -> Plan:
        """Decide and check everything about a request.

        Raises:
            InvalidRequest: a value at fault, named in `param`.
        """
        text, notes = self._text(request.text)
        presets = self.presets()
        preset = presets.engine_preset(request.preset) if request.preset else None
        if request.engine is not None:
            self.engine(request.engine)  # or its voice would be blamed for being another engine's
        starter = presets.starter_voice(request.voice, request.engine)
        profile = None if starter else self.cloning.profile(request.owner, request.voice)
        name = request.engine or (starter and starter.engine) or (preset and preset.engine)
        if name is None and profile:
            name = self.cloning.engine()
        engine = self.engine(name or registry.DEFAULT_ENGINE)
        capability = engine.capability
        voice_id = starter.voice if starter else request.voice
        if voice_id is None and preset and preset.engine == capability.name:
            voice_id = preset.voice
        if profile:
            voice = self.cloning.voice(capability, profile)
        else:
            voice = engine_voice(engine, voice_id, request.language)
        values: dict[str, object] = {}
        for layer in (preset, starter):
            if layer and layer.engine == capability.name:
                values.update(layer.controls)
        values.update(_given_controls(request.controls))
        device, device_note = pick_device(self.settings, request.device, capability)
        return Plan(
            request=request,
            text=text,
            engine=capability.name,
            voice=voice,
            language=request.language or (voice.languages or ("en",))[0],
            device=device,
            controls=validate(engine.controls, values),
            seed=checked_seed(request.seed),
            sample_rate=voice.sample_rate or capability.sample_rate,
            notes=notes + device_note,
        )

    def deadline(self, request: SpeechRequest) -> float:
        """Seconds that a request may take, never more than the studio's limit."""
        given, limit = request.deadline, self.settings.deadline
        if given is None:
            return limit
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number or not math.isfinite(given) or given <= 0:
            raise BadControl(
                f"deadline was {given!r:.80}.",
                f"It takes a number of seconds above 0, at most {limit:g}.",
                "Change it or leave it out.",
                param="deadline",
            )
        return min(float(given), limit)

    def _text(self, text: object) -> tuple[str, tuple[str, ...]]:
        if not isinstance(text, str):
            raise BadText(
                f"The text was of type {type(text).__name__}.",
                "It has to be a string.",
                "Send the words to speak.",
                param="text",
            )
        limit = self.settings.max_chars
        if len(text) > limit:
            raise BadText(
                f"The text has {len(text):,} characters.",
                f"One request takes at most {limit:,}.",
                "Send it in parts, a chapter at a time.",
                param="text",
            )
        return clean(text)


def pick_device(
    settings: Settings, given: str | None, capability: Capability
) -> tuple[str, tuple[str, ...]]:
    """The device to work on, and what is to be said of it. An engine that cannot use the studio's
    default device takes its own best one and says so; a device that the request names is never
    replaced."""
    if given is not None:
        return devices.resolve(given, capability.runtimes()).name, ()
    try:
        return devices.resolve(settings.device, capability.runtimes()).name, ()
    except UnsupportedRuntime:
        name = devices.resolve("auto", capability.runtimes()).name
        return name, (f"{capability.title} runs on {name}, not on {settings.device}.",)


def _given_controls(values: object) -> Mapping[str, object]:
    if not isinstance(values, Mapping):
        raise BadControl(
            f"controls was {values!r:.80}.",
            "It takes names and values.",
            "Send an object such as {} or leave it out.",
            param="controls",
        )
    return values


def checked_seed(seed: object) -> int:
    if seed is None:
        return secrets.randbelow(SEED_LIMIT)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEED_LIMIT:
        raise BadControl(
            f"seed was {seed!r:.80}.",
            f"It takes a whole number from 0 to {SEED_LIMIT - 1}.",
            "Change it, or leave it out for one drawn at random.",
            param="seed",
        )
    return seed


def engine_voice(engine: Engine, voice_id: str | None, language: str | None) -> Voice:
    """The voice asked for; without one, the first that speaks the language.

    Raises:
        UnknownVoice: the engine has none of that id, or none at all.
        UnknownLanguage: it does not speak that language.
    """
    voices = engine.voices()
    if voice_id is not None:
        voice = engine.voice(voice_id)
        if language and voice.languages and not any(_speaks(voice, language)):
            raise UnknownLanguage(
                f"The voice {voice_id!r:.80} does not speak {language!r:.40}.",
                f"It speaks {', '.join(voice.languages)}.",
                "Pick another voice, or leave the language out.",
                param="language",
            )
        return voice
    if not voices:
        raise UnknownVoice(
            f"{engine.capability.title} has no voices here: none of its models is installed.",
            "",
            "Download one in the Models tab, or choose another engine.",
            param="voice",
        )
    if language is None:
        return voices[0]
    exact = [voice for voice in voices if _speaks(voice, language)[0]]
    near = exact or [voice for voice in voices if _speaks(voice, language)[1]]
    if not near:
        raise UnknownLanguage(
            f"{engine.capability.title} has no voice for the language {language!r:.40}.",
            f"It speaks {_languages(voices)}.",
            "Pick one of these as a BCP 47 tag, such as en-US or de.",
            param="language",
        )
    return near[0]


def _speaks(voice: Voice, language: str) -> tuple[bool, bool]:
    """Whether a voice speaks a language: exactly that variety; at least the language."""
    given = language.lower().replace("_", "-")
    tags = [tag.lower() for tag in voice.languages]
    primary = given.split("-")[0]
    return given in tags, not tags or any(tag.split("-")[0] == primary for tag in tags)


def _languages(voices: Sequence[Voice]) -> str:
    tags = sorted({tag.split("-")[0] for voice in voices for tag in voice.languages})
    return ", ".join(tags)
