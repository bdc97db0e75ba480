"""The Voices tab as HTML: what a clip is worth, and the list of one's voices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any

from engines.api import Capability
from engines.text.languages import language_name
from studio.reference import Finding, waveform_svg
from studio.voices import Consent, LibraryVoice, VoiceClip, VoiceSummary
from studio.voices.fields import NAME
from ui.examples import EXAMPLES
from ui.view import duration
from ui.voices_visits import Draft

MARKS = {"good": ("✓", "Good"), "warning": ("!", "Mind"), "bad": ("×", "Problem")}
EXCERPT = 70  # characters of a transcript
LONGEST_TRIAL = 300  # characters that are spoken to try a voice
TRIAL = "This is how I sound when I read to you."
PLAY = "<svg viewBox='0 0 24 24' aria-hidden='true'><path d='M8 5.5v13l10.5-6.5z'/></svg>"
MORE = "<svg viewBox='0 0 24 24' aria-hidden='true'><path d='M7 9.5l5 5 5-5' /></svg>"

Rows = Sequence[tuple[VoiceSummary, float | None]]


# the clip


def empty() -> dict[str, Any]:
    return clip_value("empty")


def working(words: str) -> dict[str, Any]:
    return clip_value("working", said=words)


def failed(parts: Sequence[str]) -> dict[str, Any]:
    return clip_value("failed", alert=parts)


def ready(draft: Draft, words: str = "") -> dict[str, Any]:
    """A clip that can be kept, or not.

    Args:
        words: what is still being done with it.
    """
    usable = draft.prepared.report.usable
    said = words or ("The clip is ready." if usable else "This clip cannot be used.")
    return clip_value("checking" if words else "ready", said=said, report=_report(draft))


def clip_value(
    state: str, *, said: str = "", alert: Sequence[str] = (), report: str = ""
) -> dict[str, Any]:
    """What the clip panel shows (static/voices_clip.js)."""
    return {"state": state, "said": said, "alert": list(alert), "report": report}


def _report(draft: Draft) -> str:
    prepared = draft.prepared
    findings = "".join(_finding(finding) for finding in prepared.report.findings)
    whole = prepared.original.seconds
    dropped = max(0.0, whole - prepared.seconds)
    denoise = "checked" if draft.denoised else ""
    return (
        f"<div class='vv-wavebox'>{waveform_svg(prepared)}</div>"
        "<p class='vv-legend vv-wave-legend'>"
        f"<span class='vv-key-kept'>kept: {duration(prepared.seconds)}</span>"
        f"<span class='vv-key-dropped'>left out: {duration(dropped)} of {duration(whole)}</span>"
        "</p>"
        "<div class='vv-row' role='group' aria-label='The clip'>"
        f"{_listen('cleaned', 'Listen')}{_listen('original', 'Original')}"
        "<label class='vv-check'><input type='checkbox' data-do='denoise' data-key='denoise' "
        f"{denoise}> Reduce noise</label>"
        "<button type='button' class='vv-button vv-quiet vv-end' data-do='discard'>"
        "Start over</button></div>"
        f"<ul class='vv-findings' aria-label='What was found'>{findings}</ul>"
        "<button type='button' class='vv-button vv-quiet' data-do='like'>"
        "Which of my voices sound like this?</button>"
    )


def _listen(which: str, label: str) -> str:
    return (
        f"<button type='button' class='vv-button vv-quiet vv-with-icon' data-do='listen' "
        f"data-key='{which}'>{PLAY}{label}</button>"
    )


def _finding(finding: Finding) -> str:
    mark, word = MARKS[finding.severity]
    advice = f" <span class='vv-advice'>{escape(finding.advice)}</span>" if finding.advice else ""
    return (
        f"<li class='vv-finding vv-{finding.severity}' data-about='{finding.about}'>"
        f"<span class='vv-mark-of' aria-hidden='true'>{mark}</span>"
        f"<span><span class='vv-hidden'>{word}: </span>{escape(finding.text)}{advice}</span></li>"
    )


# the list


def voices(
    rows: Rows,
    total: int,
    *,
    query: str = "",
    like: bool = False,
    opened: LibraryVoice | None = None,
    cloners: Sequence[Capability] = (),
    kept: str = "",
) -> dict[str, Any]:
    """The list.

    Args:
        rows: voices with how like the clip they sound, or None.
        total: how many there are.
        like: they were found by sound.
        opened: the one whose details are shown.
        cloners: engines that can speak with them.
        kept: what `kept_view.kept` gives, which comes last.
    """
    parts = [_head(len(rows), total, query, like)]
    items = "".join(
        _voice(voice, likeness, opened if opened and opened.id == voice.id else None, cloners)
        for voice, likeness in rows
    )
    if items:
        parts.append(f"<ul class='vv-voices'>{items}</ul>")
    if not like and len(rows) < total:
        parts.append(
            "<button type='button' class='vv-button vv-quiet' data-do='more' data-key='more'>"
            "Show more</button>"
        )
    return {"panel": "".join((*parts, kept))}


def broken(parts: Iterable[str]) -> dict[str, Any]:
    """In the place of a list that cannot be read."""
    lines = "".join(f"<p>{escape(part)}</p>" for part in parts)
    return {"panel": f"<div class='vv-alert' role='alert'>{lines}</div>"}


def _head(shown: int, total: int, query: str, like: bool) -> str:
    if like:
        words = "The most alike first." if shown else "There is no voice to compare it with yet."
        every = (
            "<button type='button' class='vv-button vv-quiet' data-do='all' data-key='all'>"
            "Show all voices</button>"
        )
        return f"<p class='vv-muted vv-count' role='status'>{words}</p>{every}"
    if total:
        count = f"{total:,} voice{'' if total == 1 else 's'}"
        words = f"{count} found" if query.strip() else count
        if shown < total:
            words = f"{shown:,} of {words}"
        return f"<p class='vv-muted vv-count' role='status'>{words}</p>"
    if query.strip():
        return "<p class='vv-muted' role='status'>No voice has these words.</p>"
    return (
        "<div class='vv-welcome'><p class='vv-welcome-title'>No voices yet</p>"
        "<p class='vv-muted'>A voice that you make from a clip stays here: you can find it again, "
        "listen to it and take it along as a file.</p></div>"
    )


def _voice(
    voice: VoiceSummary,
    likeness: float | None,
    opened: LibraryVoice | None,
    cloners: Sequence[Capability],
) -> str:
    name = escape(voice.name)
    tags = "".join(f"<span class='vv-tag'>{escape(tag)}</span>" for tag in voice.tags)
    about = [language_name(voice.language)] if voice.language else []
    clips = "1 clip" if voice.clip_count == 1 else f"{voice.clip_count:,} clips"
    about.append(f"{clips}, {duration(voice.clip_seconds)}")
    if likeness is not None:
        tags = f"<span class='vv-tag'>{max(0, round(100 * likeness))}% alike</span>{tags}"
    expanded = "true" if opened else "false"
    more = _more(opened, cloners) if opened else ""
    return (
        f"<li class='vv-voice' data-voice='{voice.id}'><div class='vv-voice-row'>"
        f"<button type='button' class='vv-icon' data-do='play' data-key='play-{voice.id}' "
        f"data-voice='{voice.id}' aria-label='Play {name}'>{PLAY}</button>"
        f"<div class='vv-voice-name'><span class='vv-name'>{name}</span> {tags}"
        f"<span class='vv-muted'>{escape(' · '.join(about))}</span></div>"
        f"<button type='button' class='vv-icon vv-more' data-do='open' data-key='open-{voice.id}' "
        f"data-voice='{voice.id}' aria-expanded='{expanded}' aria-label='More of {name}'>"
        f"{MORE}</button></div>{more}</li>"
    )


def _more(voice: LibraryVoice, cloners: Sequence[Capability]) -> str:
    name = escape(voice.name)
    clips = "".join(_clip(voice.id, number, clip) for number, clip in enumerate(voice.clips, 1))
    consents = "".join(f"<li>{_consent(consent)}</li>" for consent in _once(voice.consents))
    return (
        f"<div class='vv-voice-more' role='group' aria-label='{name}'>"
        f"{_trial(voice, cloners)}"
        f"<h4>Clips</h4><ul class='vv-clips'>{clips}</ul>"
        f"<h4>Consent</h4><ul class='vv-consents'>{consents}</ul>"
        f"<form class='vv-row' data-do='rename' data-voice='{voice.id}'>"
        f"<label class='vv-field'>Name <input name='name' value='{name}' maxlength='{NAME}' "
        f"required data-key='name-{voice.id}'></label>"
        "<button type='submit' class='vv-button vv-quiet' data-key='rename'>Rename</button></form>"
        "<div class='vv-row'>"
        f"<button type='button' class='vv-button vv-quiet' data-do='export' data-key='export' "
        f"data-voice='{voice.id}'>Export</button>"
        "<button type='button' class='vv-button vv-quiet vv-danger' data-do='ask' data-key='ask' "
        "aria-expanded='false'>Delete …</button></div>"
        "<div class='vv-sure' role='group' aria-label='Delete' hidden>"
        f"<p>Delete “{name}” with its clips and consents? It cannot be brought back.</p>"
        "<div class='vv-row'>"
        f"<button type='button' class='vv-button vv-danger' data-do='delete' "
        f"data-voice='{voice.id}'>Delete for good</button>"
        "<button type='button' class='vv-button vv-quiet' data-do='unask'>Keep it</button>"
        "</div></div></div>"
    )


def _trial(voice: LibraryVoice, cloners: Sequence[Capability]) -> str:
    if not cloners:
        return (
            "<p class='vv-muted vv-no-cloner'>No engine that is installed here can speak with a "
            "voice of your own yet. It stays here, and every engine that can will offer it.</p>"
        )
    buttons = "".join(
        f"<button type='button' class='vv-button' data-do='speak' data-voice='{voice.id}' "
        f"data-key='speak-{escape(engine.name)}' data-engine='{escape(engine.name)}' "
        f"aria-label='Speak with {escape(engine.title)}'>{escape(engine.title)}</button>"
        for engine in cloners
    )
    return (
        "<h4>Try it</h4><label class='vv-field vv-wide'><span class='vv-hidden'>Text</span>"
        f"<textarea rows='2' maxlength='{LONGEST_TRIAL}' data-key='trial-{voice.id}'>"
        f"{escape(trial_text(voice.language))}</textarea></label>"
        f"<div class='vv-row'><span class='vv-muted'>Speak with</span>{buttons}</div>"
    )


def trial_text(language: str) -> str:
    """Something to say in a language, or in English."""
    primary = language.partition("-")[0].lower()
    for example in EXAMPLES:
        if primary != "en" and example.language == primary:
            return example.text[:LONGEST_TRIAL]
    return TRIAL


def _clip(voice_id: str, number: int, clip: VoiceClip) -> str:
    words = clip.transcript or "no transcript"
    words = words if len(words) <= EXCERPT else words[: EXCERPT - 1].rstrip() + "…"
    return (
        f"<li><button type='button' class='vv-icon' data-do='play' data-voice='{voice_id}' "
        f"data-clip='{clip.id}' data-key='clip-{clip.id}' aria-label='Play clip {number}'>{PLAY}"
        f"</button><span>{duration(clip.seconds)} · <span class='vv-muted'>{escape(words)}</span>"
        "</span></li>"
    )


def _consent(consent: Consent) -> str:
    when = f" on {day(consent.when)}" if consent.when else ""
    return f"{escape(consent.who)} agreed{when}: {escape(consent.purpose)}"


def _once(consents: Sequence[Consent]) -> Sequence[Consent]:
    """Clips that came together have the same consent each."""
    kept: dict[tuple[str, str, str], Consent] = {}
    for consent in consents:
        when = day(consent.when) if consent.when else ""
        kept.setdefault((consent.who, consent.purpose, when), consent)
    return tuple(kept.values())


def day(when: datetime) -> str:
    """Such as "3 May 2026"."""
    local = when.astimezone()
    return f"{local.day} {local:%B %Y}"
