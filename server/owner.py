"""Whose a request is: what it makes and sees belongs to this owner."""

from __future__ import annotations

import secrets

from fastapi import Request

from server.context import context_of


def owner_of(request: Request) -> str:
    """The user's name where there are users; on a shared machine something that only this browser
    has; else "", which is whoever uses this machine. The gate has written it down."""
    owner: str | None = getattr(request.state, "owner", None)
    if owner is not None:
        return owner
    # without a gate nothing tells visitors apart: on a shared machine each request is a stranger's
    return f"stranger-{secrets.token_hex(16)}" if context_of(request).settings.shared else ""
