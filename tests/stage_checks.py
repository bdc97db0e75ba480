"""What every stage has to hold, as a function that families call with stages of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from engines.runtime.buckets import Buckets, BucketTable
from engines.runtime.eager import EagerRuntime
from engines.runtime.stage import MapStage


def largest_change_by_padding(
    stage: MapStage, examples: Iterable[Mapping[str, np.ndarray]], table: BucketTable
) -> float:
    """The largest difference that any bucket makes to any output, as a share of the output's
    largest value; torch on the CPU, every example at its own size and in every bucket above."""
    exact = EagerRuntime("cpu").bind(stage)
    worst = 0.0
    for inputs in examples:
        expected = exact(**inputs)
        for buckets in _single_buckets(stage, inputs, table):
            padded = EagerRuntime("cpu", buckets=buckets).bind(stage)(**inputs)
            assert padded.keys() == expected.keys()
            for name, reference in expected.items():
                assert padded[name].shape == reference.shape
                assert np.isfinite(padded[name]).all()
                change = np.abs(padded[name].astype(np.float64) - reference).max()
                worst = max(worst, float(change / max(1e-3, np.abs(reference).max())))
    return worst


def _single_buckets(
    stage: MapStage, inputs: Mapping[str, np.ndarray], table: BucketTable
) -> Iterable[BucketTable]:
    """Tables that pad one axis to one size."""
    true = {
        axis: size
        for port in stage.inputs
        if port.name in inputs
        for axis, size in zip(port.shape, np.shape(inputs[port.name]), strict=True)
        if isinstance(axis, str)
    }
    for axis, size in true.items():
        for bucket in table[axis].sizes if axis in table else ():
            if bucket > size:
                yield {axis: Buckets([bucket])}
