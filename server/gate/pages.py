"""The gate's own pages: they need no script and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path
from string import Template

HERE = Path(__file__).parent
STYLE = (HERE / "pages.css").read_text("utf-8")
PAGE = Template((HERE / "pages.html").read_text("utf-8"))
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
FIELD = '<label>{label}<input name="{name}" type="{type}" autocomplete="{complete}" {more}></label>'


# with each page; the browser must not keep it for the page behind it
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
}


def login(*, users: bool, keys: bool, next_path: str, wrong: str = "", name: str = "") -> bytes:
    """The page on which one logs in.

    Args:
        users, keys: what there is to log in with.
        next_path: where to go then; a path of this server.
        wrong: why the last attempt failed.
        name: as it was typed.
    """
    parts = [f'<p class="bad" role="alert">{escape(wrong)}</p>'] if wrong else []
    parts.append('<form method="post" action="/login">')
    parts.append(f'<input type="hidden" name="next" value="{escape(next_path)}">')
    if users:
        more = f'value="{escape(name)}" autocapitalize="none" ' + ("" if name else "autofocus")
        parts.append(_field("Name", "user", "text", "username", more))
    label = "Password" if users else "Key"
    more = "autofocus" if name or not users else ""
    parts.append(_field(label, "password", "password", "current-password", more + " required"))
    parts.append("<button>Log in</button></form>")
    if users and keys:
        hint = "With a key: leave the name empty."
    elif users:
        hint = "Whoever runs this Vivavoce gives out names and passwords."
    else:
        hint = "The key stands in the window where Vivavoce was started."
    parts.append(f'<p class="quiet">{hint}</p>')
    return _page("".join(parts))


def message(what: str, todo: str) -> bytes:
    return _page(f"<p>{escape(what)}</p><p>{escape(todo)}</p>")


def _field(label: str, name: str, kind: str, complete: str, more: str) -> str:
    return FIELD.format(label=label, name=name, type=kind, complete=complete, more=more)


def _page(content: str) -> bytes:
    return PAGE.substitute(style=STYLE, content=content).encode()
