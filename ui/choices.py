"""What the Speak tab offers to pick from: (label, value) pairs, as Gradio takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from engines.api import Capability, Voice
from engines.runtime import device as devices
from studio.presets import EnginePreset

AUTO_DEVICE = "auto"
NO_PRESET = ""

Choices = list[tuple[str, str]]


def engines(capabilities: Iterable[Capability]) -> Choices:
    return [(capability.title, capability.name) for capability in capabilities]


def languages(voices: Iterable[Voice]) -> Choices:
    """Languages that a voice speaks, without their varieties, by English name."""
    primaries = {_primary(tag) for voice in voices for tag in voice.languages}
    return sorted((language_name(primary), primary) for primary in primaries)


def primary_language(voice: Voice) -> str:
    """The language of a voice without its variety; English where it speaks any."""
    return _primary(voice.languages[0]) if voice.languages else "en"


def voices(voices: Sequence[Voice], language: str) -> Choices:
    """Voices that speak a language, starter voices first."""
    return [
        (_voice_label(voice), voice.id)
        for voice in voices
        if not voice.languages or any(_primary(tag) == language for tag in voice.languages)
    ]


def language_tag(voices: Iterable[Voice], voice_id: str, language: str) -> str | None:
    """The variety of a language to ask for: the voice's own; None where the voice decides."""
    for voice in voices:
        if voice.id == voice_id:
            own = (tag for tag in voice.languages if _primary(tag) == language)
            return next(own, language)
    return None


def device_choices(capability: Capability) -> Choices:
    """Devices that are here and that the engine runs on."""
    found: Choices = [("Automatic", AUTO_DEVICE)]
    for info in devices.available():
        if info.spec.runtime in capability.runtimes():
            found.append((f"{info.spec.name} – {info.title}", info.spec.name))
    return found


def presets(presets: Iterable[EnginePreset], engine: str) -> Choices:
    mine = [(preset.title, preset.id) for preset in presets if preset.engine == engine]
    return [("None", NO_PRESET), *mine]


@cache
def language_name(primary: str) -> str:
    """The English name of a language; its code where it has none."""
    from babel import Locale

    return Locale("en").languages.get(primary, primary)


def _voice_label(voice: Voice) -> str:
    varieties = [tag for tag in voice.languages[:1] if tag.lower() != voice.id.lower()]
    return " · ".join((voice.name, *filter(None, [voice.gender]), *varieties))


def _primary(tag: str) -> str:
    return tag.split("-")[0].lower()
