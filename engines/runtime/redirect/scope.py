"""The scope itself: which device a thread is redirected to, and when torch's names are replaced."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class _Stack(threading.local):
    """The scopes that a thread is in, the innermost last."""

    def __init__(self) -> None:
        self.scopes: list[redirect] = []


_stack = _Stack()
_installing = threading.Lock()
_in_scope = 0  # how many scopes there are in all threads


class redirect:  # noqa: N801 - reads as a statement: with redirect("cpu")
    """Within the `with`, and in its thread alone, CUDA means `device`.

    Scopes nest, the innermost counts. Threads that are started within see plain torch. What is
    asked for on another device by name ("cpu" above all) stays there. A generator must not yield
    within the `with`, since its reader would be redirected too: `redirected` is made for that.

    Args:
        device: where to work: "cpu", "mps", "cuda:1" … torch is imported on entering only.
        watch: called before every operation of torch; what it raises ends the work. So code that
            knows of no cancelling can be cancelled.
    """

    def __init__(
        self, device: str | torch.device, *, watch: Callable[[], object] | None = None
    ) -> None:
        self._given = device
        self.watch = watch
        self._undo: contextlib.ExitStack | None = None
        self.target: torch.device

    def __enter__(self) -> redirect:
        import torch

        from engines.runtime.redirect.mode import mode_for

        if self._undo is not None:
            raise RuntimeError("a redirect is entered once; make another one to nest it")
        self.target = torch.device(self._given)
        with contextlib.ExitStack() as undo:
            undo.enter_context(_replaced_names())
            _stack.scopes.append(self)
            undo.callback(_stack.scopes.pop)
            if self.target.type == "cuda":
                undo.enter_context(torch.cuda.device(self.target))
            undo.enter_context(mode_for(self))
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not _stack.scopes or _stack.scopes[-1] is not self or self._undo is None:
            raise RuntimeError("a redirect is left by the thread that entered it, innermost first")
        undo, self._undo = self._undo, None
        undo.close()

    def undo_on_exit(self, restore: contextlib.AbstractContextManager[object]) -> None:
        """What else to put back when the scope ends."""
        assert self._undo is not None
        self._undo.push(restore)


def innermost() -> redirect | None:
    """The scope that this thread is in."""
    return _stack.scopes[-1] if _stack.scopes else None


def target() -> torch.device | None:
    """Where this thread is redirected to."""
    return _stack.scopes[-1].target if _stack.scopes else None


def redirected(device: str | torch.device, steps: Iterator[T]) -> Iterator[T]:
    """An iterator each step of which runs redirected, and whose reader does not.

    Closing it closes `steps`.
    """
    try:
        while True:
            with redirect(device):
                try:
                    step = next(steps)
                except StopIteration:
                    return
            yield step
    finally:
        close = getattr(steps, "close", None)
        if close is not None:
            with redirect(device):
                close()


@contextlib.contextmanager
def _replaced_names() -> Iterator[None]:
    """torch's names are replaced while any thread is in a scope. The replacements do what torch
    does for all threads that are not."""
    global _in_scope
    from engines.runtime.redirect import names

    with _installing:
        if _in_scope == 0:
            names.install()
        _in_scope += 1
    try:
        yield
    finally:
        with _installing:
            _in_scope -= 1
            if _in_scope == 0:
                names.remove()
