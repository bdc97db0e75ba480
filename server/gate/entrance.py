"""From what was asked for on the command line to the rules of the gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines.errors import InvalidRequest
from server.gate import access, addresses, certificate, share
from server.gate.access import Access
from server.gate.certificate import Certificate
from server.gate.gate import Rules
from server.gate.hosts import Hosts
from server.gate.passwords import read_users_file
from studio.settings import Settings, on_space


class Contradiction(InvalidRequest):
    """Flags that cannot stand together."""

    code = "contradiction"


@dataclass(frozen=True)
class Wishes:
    """Flags of the command line, read but not yet checked against each other."""

    host: str
    port: int
    keys: tuple[str, ...] = ()
    users: tuple[tuple[str, str], ...] = ()
    users_file: Path | None = None
    no_auth: bool = False
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    https: bool = False
    ssl_cert: Path | None = None
    ssl_key: Path | None = None
    share: bool = False

    @property
    def secure(self) -> bool:
        return self.https or self.ssl_cert is not None


@dataclass(frozen=True)
class Entrance:
    """
    Attributes:
        token: that was made here and logs in; "" where keys or users were given.
        login: who may come in: "everybody", "token", "key" or "user".
        public: URL of the tunnel; "" without.
    """

    rules: Rules
    token: str
    login: str
    tls: Certificate | None
    public: str = ""


def prepare(wishes: Wishes, settings: Settings) -> Entrance:
    """Everything that the gate needs; makes the token and the certificate where they are wanted.

    Raises:
        InvalidRequest: flags that cannot be used, or not together.
        StorageError: token or certificate cannot be kept.
        ShareFailed: see `share.open_tunnel`.
    """
    users = _users(wishes)
    _check(wishes, bool(users), settings)
    alone = addresses.is_loopback(wishes.host) or on_space()
    token = ""
    if not (wishes.no_auth or wishes.keys or users) and (wishes.share or not alone):
        token = access.kept_token(settings.data_dir)
    keys = (*wishes.keys, token) if token else wishes.keys
    login = "token" if token else "user" if users else "key" if keys else "everybody"
    tls = _certificate(wishes, settings)
    public = share.open_tunnel(wishes.port, settings.data_dir) if wishes.share else ""
    names = (*wishes.hosts, *([share.host_of(public)] if public else []))
    rules = Rules(
        Access(keys, users),
        Hosts(wishes.host, names, check=not on_space()),
        frozenset(wishes.origins),
        framed=on_space(),
        own_things=settings.shared,
    )
    return Entrance(rules, token, login, tls, public)


def _users(wishes: Wishes) -> dict[str, str]:
    listed = list(wishes.users)
    if wishes.users_file is not None:
        listed += read_users_file(wishes.users_file)
    users = dict(listed)
    if len(users) < len(listed):
        names = [name for name, _ in listed]
        twice = next(name for name in names if names.count(name) > 1)
        raise Contradiction(f"The user {twice} was given twice.", "", "Give each name once.")
    return users


def _check(wishes: Wishes, users: bool, settings: Settings) -> None:
    if wishes.no_auth and wishes.share:
        raise Contradiction(
            "--share was given with --no-auth.",
            "A public address needs a key or users: everybody on the internet can reach it.",
            "Leave --no-auth out: a key is then made.",
        )
    if wishes.no_auth and (wishes.keys or users):
        raise Contradiction(
            "--no-auth was given with keys or users.",
            "It lets everybody in without any.",
            "Leave one of them out.",
        )
    if (wishes.ssl_cert is None) != (wishes.ssl_key is None):
        raise Contradiction(
            "One of --ssl-cert and --ssl-key is missing.", "", "Give both, or --https alone."
        )
    if wishes.https and wishes.ssl_cert is not None:
        raise Contradiction(
            "--https was given with --ssl-cert.",
            "--https makes a certificate, --ssl-cert brings one.",
            "Leave one of them out.",
        )
    if wishes.share and wishes.secure:
        raise Contradiction(
            "--share was given with HTTPS.",
            "The public address has HTTPS by itself, and its tunnel ends in plain HTTP here.",
            "Leave --https and --ssl-cert out.",
        )
    if wishes.share and settings.offline:
        raise Contradiction(
            "--share was given while offline.", "The tunnel is a connection.", "Leave one out."
        )


def _certificate(wishes: Wishes, settings: Settings) -> Certificate | None:
    if wishes.ssl_cert is not None and wishes.ssl_key is not None:
        return certificate.given_certificate(wishes.ssl_cert, wishes.ssl_key)
    if wishes.https:
        return certificate.own_certificate(settings.data_dir, _plain_names(wishes))
    return None


def _plain_names(wishes: Wishes) -> list[str]:
    listening = [] if addresses.is_everywhere(wishes.host) else [wishes.host]
    return [*listening, *(name for name in wishes.hosts if not name.startswith("*."))]
