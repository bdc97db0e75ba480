"""Step stages in ONNX Runtime. Imports no torch.

A file's carry goes in and comes out in the same memory: bound once, it is written in place, and no
step copies it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.runtime.sequences import Call
from engines.runtime.stage import BATCH, MapStage
from engines.runtime.step import NEW, Carry, StepStage

if TYPE_CHECKING:
    import onnxruntime

WRITTEN = "_written"  # ends the name of a carry's tensor where it comes out of the graph
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OrtSteps:
    """
    Args:
        device: canonical device name.
        session: of the stage's file.
    """

    def __init__(
        self, stage: StepStage, device: str, session: onnxruntime.InferenceSession
    ) -> None:
        self.device = device
        self._stage, self._face, self._session = stage, stage.face(), session
        first = stage.carry.names()[0]
        kinds = {each.name: each.type for each in session.get_inputs()}
        self._dtype = np.dtype(DTYPES[kinds[first]])
        self.itemsize = self._dtype.itemsize
        # the others compute on the host's memory, or fetch what they need of it
        self._memory = ("cuda", 0) if device == "onnx:cuda" else ("cpu", 0)

    def maker(self, rows: int) -> Callable[[int], list[onnxruntime.OrtValue]]:
        return partial(_zeros, self._stage.carry, self._dtype, self._memory, rows)

    def open(self, buffers: list[onnxruntime.OrtValue]) -> Call:
        binding = self._session.io_binding()
        for name, value in zip(self._stage.carry.names(), buffers, strict=True):
            binding.bind_ortvalue_input(name, value)
            binding.bind_ortvalue_output(f"{name}{WRITTEN}", value)

        def call(arrays: list[np.ndarray], _used: int) -> list[np.ndarray]:
            for port, array in zip(self._face.inputs, arrays, strict=True):
                _bind(binding.bind_input, port.name, array)
            outputs = _room(self._face, arrays)
            for port, array in zip(self._face.outputs, outputs, strict=True):
                _bind(binding.bind_output, port.name, array)
            self._session.run_with_iobinding(binding)
            return outputs

        return call

    def grow(self, old: list[onnxruntime.OrtValue], new: list[onnxruntime.OrtValue]) -> None:
        for source, target in zip(old, new, strict=True):
            kept, larger = source.numpy(), target.numpy()  # on the host these are the buffers
            larger[:, :, : kept.shape[2]] = kept
            if self._memory[0] != "cpu":
                target.update_inplace(larger)


def _zeros(
    carry: Carry, dtype: np.dtype, memory: tuple[str, int], rows: int, size: int
) -> list[onnxruntime.OrtValue]:
    import onnxruntime

    shape = carry.shape(rows, size)
    blanks = (np.zeros(shape, dtype) for _ in carry.names())  # on the host each is its buffer
    return [onnxruntime.OrtValue.ortvalue_from_numpy(blank, *memory) for blank in blanks]


def _room(face: MapStage, arrays: list[np.ndarray]) -> list[np.ndarray]:
    sizes: dict[str, int] = {}
    for port, array in zip(face.inputs, arrays, strict=True):
        sizes |= {a: n for a, n in zip(port.shape, array.shape, strict=True) if isinstance(a, str)}
    assert sizes.keys() == {BATCH, NEW}
    return [np.empty(port.size(sizes), port.dtype) for port in face.outputs]


def _bind(bind: Callable[..., Any], name: str, array: np.ndarray) -> None:
    bind(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
