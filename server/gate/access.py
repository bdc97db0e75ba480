"""Who asks: everybody, whoever holds a key, or a user with a password."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from engines.errors import StorageError
from server.errors import NotLoggedIn, TooMany
from server.gate.passwords import Keys, Users
from server.gate.sessions import Attempts, Identity, Sessions, network

TOKEN_FILE = "token"
TOKEN_BYTES = 18  # 24 characters
HASHES_AT_ONCE = 2  # of 16 MiB each

Headers = Mapping[bytes, bytes]


class Access:
    """Checks what a request brings along. Without keys and users everybody may come in.

    Args:
        keys: of programs, and of browsers that are given one.
        users: passwords by name; kept as scrypt hashes alone.
    """

    def __init__(
        self,
        keys: Iterable[str] = (),
        users: Mapping[str, str] | None = None,
        *,
        sessions: Sessions | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        self.keys = Keys(keys)
        self.users = Users(users or {})
        self.sessions = sessions or Sessions()
        self.attempts = attempts or Attempts()
        self._hashing: CapacityLimiter | None = None

    @property
    def open(self) -> bool:
        """Nothing has to be shown."""
        return not self.keys and not self.users

    async def by_headers(self, headers: Headers, address: str) -> Identity | None:
        """Who a program says it is: a key as `Authorization: Bearer` or `x-api-key`, or a name
        with its password as Basic; None where it says nothing.

        Raises:
            NotLoggedIn: it is wrong.
            TooMany: it was wrong too often.
        """
        if key := headers.get(b"x-api-key"):
            return self.by_key(key.decode("latin-1"), address, headers)
        scheme, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            return self.by_key(value.strip(), address, headers)
        if scheme.lower() == "basic":
            name, password = _basic(value)
            return await self.by_password(name, password, address, headers)
        return None

    def by_key(self, key: str, address: str, headers: Headers) -> Identity:
        """
        Raises:
            NotLoggedIn, TooMany: see `by_headers`.
        """
        key = key.strip()
        self._check(address)
        if not self.keys.fits(key):
            self.attempts.failed(address, key)
            raise self.not_logged_in("This is not the key.", headers)
        return Identity(
            via=f"key {hashlib.sha256(key.encode('ascii', 'replace')).hexdigest()[:16]}"
        )

    async def by_password(
        self, name: str, password: str, address: str, headers: Headers
    ) -> Identity:
        """A name with its password, or any name with a key in its place.

        Raises:
            NotLoggedIn, TooMany: see `by_headers`.
        """
        if not self.users or (self.keys and not name):
            return self.by_key(password, address, headers)
        if self._hashing is None:  # it belongs to the event loop in which it is made
            self._hashing = CapacityLimiter(HASHES_AT_ONCE)
        async with self._hashing:
            self._check(address)  # here, where a hundred guesses that came at once stand in line
            if not await to_thread.run_sync(self.users.fits, name, password):
                self.attempts.failed(address, f"{name}:{password}")
                raise self.not_logged_in("Name and password do not fit together.", headers)
        return Identity(name, via=f"user {name}")

    def _check(self, address: str) -> None:
        wait = self.attempts.wait(address)
        if wait > 0:
            raise TooMany("There were too many wrong keys or passwords from here.", "", wait)

    def not_logged_in(self, given: str, headers: Headers) -> NotLoggedIn:
        what = "Authorization: Bearer KEY or x-api-key: KEY"
        if self.users:
            basic = "a name and password as Authorization: Basic"
            what = f"{basic}, or {what}" if self.keys else basic
        challenge = 'Bearer realm="Vivavoce"'
        # a browser would ask with a window of its own, in the middle of the page
        if self.users and b"sec-fetch-mode" not in headers and b"origin" not in headers:
            challenge = 'Basic realm="Vivavoce", charset="UTF-8"'
        return NotLoggedIn(
            given,
            f"Send {what}; in a browser, log in at /login.",
            "Whoever started Vivavoce knows the key.",
            {"WWW-Authenticate": challenge},
        )


def _basic(value: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    name, _, password = text.partition(":")
    return name, password


def client_of(identity: Identity | None, address: str) -> str:
    """Whose rate a request counts for."""
    return identity.via if identity is not None and identity.via else network(address)


def kept_token(data_dir: Path) -> str:
    """The token of this data folder, made at the first call. Only its owner may read the file.

    Raises:
        StorageError: it cannot be kept.
    """
    path = data_dir / TOKEN_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return _read_token(path) or _make_token(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be used ({error.strerror}).",
            "The token for other machines is kept there.",
            "Put its rights in order, or give a key of your own with --api-key.",
        ) from error


def _read_token(path: Path) -> str:
    """The token in a file; "" where there is none that is ours and looks like one."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return ""
    with os.fdopen(handle, encoding="ascii", errors="replace") as file:
        state = os.fstat(handle)
        text = file.read(200).strip()
        whole = len(text) >= 16 and text.replace("-", "").replace("_", "").isalnum()
        # what others could read or write is no secret any more
        private = stat.S_ISREG(state.st_mode) and not state.st_mode & 0o077
        ours = state.st_uid == os.getuid()
        return text if whole and text.isascii() and private and ours else ""


def _make_token(path: Path) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    write_private(path, f"{token}\n".encode())
    return token


def write_private(path: Path, data: bytes) -> None:
    """Write a file that its owner alone may read; it appears whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
