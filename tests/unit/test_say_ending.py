"""Ctrl-C and `kill` end `say`, even where Python drops the exception that they raise."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from commands.say import TERMINATED, _Ending
from engines.errors import Cancelled


@pytest.fixture(autouse=True)
def in_the_foreground() -> Iterator[None]:
    """A shell starts what runs in its background with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_dropped_exception_is_raised_again(number: int, raised: type[BaseException]) -> None:
    job = SimpleNamespace(cancel=Mock())
    with pytest.raises(raised) as error, _Ending() as ending:
        ending.job = job  # type: ignore[assignment]
        with contextlib.suppress(BaseException):  # as in an object's __del__
            signal.raise_signal(number)
        job.cancel.assert_called_once()
        raise Cancelled
    if raised is SystemExit:
        assert error.value.code == TERMINATED  # type: ignore[attr-defined]


def test_what_was_cancelled_otherwise_stays_an_error_of_its_own() -> None:
    with pytest.raises(Cancelled), _Ending():
        raise Cancelled


def test_the_handlers_of_before_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with _Ending():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
