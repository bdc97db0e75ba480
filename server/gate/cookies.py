"""The gate's cookies: a random id of a login, and one that tells visitors apart."""

from __future__ import annotations

import hashlib
import re
import secrets

from starlette.types import Scope

from server.gate.sessions import SESSION_SECONDS

VISITOR = "vivavoce-visitor"
VISITOR_ID = re.compile(r"[0-9a-f]{32}")
YEAR = 365 * 24 * 3600


def session_name(scope: Scope) -> str:
    """One for each port, since browsers give a host's cookies to all of its ports."""
    port = (scope.get("server") or ("", 0))[1]
    return f"{'__Host-' if _is_https(scope) else ''}vivavoce-{port}"


def session(scope: Scope, token: str) -> str:
    """Lax, so that a link or bookmark leads to the page and not to the login; another site's page
    cannot send it with anything that does something."""
    return _cookie(session_name(scope), token, int(SESSION_SECONDS), _is_https(scope), "Lax")


def no_session(scope: Scope) -> str:
    return _cookie(session_name(scope), "", 0, _is_https(scope), "Lax")


def visitor_of(scope: Scope, given: str, *, framed: bool) -> tuple[str, str]:
    """The owner that a visitor's cookie stands for, and the cookie to set where it has none.

    The owner is a digest: who reads it in a database cannot take the visitor's place.
    """
    cookie = ""
    if not VISITOR_ID.fullmatch(given):
        given = secrets.token_hex(16)
        if framed:  # inside another site's page, and of no use inside a third one's
            cookie = _cookie(VISITOR, given, YEAR, True, "None") + "; Partitioned"
        else:
            cookie = _cookie(VISITOR, given, YEAR, _is_https(scope), "Strict")
    return f"visitor-{hashlib.sha256(given.encode()).hexdigest()[:32]}", cookie


def _cookie(name: str, value: str, age: int, secure: bool, same_site: str) -> str:
    end = "; Secure" if secure else ""
    return f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite={same_site}{end}"


def _is_https(scope: Scope) -> bool:
    return scope["scheme"] in ("https", "wss")
