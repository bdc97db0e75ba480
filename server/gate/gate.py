"""What every request passes first, outside of everything that works."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from server.context import ServerContext
from server.errors import (
    ForeignOrigin,
    NotLoggedIn,
    Refusal,
    RequestTimeout,
    RequestTooLarge,
    WrongHost,
    status_of,
)
from server.gate import cookies, files, hosts, login, refusals
from server.gate.access import Access, client_of
from server.gate.answer import Answer
from server.gate.cookies import visitor_of
from server.gate.hosts import Hosts
from server.gate.rates import Body, Rates, most_bytes
from server.gate.sessions import Identity
from server.gate.visit import Visit

OPEN_PATHS = ("/healthz", "/readyz")
REFUSED_SOCKET = 1008  # WebSocket's "policy violation"


@dataclass
class Rules:
    """How a gate decides.

    Attributes:
        origins: of web pages elsewhere that may use this server.
        framed: the page may stand in Hugging Face's frame, and its cookies with it.
        own_things: visitors without a name are told apart by a cookie.
    """

    access: Access
    hosts: Hosts
    origins: frozenset[str] = frozenset()
    framed: bool = False
    own_things: bool = False
    rates: Rates = field(default_factory=Rates)
    told: files.Told = field(default_factory=files.Told)


class Gate:
    """ASGI middleware. Whose the request is stands in `scope["state"]["owner"]` afterwards; see
    server/owner.py."""

    def __init__(self, app: ASGIApp, rules: Rules, context: ServerContext) -> None:
        self._app = app
        self._rules = rules
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(scope)
        rules = self._rules
        origin = visit.text(b"origin")
        allowed = origin if origin in rules.origins else ""
        answer = Answer(send, origin=allowed, framed=rules.framed)
        page = refusals.wants_page(scope, visit.headers)
        try:
            self._check_place(visit)
            if allowed and visit.is_preflight():
                await answer.preflight(visit.text(b"access-control-request-headers"))
                return
            identity = await self._identity(visit)
            if not rules.access.open and login.is_login(scope["path"]):
                await login.serve(rules.access, identity, visit, receive, answer)
            elif not rules.access.open and login.has_link(visit):
                await login.follow_link(rules.access, identity, visit, answer)
            elif identity is None and scope["path"] not in OPEN_PATHS:
                raise rules.access.not_logged_in("Nobody is logged in.", visit.headers)
            else:
                await self._let_in(visit, identity or Identity(), receive, answer)
        except (Refusal, RequestTooLarge, RequestTimeout) as error:
            if refusals.is_api(scope["path"]):
                self._context.traffic.answered(status_of(error))
            if page and isinstance(error, NotLoggedIn):
                await login.show(rules.access, visit, answer, error)
            else:
                await refusals.send_refusal(error, answer.send, page=page)

    def _check_place(self, visit: Visit) -> None:
        """
        Raises:
            WrongHost, ForeignOrigin: it was not asked for from where it may be.
            ClosedDoor: nobody may ask for it.
        """
        host = visit.text(b"host")
        if not self._rules.hosts.allows(host):
            name = hosts.host_name(host) or host
            raise WrongHost(
                f"This is not {name!r:.80}.",
                "Vivavoce answers to localhost and to the names and addresses of its machine.",
                f"If this name is meant, start it with --allow-host {name:.80}.",
            )
        if visit.unsafe and not self._is_ours(visit, host):
            raise ForeignOrigin(
                f"The page at {visit.text(b'origin')!r:.80} is another site's.",
                "Only pages of this server may ask for this.",
                "If that page is meant to, start Vivavoce with --allow-origin and its address.",
            )
        files.check_door(visit.scope["path"])

    def _is_ours(self, visit: Visit, host: str) -> bool:
        """Whether a request comes from a page of this server, from one that is allowed, or from no
        page at all."""
        origin, site = visit.text(b"origin"), visit.text(b"sec-fetch-site")
        if origin in self._rules.origins:
            return True
        if site:  # a page cannot forge it
            return site in ("same-origin", "none")
        return not origin or hosts.same_origin(origin, host)

    async def _identity(self, visit: Visit) -> Identity | None:
        """
        Raises:
            NotLoggedIn, TooMany: a key or password was wrong.
        """
        access = self._rules.access
        if access.open:
            return Identity()
        token = visit.cookie(cookies.session_name(visit.scope))
        found = access.sessions.find(token) if token else None
        return found or await access.by_headers(visit.headers, visit.address)

    async def _let_in(
        self, visit: Visit, identity: Identity, receive: Receive, answer: Answer
    ) -> None:
        rules, scope = self._rules, visit.scope
        owner = identity.name
        if rules.own_things and not owner:
            owner, cookie = visitor_of(scope, visit.cookie(cookies.VISITOR), framed=rules.framed)
            answer.add_cookie(cookie)
            scope.setdefault("state", {})["new_visitor"] = bool(cookie)
        scope.setdefault("state", {})["owner"] = owner
        near = visit.local and rules.hosts.is_loopback(visit.text(b"host"))
        if visit.costs and not near:
            rules.rates.take(client_of(identity, visit.address))
        if visit.unsafe:
            limit = most_bytes(
                self._context.settings, self._context.body_limit, visit.text(b"content-type")
            )
            receive = Body(receive, limit, visit.text(b"content-length") or None).receive
        if not rules.hosts.allows(visit.text(b"x-forwarded-host") or "localhost"):
            visit.drop_header(b"x-forwarded-host")  # Gradio makes addresses from it
        if not rules.access.open:
            answer.keep_private()
        if owner:
            self._guard_files(visit, "" if scope["state"].get("new_visitor") else owner, answer)
        await answer.run(self._app, scope, receive)

    def _guard_files(self, visit: Visit, owner: str, answer: Answer) -> None:
        """
        Raises:
            FileOfAnother: Gradio's file was never named to this visitor. Browsers that refuse
                cookies count as one visitor, for whom the file's long name has to do.
        """
        path, told = visit.scope["path"], self._rules.told
        if files.is_file(path):
            told.check(owner, path)
        elif files.names_files(path):
            visit.drop_header(b"accept-encoding")  # or it could not be read here
            answer.watch(lambda data: told.note(owner, data))

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Nothing here speaks WebSocket yet; what may come one day is as well guarded."""
        visit = Visit(scope)
        try:
            self._check_place(visit)
            if await self._identity(visit) is None:
                raise self._rules.access.not_logged_in("Nobody is logged in.", visit.headers)
        except Refusal as refusal:
            await send(
                {"type": "websocket.close", "code": REFUSED_SOCKET, "reason": refusal.given[:100]}
            )
            return
        await self._app(scope, receive, send)
