"""The voice library: voices that people made, with who agreed to them.

library = VoiceLibrary(settings.voices_dir, settings.cache_dir, memory=memory)
voice = library.add(owner, "Ann", "en-GB", ["warm"], [NewClip(prepared.wav())], consent)
library.like(owner, samples, sample_rate)
"""

from studio.voices.errors import BadVoiceField, BadVoiceFile, MissingConsent, NoSuchVoice
from studio.voices.library import VoiceLibrary
from studio.voices.records import (
    Consent,
    LibraryVoice,
    Likeness,
    NewClip,
    VoiceClip,
    VoicePage,
    VoiceSummary,
)

__all__ = [
    "BadVoiceField",
    "BadVoiceFile",
    "Consent",
    "LibraryVoice",
    "Likeness",
    "MissingConsent",
    "NewClip",
    "NoSuchVoice",
    "VoiceClip",
    "VoiceLibrary",
    "VoicePage",
    "VoiceSummary",
]
