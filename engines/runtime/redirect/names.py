"""The names of torch that are replaced while a scope is on, and put back after it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Original = Callable[..., Any]
_ABSENT: Any = object()


class Name(NamedTuple):
    """A name that is replaced.

    Attributes:
        owner: module or class.
        make: from what stands there to what stands there instead.
    """

    owner: Any
    name: str
    make: Callable[[Any], Any]


class _Replaced(NamedTuple):
    owner: Any
    name: str
    held: Any  # what the owner's own namespace held


_replaced: list[_Replaced] = []


def table() -> Iterator[Name]:
    """All of them. A name that this torch lacks is left out."""
    from engines.runtime.redirect import classes, cuda_calls, placement

    for name in (*cuda_calls.names(), *placement.names(), *classes.names()):
        if hasattr(name.owner, name.name):
            yield name


def install() -> None:
    try:
        for owner, name, make in table():
            held = vars(owner).get(name, _ABSENT)
            _replaced.append(_Replaced(owner, name, held))
            setattr(owner, name, make(getattr(owner, name) if held is _ABSENT else held))
    except BaseException:
        remove()
        raise


def remove() -> None:
    while _replaced:
        owner, name, held = _replaced.pop()
        if held is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, held)


def within(owner: Any, name: str, instead: Callable[..., Any]) -> Name:
    """A function or method that within a scope is `instead(target, original, *args, **kwargs)`."""
    from engines.runtime.redirect.scope import target

    def make(held: Any) -> Any:
        static = isinstance(held, staticmethod)
        original: Original = held.__func__ if static else held

        @functools.wraps(original)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            where = target()
            if where is None:
                return original(*args, **kwargs)
            return instead(where, original, *args, **kwargs)

        return staticmethod(replacement) if static else replacement

    return Name(owner, name, make)
