"""Voices that are kept under a name, as HTML: the end of the list on the Voices tab."""

from __future__ import annotations

from html import escape

from engines.text.languages import language_name
from studio.presets import StarterVoice
from studio.studio import Studio


def kept(studio: Studio) -> str:
    """The list; "" where nothing is kept."""
    removable = not studio.settings.shared
    items = "".join(
        _item(voice, studio.engine(voice.engine).capability.title, removable=removable)
        for voice in studio.kept.voices()
    )
    if not items:
        return ""
    return f"<h4 class='vv-kept-head'>Kept under a name</h4><ul class='vv-voices'>{items}</ul>"


def _item(voice: StarterVoice, engine: str, *, removable: bool) -> str:
    name = escape(voice.name)
    about = " · ".join((engine, language_name(voice.language)))
    return (
        f"<li class='vv-voice' data-voice='{voice.id}'>"
        f"<div class='vv-voice-more vv-kept' role='group' aria-label='{name}'>"
        "<div class='vv-voice-row'><div class='vv-voice-name'>"
        f"<span class='vv-name'>{name}</span> <span class='vv-muted'>{escape(about)}</span></div>"
        f"{_removal(voice.id, name) if removable else '</div>'}</div></li>"
    )


def _removal(voice_id: str, name: str) -> str:
    return (
        f"<button type='button' class='vv-icon' data-do='ask' data-key='open-{voice_id}' "
        f"aria-expanded='false' aria-label='Remove {name}'>×</button></div>"
        f"<div class='vv-sure' role='group' aria-label='Remove' hidden>"
        f"<p>Remove “{name}”? Its id is forgotten with the name.</p><div class='vv-row'>"
        f"<button type='button' class='vv-button vv-danger' data-do='forget' "
        f"data-voice='{voice_id}'>Remove</button>"
        "<button type='button' class='vv-button vv-quiet' data-do='unask'>Keep it</button>"
        "</div></div>"
    )
