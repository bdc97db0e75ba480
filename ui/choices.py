"""What the Speak tab offers to pick from: (label, value) pairs, as Gradio takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from engines.api import Capability, Voice
from engines.runtime import device as devices
from studio.presets import EnginePreset
from studio.studio import Studio

AUTO_DEVICE = "auto"
NO_PRESET = ""

Choices = list[tuple[str, str]]


def engines(capabilities: Iterable[Capability]) -> Choices:
    return [(capability.title, capability.name) for capability in capabilities]


def languages(voices: Iterable[Voice]) -> Choices:
    """Languages that a voice speaks, without their varieties, by English name.

    A language without an English name goes by that of its voice, unless the voice speaks another
    one that has a name: Mandarin is under Chinese.
    """
    named: dict[str, str] = {}
    for voice in voices:
        primaries = list(dict.fromkeys(_primary(tag) for tag in voice.languages))
        known = {primary: name for primary in primaries if (name := _english_name(primary))}
        named.update(known or dict.fromkeys(primaries[:1], voice.name))
    return sorted((name, primary) for primary, name in named.items())


def primary_language(voice: Voice) -> str:
    """The language under which a voice is found; English where it speaks any."""
    primaries = [_primary(tag) for tag in voice.languages]
    return next((p for p in primaries if _english_name(p)), (primaries or ["en"])[0])


def first_choice(studio: Studio, engine: str) -> tuple[str | None, str | None]:
    """The language and the voice to begin with: the engine's default language, and in it the first
    voice, which is a starter voice where there is one. Neither where no model is installed."""
    own = studio.engine(engine).voices()
    if not own:
        return None, None
    language = primary_language(own[0])
    return language, voices(studio.voices(engine), language)[0][1]


def voices(voices: Sequence[Voice], language: str | None) -> Choices:
    """Voices that speak a language, starter voices first."""
    found = [
        voice
        for voice in voices
        if not voice.languages or any(_primary(tag) == language for tag in voice.languages)
    ]
    several = len({voice.gender for voice in found}) > 1
    return [(_label(voice, with_gender=several), voice.id) for voice in found]


def _label(voice: Voice, *, with_gender: bool) -> str:
    if not with_gender or not voice.gender or voice.name.endswith(f" {voice.gender}"):
        return voice.name
    return f"{voice.name} · {voice.gender}"


def language_tag(voices: Iterable[Voice], voice_id: str, language: str) -> str | None:
    """The variety of a language to ask for: the voice's own; None where the voice decides."""
    for voice in voices:
        if voice.id == voice_id:
            own = (tag for tag in voice.languages if _primary(tag) == language)
            return next(own, language)
    return None


def device_choices(capability: Capability, *, titles: bool) -> Choices:
    """Devices that are here and that the engine runs on, with or without what they are."""
    found: Choices = [("Automatic", AUTO_DEVICE)]
    for info in devices.available():
        if info.spec.runtime in capability.runtimes():
            label = f"{info.spec.name} – {info.title}" if titles else info.spec.name
            found.append((label, info.spec.name))
    return found


def presets(presets: Iterable[EnginePreset], engine: str) -> Choices:
    mine = [(preset.title, preset.id) for preset in presets if preset.engine == engine]
    return [("None", NO_PRESET), *mine]


@cache
def _english_name(primary: str) -> str | None:
    from babel import Locale

    return Locale("en").languages.get(primary)


def _primary(tag: str) -> str:
    return tag.split("-")[0].lower()
