"""Sentences being decoded by a step stage: where each of them is, and the buffers they are in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engines.errors import EngineFailure
from engines.runtime.buckets import Buckets, BucketTable, TooLong
from engines.runtime.padding import Padded, blank
from engines.runtime.stage import BATCH
from engines.runtime.step import KEPT, LENGTHS, NEW, POSITIONS, StepStage

if TYPE_CHECKING:
    from engines.api import CancelToken
    from engines.memory import MemoryManager
    from engines.memory.lease import Lease

# Arrays of the inputs, of `positions` and of `lengths` → those of the outputs. The number is how
# many positions of the buffers are in use once it is done; a runtime may leave the rest alone.
Call = Callable[[list[np.ndarray], int], Sequence[np.ndarray]]


class Machine(Protocol):
    """A runtime's own part of a step stage."""

    @property
    def device(self) -> str: ...

    @property
    def itemsize(self) -> int:
        """Bytes of a number in the buffers."""
        ...

    def maker(self, rows: int) -> Callable[[int], Any]:
        """A function that makes buffers of a size. The pool keeps it, so it must not hold the
        weights."""
        ...

    def open(self, buffers: Any) -> Call:
        """The stage on these buffers, which it changes."""
        ...

    def grow(self, old: Any, new: Any) -> None:
        """Copy what is in the old buffers to the beginning of the new."""
        ...


class BoundStep:
    """A step stage on a runtime; may be called from several threads at once.

    Args:
        buckets: "T_new" for prompts and "B" for rows; what has none runs as it is.
    """

    def __init__(self, stage: StepStage, machine: Machine, buckets: BucketTable) -> None:
        self.stage = stage
        self.machine = machine
        face = stage.face()
        self._prompts = buckets.get(NEW)
        self._rows = buckets.get(BATCH)
        if self._prompts and self._prompts.largest >= stage.sizes.largest:
            raise ValueError(
                f"stage {stage.name}: a prompt of {self._prompts.largest} leaves no room in "
                f"{stage.sizes.largest} positions"
            )
        rows = {BATCH: self._rows} if self._rows else {}
        prompts = {NEW: self._prompts} if self._prompts else {}
        self.face = face
        self.prefill_buckets: BucketTable = {**rows, **prompts}
        self.step_buckets: BucketTable = {**rows, NEW: Buckets([1])}

    @property
    def longest(self) -> int:
        """Positions that a row may have, its prompt among them."""
        return self.stage.sizes.largest

    def longest_prompt(self) -> int:
        return self._prompts.largest if self._prompts else self.longest - 1

    def most_rows(self) -> int | None:
        """Sentences that may be decoded at once; None where there is no bound."""
        return self._rows.largest if self._rows else None

    def start(
        self, memory: MemoryManager, owner: str, rows: int = 1, *, cancel: CancelToken | None = None
    ) -> Sequences:
        """Sentences to decode side by side; use it in a `with` statement.

        Args:
            memory: whose pool the buffers come from.
            owner: names the model and dtype, as the key of its weights does.
            cancel: ends waiting for room.

        Raises:
            TooLong: there are more rows than the largest bucket.
        """
        padded = rows if self._rows is None else self._rows.pick(rows)
        if padded is None:
            raise TooLong(self.stage.name, BATCH, rows, self._rows.largest if self._rows else 0)
        pool = f"{owner}: {self.stage.name} x{padded} on {self.machine.device}"
        return Sequences(self, memory, pool, rows, padded, cancel)

    def buffers_for(self, positions: int) -> int:
        """The size of the buffers that hold so many positions.

        Raises:
            TooLong: none does.
        """
        size = self.stage.sizes.pick(positions)
        if size is None:
            raise TooLong(self.stage.name, KEPT, positions, self.longest)
        return size

    def nbytes(self, rows: int, size: int) -> int:
        return self.stage.carry.values(rows, size) * self.machine.itemsize

    def warm_up(self) -> Iterator[Mapping[str, int]]:
        """Run everything once at every size that it will ever run at, so that later calls compile
        nothing; nothing where sizes have no bounds."""
        if self._prompts is None or self._rows is None:
            return
        for rows in self._rows.sizes:
            make = self.machine.maker(rows)
            for prompt in self._prompts.sizes:
                size = self.buffers_for(prompt + 1)
                self._try(make(size), {BATCH: rows, NEW: prompt}, size)
                yield {BATCH: rows, NEW: prompt, KEPT: size}
            old = None
            for size in self.stage.sizes.sizes:
                buffers = make(size)
                if old is not None:
                    self.machine.grow(old, buffers)
                self._try(buffers, {BATCH: rows, NEW: 1}, size)
                old = buffers
                yield {BATCH: rows, NEW: 1, KEPT: size}

    def _try(self, buffers: Any, sizes: Mapping[str, int], used: int) -> None:
        self.machine.open(buffers)(blank(self.face, sizes), used)


class Sequences:
    """Rows of one batch, each a sentence with a length of its own; made by `BoundStep.start`.

    Attributes:
        positions: int64 [rows]: true positions of each row so far.
    """

    def __init__(
        self,
        bound: BoundStep,
        memory: MemoryManager,
        pool: str,
        rows: int,
        padded: int,
        cancel: CancelToken | None,
    ) -> None:
        self.positions = np.zeros(rows, np.int64)
        self._bound = bound
        self._rows, self._padded_rows = rows, padded
        self._cancel = cancel
        self._pool = memory.kv_pool(
            pool,
            bound.machine.device,
            bound.machine.maker(padded),
            partial(_times, bound.nbytes(padded, 1)),
        )
        self._lease: Lease[Any] | None = None
        self._call: Call | None = None
        self._size = 0
        self._taken = self.positions
        self._prefill = Padded(bound.face, bound.prefill_buckets, self._run)
        self._step = Padded(bound.face, bound.step_buckets, self._run)

    @property
    def rows(self) -> int:
        return self._rows

    @property
    def room(self) -> np.ndarray:
        """Steps that each row may still take: int64 [rows]."""
        return self._bound.longest - self.positions

    def prefill(self, lengths: Sequence[int] | None = None, **inputs: Any) -> dict[str, np.ndarray]:
        """Begin the rows with their prompts, whatever was in them before.

        Args:
            lengths: true length of each row; None where all are as long as the inputs.
            inputs: every port; prompts are padded on the right.

        Returns:
            The outputs by name.

        Raises:
            TooLong: a prompt is longer than the largest bucket, or than the buffers.
            EngineFailure: a port is missing, unknown or of a wrong shape or dtype.
        """
        self._release()  # buffers of the prompt's own size, for which its graph was compiled
        self.positions[:] = 0
        given = {} if lengths is None else {LENGTHS.name: np.asarray(lengths, np.int64)}
        outputs = self._prefill(**inputs, **given, **{POSITIONS.name: self.positions.copy()})
        self.positions += self._taken
        return outputs

    def step(self, live: Sequence[bool] | None = None, **inputs: Any) -> dict[str, np.ndarray]:
        """Take every row one position further.

        Args:
            live: rows that go on; what is computed for the others means nothing and is forgotten.
            inputs: every port, with one position in "T_new".

        Raises:
            TooLong: a row is as long as it may become.
            EngineFailure: as `prefill`, or there was none.
        """
        if self._call is None:
            raise EngineFailure(f"Stage {self._bound.stage.name} was stepped before its prompt.")
        moving = np.ones(self._rows, bool) if live is None else np.asarray(live, bool)
        # a row that has ended writes over its last position again and again
        at = np.where(moving, self.positions, self.positions - 1)
        outputs = self._step(**inputs, **{POSITIONS.name: at})
        self.positions += moving
        return outputs

    def _run(self, arrays: list[np.ndarray]) -> Sequence[np.ndarray]:
        *inputs, positions, lengths = arrays
        width = max(
            array.shape[port.shape.index(NEW)]
            for port, array in zip(self._bound.stage.inputs, inputs, strict=True)
            if NEW in port.shape
        )
        used = int(positions.max()) + width
        # one position more than a prompt, so that its first step needs no other buffers
        call = self._make_room(used + (1 if width > 1 else 0))
        self._taken = lengths[: self._rows]
        return call(arrays, used)

    def _make_room(self, positions: int) -> Call:
        size = self._bound.buffers_for(positions)
        if self._call is not None and size <= self._size:
            return self._call
        machine, old = self._bound.machine, self._lease
        lease = self._pool.take(size, cancel=self._cancel)
        try:
            if old is not None:
                machine.grow(old.value, lease.value)
            call = machine.open(lease.value)
        except BaseException:
            lease.release()
            raise
        self._release()
        self._lease, self._size, self._call = lease, size, call
        return call

    def _release(self) -> None:
        self._call = None
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def __enter__(self) -> Sequences:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()


def _times(each: int, size: int) -> int:
    return each * size
