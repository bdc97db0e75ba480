"""What can be wrong with what the voice library is given."""

from __future__ import annotations

from engines.errors import InvalidRequest, UnknownVoice


class BadVoiceFile(InvalidRequest):
    """A voice file (zip) that is damaged, forged, too large, or of another kind."""

    code = "bad_voice_file"


class BadVoiceField(InvalidRequest):
    """A name, tag, note or the like that the library does not take; `param` names it."""

    code = "bad_voice_field"


class MissingConsent(InvalidRequest):
    """Nobody has said that the speaker agrees."""

    code = "missing_consent"


class NoSuchVoice(UnknownVoice):
    """The library holds no such voice, or no such clip, of this owner."""

    code = "no_such_voice"


def no_such_voice(voice_id: str) -> NoSuchVoice:
    return NoSuchVoice(
        f"There is no voice {voice_id!r:.80} in the library.",
        "It may have been deleted, or be somebody else's.",
        "Look in the list of voices.",
        param="voice",
    )


def no_such_clip(clip_id: str) -> NoSuchVoice:
    return NoSuchVoice(
        f"The voice has no clip {clip_id!r:.80}.",
        "It may have been removed.",
        "Look at the voice's clips.",
        param="clip",
    )
