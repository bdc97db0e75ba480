"""Logging in and out with a browser."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode

from starlette.types import Receive

from server.errors import NotLoggedIn, Refusal, TooMany
from server.gate import cookies, pages, refusals
from server.gate.access import Access
from server.gate.answer import Answer
from server.gate.rates import Body
from server.gate.sessions import Identity
from server.gate.visit import Visit

LOGIN, LOGOUT = "/login", "/logout"
TOKEN = "token"  # in a link: /?token=…
MOST_BYTES = 8 * 1024  # of the form


def is_login(path: str) -> bool:
    return path.rstrip("/") in (LOGIN, LOGOUT)


async def serve(
    access: Access, identity: Identity | None, visit: Visit, receive: Receive, answer: Answer
) -> None:
    """Answer /login and /logout.

    Raises:
        RequestTooLarge, RequestTimeout: the form cannot be read.
    """
    if visit.scope["path"].rstrip("/") == LOGOUT:
        access.sessions.end(visit.cookie(cookies.session_name(visit.scope)))
        answer.add_cookie(cookies.no_session(visit.scope))
        await _go(answer, LOGIN)
    elif visit.scope["method"] == "POST":
        await _log_in(access, visit, receive, answer)
    elif identity is not None:
        await _go(answer, "/")
    else:
        await _page(access, answer, 200)


def has_link(visit: Visit) -> bool:
    """Whether the address of a page holds a key."""
    return (
        visit.scope["method"] in ("GET", "HEAD")
        and not visit.scope["path"].startswith(refusals.PROGRAM_PATHS)
        and any(name == TOKEN for name, _ in _query(visit))
    )


async def follow_link(
    access: Access, identity: Identity | None, visit: Visit, answer: Answer
) -> None:
    """Log in by the key in the address of a page, and go on to the address without it.

    Raises:
        NotLoggedIn, TooMany: it is wrong, and nobody is logged in.
    """
    query = _query(visit)
    if identity is None:
        key = next(value for name, value in query if name == TOKEN)
        _remember(access, access.by_key(key, visit.address, visit.headers), visit, answer)
    rest = urlencode([pair for pair in query if pair[0] != TOKEN])
    await _go(answer, own_path(visit.scope["path"]) + (f"?{rest}" if rest else ""))


def _query(visit: Visit) -> list[tuple[str, str]]:
    return parse_qsl(visit.scope["query_string"].decode("latin-1"), keep_blank_values=True)


async def show(access: Access, visit: Visit, answer: Answer, refusal: Refusal) -> None:
    """The login page in place of the page that was asked for."""
    answer.add_header("WWW-Authenticate", 'Bearer realm="Vivavoce"')
    wrong = refusal.given if has_link(visit) else ""
    await _page(access, answer, 401, next_path=visit.scope["path"], wrong=wrong)


async def _log_in(access: Access, visit: Visit, receive: Receive, answer: Answer) -> None:
    form = await _read_form(visit, receive)
    name, next_path = form.get("user", "").strip(), form.get("next", "/")
    try:
        identity = await access.by_password(
            name, form.get("password", ""), visit.address, visit.headers
        )
    except TooMany as refusal:
        wrong = f"{refusal.given} {refusal.todo}"
        answer.add_header("Retry-After", refusal.headers["Retry-After"])
        await _page(access, answer, 429, next_path=next_path, wrong=wrong, name=name)
    except NotLoggedIn as refusal:
        wrong = refusal.given
        await _page(access, answer, 401, next_path=next_path, wrong=wrong, name=name)
    else:
        _remember(access, identity, visit, answer)
        await _go(answer, own_path(next_path))


async def _read_form(visit: Visit, receive: Receive) -> dict[str, str]:
    """
    Raises:
        RequestTooLarge, RequestTimeout: of its body.
    """
    body = Body(receive, MOST_BYTES, visit.text(b"content-length") or None)
    data, more = b"", True
    while more:
        message = await body.receive()
        data += message.get("body", b"")
        more = message.get("more_body", False)
    return dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True))


def own_path(path: str) -> str:
    """A path of this server to go to; "/" in place of one that could lead elsewhere."""
    leads_away = path.startswith(("//", "/\\")) or not path.startswith("/")
    if leads_away or not path.isprintable() or path.rstrip("/") in (LOGIN, LOGOUT):
        return "/"
    return quote(path, safe="/=&?%+,:;@~.-_")


def _remember(access: Access, identity: Identity, visit: Visit, answer: Answer) -> None:
    answer.add_cookie(cookies.session(visit.scope, access.sessions.begin(identity)))


async def _go(answer: Answer, path: str) -> None:
    headers = {"Location": path, "Cache-Control": "no-store"}
    await refusals.send_answer(answer.send, 303, b"", headers)


async def _page(
    access: Access,
    answer: Answer,
    status: int,
    *,
    next_path: str = "/",
    wrong: str = "",
    name: str = "",
) -> None:
    body = pages.login(
        users=bool(access.users),
        keys=bool(access.keys),
        next_path=own_path(next_path),
        wrong=wrong,
        name=name[:64],
    )
    await refusals.send_answer(answer.send, status, body, pages.HEADERS)
