"""Small parts of the Models tab: buttons, links, questions, alerts."""

from __future__ import annotations

from html import escape

from engines.errors import VivavoceError
from studio.models import Installed, Model


def terms(model: Model) -> str:
    """Opened before the download of a model whose licence sets limits."""
    licence = model.licence
    box = (
        f"<label><input type='checkbox' data-accept='{model.folder}'> "
        f"I have read the {link(licence.url, 'licence', model.title)} and accept it.</label>"
    )
    return (
        f"<div class='vv-ask' data-asked='terms {model.folder}' role='group' "
        f"aria-label='Licence of {escape(model.title)}' hidden>"
        f"<p><b>{escape(licence.name)}.</b> {escape(licence.note)}</p>{box}"
        "<p class='vv-ask-do'>"
        + button("download", model.folder, "Download", model.title, main=True, off=True)
        + button("close", model.folder, "Not now", "")
        + "</p></div>"
    )


def confirm(one: Installed, also: str = "") -> str:
    key = f"delete {one.key} {also}".strip()
    return (
        f"<div class='vv-ask' data-asked='{escape(key)}' role='group' aria-label='Delete' hidden>"
        f"<p>Delete the folder <code>{escape(one.key)}</code> and all that is in it? "
        "This cannot be undone.</p><p class='vv-ask-do'>"
        + button("remove", one.key, "Delete it", one.model.title, danger=True)
        + button("close", one.key, "Keep it", "")
        + "</p></div>"
    )


def alert(error: VivavoceError) -> str:
    parts = [part for part in (error.given, error.allowed, error.todo) if part]
    return (
        "<div class='vv-alert' role='alert'>"
        + "".join(f"<p>{escape(part)}</p>" for part in parts)
        + "</div>"
    )


def link(url: str, text: str, what: str) -> str:
    """A way out; the page it leads to learns nothing of this one and cannot reach it."""
    return (
        f"<a href='{escape(url)}' target='_blank' rel='noopener noreferrer' "
        f"aria-label='{escape(text)} ({escape(what)}), opens in a new tab'>{escape(text)}</a>"
    )


def button(
    action: str,
    key: str,
    label: str,
    what: str,
    *,
    main: bool = False,
    danger: bool = False,
    opens: bool = False,
    off: bool = False,
) -> str:
    """A button that the tab's script hears; `what` is said to those who cannot see its row."""
    kind = " vv-main" if main else " vv-danger" if danger else " vv-quiet"
    extra = " aria-expanded='false'" if opens else ""
    extra += " disabled" if off else ""
    said_too = f" aria-label='{escape(f'{label} {what}')}'" if what else ""
    return (
        f"<button type='button' class='vv-button{kind}' data-do='{action}' "
        f"data-key='{escape(key)}'{said_too}{extra}>{label}</button>"
    )
