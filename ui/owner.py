"""Whose an event of the page is: what it makes and sees belongs to this owner."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import gradio as gr

from studio.studio import Studio


def owner_of(studio: Studio, visitor: gr.Request) -> str:
    """The user's name where there are users; on a shared machine something that only this browser
    has; else "", which is whoever uses this machine.

    The server's gate writes it into the request that began the event. It never comes from a header
    or from the page itself.
    """
    state: Any = getattr(visitor, "state", None)
    owner = getattr(state, "owner", None)
    if owner is None:
        return _of_page(visitor) if studio.settings.shared else ""
    # a browser that refuses cookies is a new visitor each time; its page stays the same
    return _of_page(visitor) if getattr(state, "new_visitor", False) else owner


def _of_page(visitor: gr.Request) -> str:
    """The random id of a page that is open, which only this page knows."""
    session = visitor.session_hash or secrets.token_hex(16)
    return f"page-{hashlib.sha256(session.encode()).hexdigest()[:32]}"
