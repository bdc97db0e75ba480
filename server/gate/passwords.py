"""Passwords, held as scrypt hashes alone, and keys, held as digests."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engines.errors import InvalidRequest

COST, BLOCK = 2**14, 8  # of scrypt: 16 MiB and some 45 ms for each attempt
MOST_BYTES = 1024  # of a password or key
NAME = re.compile(r"[\w.@+-]{1,64}")


class BadLogin(InvalidRequest):
    """A name, password or key on the command line that cannot be used."""

    code = "bad_login"


@dataclass(frozen=True, slots=True)
class PasswordHash:
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        salt = os.urandom(16)
        return cls(salt, _scrypt(password, salt))

    def fits(self, password: str) -> bool:
        return hmac.compare_digest(self.digest, _scrypt(password, self.salt))


def _scrypt(password: str, salt: bytes) -> bytes:
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=COST, r=BLOCK, p=1, dklen=32)


class Users:
    """Names with their passwords' hashes."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._hashes = {name: PasswordHash.of(password) for name, password in passwords.items()}
        # what an unknown name is compared with, so that it takes as long as a known one
        self._nobody = PasswordHash(os.urandom(16), os.urandom(32))

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def fits(self, name: str, password: str) -> bool:
        """Takes some 45 ms, whatever it finds: call it in a thread."""
        return self._hashes.get(name, self._nobody).fits(password)


class Keys:
    """Keys of programs."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def fits(self, key: str) -> bool:
        """Compared with every key in the same time."""
        asked = _digest(key)
        found = False
        for digest in self._digests:
            found |= hmac.compare_digest(digest, asked)
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def read_user(text: str) -> tuple[str, str]:
    """Read `name:password`.

    Raises:
        BadLogin: it is none. The message never holds the password.
    """
    name, colon, password = text.partition(":")
    if not colon or not NAME.fullmatch(name) or not password:
        raise BadLogin(
            "That is no name with its password.",
            "It has to be NAME:PASSWORD; a name has letters, digits and . _ - + @, at most 64.",
            "Write it as in ada:correct-horse.",
        )
    if len(password.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise BadLogin("The password is too long.", f"It may have {MOST_BYTES} bytes.")
    return name, password


def read_key(text: str) -> str:
    """Check a key.

    Raises:
        BadLogin: it cannot stand in a header. The message never holds it.
    """
    if not re.fullmatch(rf"[!-~]{{1,{MOST_BYTES}}}", text):
        raise BadLogin(
            "That is no key.",
            f"A key has letters, digits and signs of ASCII, no blanks, at most {MOST_BYTES}.",
            "Leave --api-key out, and one is made.",
        )
    return text


def read_users_file(path: Path) -> list[tuple[str, str]]:
    """Read a file of `name:password` lines; empty lines and those with # are left out.

    Raises:
        BadLogin: names the line at fault.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadLogin(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or 'no UTF-8 text'}).",
            "--auth-file takes a text file with NAME:PASSWORD on each line.",
            "Check the path.",
        ) from None
    users = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            users.append(read_user(line.strip()))
        except BadLogin as error:
            raise BadLogin(
                f"{path}, line {number}: {error.given}", error.allowed, error.todo
            ) from None
    if not users:
        raise BadLogin(
            f"{path} names nobody.", "", "Write NAME:PASSWORD on a line, or leave --auth-file out."
        )
    return users
