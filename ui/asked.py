"""What the page asks through server functions: checked here, answered with values or an alert."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engines.errors import InvalidRequest, VivavoceError
from ui import view


def answered(answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a function gives, or why it could not, as {"alert": parts}."""
    try:
        return answer()
    except VivavoceError as error:
        return {"alert": view.alert(error)}


def text(asked: Any, name: str) -> str:
    """
    Raises:
        InvalidRequest: there is no text of that name.
    """
    value = asked.get(name) if isinstance(asked, dict) else None
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} was {value!r:.80}.", "It takes a text.")
    return value


def number(asked: Any, name: str) -> int:
    """
    Raises:
        InvalidRequest: there is no whole number from 0 of that name.
    """
    value = asked.get(name) if isinstance(asked, dict) else None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidRequest(f"{name} was {value!r:.80}.", "It takes a whole number, at least 0.")
    return value
