"""Key-value caches by bucket: a buffer that one request gives back, the next takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from engines.memory.lease import Lease
from engines.memory.resident import Reloadable

if TYPE_CHECKING:
    from engines.api import CancelToken
    from engines.memory.manager import MemoryManager

T = TypeVar("T")


class KvPool(Generic[T]):
    """Buffers of one model on one device; made by `MemoryManager.kv_pool`.

    A buffer holds whatever its last user left: whoever takes it starts at position 0 and masks the
    rest. A voice prompt's cache, whose content is worth keeping, is no pooled buffer: acquire it
    as a resident of kind "voice_prompt" under a key with the voice's content hash.
    """

    def __init__(
        self,
        memory: MemoryManager,
        name: str,
        device: str,
        make: Callable[[int], T],
        nbytes: Callable[[int], int],
    ) -> None:
        self._memory = memory
        self._name = name
        self._device = device
        self._make = make
        self._nbytes = nbytes

    def take(
        self, bucket: int, *, cancel: CancelToken | None = None, timeout: float | None = None
    ) -> Lease[T]:
        """Lease a buffer of that bucket to this caller alone: an idle one, or a new one.

        Raises:
            OutOfMemory: there is no room for another one.
        """
        return self._memory.acquire_any(
            f"{self._name}/{bucket}",
            lambda: Reloadable(
                self._device,
                self._nbytes(bucket),
                lambda _cancel: self._make(bucket),
                kind="kv_cache",
            ),
            cancel=cancel,
            timeout=timeout,
        )
