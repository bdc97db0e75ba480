"""What every runtime promises of step stages, as functions that tests call with each runtime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.memory import MemoryManager
from engines.runtime.sequences import BoundStep
from tests import toy_stages as toy

LENGTHS = (5, 8, 1)  # of prompts, one batch
STEPS = 13  # so that buffers of every size are used


def sentences(seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.integers(0, toy.SYMBOLS, length + STEPS) for length in LENGTHS]


def spoken(
    bound: BoundStep, rows: Sequence[np.ndarray], memory: MemoryManager, steps: int = STEPS
) -> list[np.ndarray]:
    """Logits of every step of each row, the first those of its prompt: [steps + 1, SYMBOLS]."""
    lengths = [len(row) - STEPS for row in rows]
    prompts = np.zeros((len(rows), max(lengths)), np.int64)
    for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        prompts[i, :length] = row[:length]
    with bound.start(memory, "toy", len(rows)) as sequences:
        made = [sequences.prefill(ids=prompts, lengths=lengths)["logits"]]
        for step in range(steps):
            ids = [[row[length + step]] for row, length in zip(rows, lengths, strict=True)]
            made.append(sequences.step(ids=ids)["logits"])
        assert sequences.positions.tolist() == [length + steps for length in lengths]
    return list(np.stack(made, axis=1))


def expected(stage: object, row: np.ndarray) -> np.ndarray:
    """The same, computed at once and without a carry."""
    return toy.whole(stage, row)[len(row) - STEPS - 1 :]
