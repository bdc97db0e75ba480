"""Looking voices up."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from engines.api import Capability, Voice
from engines.errors import UnknownVoice


def unknown_voice(capability: Capability, voice_id: str, voices: Sequence[Voice]) -> UnknownVoice:
    """The error for a voice id that an engine lacks, with the nearest ids that it has."""
    ids = [voice.id for voice in voices]
    near = difflib.get_close_matches(voice_id, ids, n=5, cutoff=0.4) or ids[:5]
    return UnknownVoice(
        f"{capability.title} has no voice {voice_id!r:.80}.",
        f"It has {len(ids)}, for example {', '.join(near)}.",
        "List them with `python app.py voices` or GET /v1/audio/voices.",
        param="voice",
    )
