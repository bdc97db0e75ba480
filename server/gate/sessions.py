"""Browsers that have logged in, and addresses that tried too often."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

DAY = 24 * 3600.0
SESSION_SECONDS = 30 * DAY  # since it was last used
MOST_SESSIONS = 4096
FREE_ATTEMPTS = 5
LONGEST_WAIT = 300.0  # seconds
FORGOTTEN_AFTER = 3600.0
MOST_ADDRESSES = 4096
GUESSES_REMEMBERED = 8  # of an address


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks: a user by name, or "" for whoever holds a key.

    Attributes:
        via: what they came with; decides whose rate counts.
    """

    name: str = ""
    via: str = ""


class Sessions:
    """Logged-in browsers, by the random id in their cookie, of which only a digest is kept. For
    the event loop's thread alone.

    Args:
        clock: seconds, only ever compared.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()

    def begin(self, identity: Identity) -> str:
        """Remember a browser; returns the id for its cookie."""
        token = secrets.token_urlsafe(32)
        self._put(_digest(token), identity)
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def find(self, token: str) -> Identity | None:
        key = _digest(token)
        identity, expires = self._sessions.get(key, (None, 0.0))
        if identity is None:
            return None
        if expires <= self._clock():
            del self._sessions[key]
            return None
        self._put(key, identity)
        return identity

    def end(self, token: str) -> None:
        self._sessions.pop(_digest(token), None)

    def _put(self, key: bytes, identity: Identity) -> None:
        self._sessions[key] = identity, self._clock() + SESSION_SECONDS
        self._sessions.move_to_end(key)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@dataclass(slots=True)
class _Failures:
    count: int
    last: float
    guesses: deque[bytes]


class Attempts:
    """Wrong keys and passwords by address: the first few are free, then each doubles the wait for
    the next. A program that sends the same wrong one again and again guesses nothing, and does not
    count. For the event loop's thread alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._failed: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 means now."""
        found = self._failed.get(network(address))
        if found is None or found.count < FREE_ATTEMPTS:
            return 0.0
        pause = min(2.0 ** min(found.count - FREE_ATTEMPTS, 30), LONGEST_WAIT)
        return max(0.0, found.last + pause - self._clock())

    def failed(self, address: str, guess: str) -> None:
        key, now = network(address), self._clock()
        found = self._failed.get(key)
        if found is None or now >= found.last + FORGOTTEN_AFTER:
            found = self._failed[key] = _Failures(0, now, deque(maxlen=GUESSES_REMEMBERED))
        # keyed, so that what is kept tells nothing of a password that was nearly right
        data = guess.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(data, key=self._secret, digest_size=16).digest()
        if digest not in found.guesses:
            found.guesses.append(digest)
            found.count += 1
            found.last = now
        self._failed.move_to_end(key)
        while len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)


def network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 host may choose from."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
