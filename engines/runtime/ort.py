"""Stages in ONNX Runtime, from the files that `engines.runtime.export` wrote. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from engines.errors import BadCheckpoint, EngineFailure, UnsupportedRuntime
from engines.runtime import threads
from engines.runtime.buckets import Buckets, BucketTable
from engines.runtime.device import ONNX_PROVIDERS
from engines.runtime.onnx_file import FIXED_KEY, MAKE_AGAIN, PRECISION_KEY, metadata
from engines.runtime.ort_step import OrtSteps
from engines.runtime.padding import Padded
from engines.runtime.sequences import BoundStep
from engines.runtime.stage import Bound, MapStage
from engines.runtime.step import StepStage

if TYPE_CHECKING:
    import onnxruntime

# It brings convolutions a fifth, and ends the process on some graphs in half precision
# (ONNX Runtime 1.31).
UNSAFE_IN_HALF = ["NchwcTransformer"]

# float32 means float32: these would round it to 10 bits, and durations of phonemes with it
PROVIDER_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}


class OrtRuntime:
    """Runs stages that were read from ONNX files.

    Args:
        device: "onnx", "onnx:cuda", "onnx:coreml" or "onnx:directml".
        buckets: sizes to pad to. Without, every length runs as it is; providers that plan anew for
            every shape (CoreML, DirectML) are quicker with them.

    Raises:
        UnsupportedRuntime: the installed ONNX Runtime lacks the device's provider.
    """

    dtype = "float32"  # of the files' inputs and outputs, whatever they compute in

    def __init__(self, device: str = "onnx", *, buckets: BucketTable | None = None) -> None:
        import onnxruntime

        self.device = device
        self._buckets = buckets or {}
        self._provider = ONNX_PROVIDERS[device]
        present = onnxruntime.get_available_providers()
        if self._provider not in present:
            raise self._unusable(f"It has {', '.join(present)}.")

    @overload
    def bind(self, stage: MapStage) -> Bound: ...
    @overload
    def bind(self, stage: StepStage) -> BoundStep: ...
    def bind(self, stage: MapStage | StepStage) -> Bound | BoundStep:
        if stage.source is None:
            raise EngineFailure(
                f"Stage {stage.name} has no ONNX file.",
                "ONNX Runtime reads its stages from such files.",
                "Make them from the checkpoint with `python app.py convert DIR --to onnx`.",
            )
        session = self._session(stage.source)
        if isinstance(stage, StepStage):
            return BoundStep(stage, OrtSteps(stage, self.device, session), self._buckets)
        buckets = {**self._buckets, **_fixed(stage.source)}
        inputs = [port.name for port in stage.inputs]
        outputs = [port.name for port in stage.outputs]

        def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
            results: list[Any] = session.run(outputs, dict(zip(inputs, arrays, strict=True)))
            return results

        return Padded(stage, buckets, run)

    def _session(self, file: Path) -> onnxruntime.InferenceSession:
        import onnxruntime

        chosen = threads.onnx_session_options()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = chosen.intra_op_num_threads
        options.inter_op_num_threads = chosen.inter_op_num_threads
        for key, value in chosen.config.items():
            options.add_session_config_entry(key, value)
        # plans of the memory, one for every length that ever came, take more of it with each call
        # and save next to no time; DirectML refuses to start with them
        options.enable_mem_pattern = False
        halves = metadata(file).get(PRECISION_KEY, "fp16") == "fp16"  # or made before it was told
        states = onnxruntime.capi.onnxruntime_pybind11_state
        try:
            session = onnxruntime.InferenceSession(
                file,
                options,
                [(self._provider, PROVIDER_OPTIONS.get(self._provider, {}))],
                disabled_optimizers=UNSAFE_IN_HALF if halves else [],
            )
        except (states.InvalidProtobuf, states.InvalidGraph, states.NoSuchFile) as error:
            raise _unloadable(file, error) from error
        except states.Fail as error:
            if "xternal" not in str(error):  # of weights that stand in a file beside it
                raise
            raise _unloadable(file, error) from error
        if session.get_providers()[0] != self._provider:
            # it goes on with the CPU where the provider's own libraries do not load
            raise self._unusable("Its libraries do not load; the log above says which.")
        return session

    def _unusable(self, why: str) -> UnsupportedRuntime:
        return UnsupportedRuntime(
            f"The installed ONNX Runtime cannot use {self._provider}.",
            why,
            "Pick the device onnx, or install the package of ONNX Runtime for that hardware.",
            param="device",
        )


def _unloadable(file: Path, error: Exception) -> BadCheckpoint:
    reason = str(error).splitlines()[0]
    return BadCheckpoint(f"{file} cannot be loaded: {reason:.200}", "", MAKE_AGAIN)


def _fixed(file: Path) -> BucketTable:
    """Buckets of the axes for which the file has one size."""
    text = metadata(file).get(FIXED_KEY, "{}")
    try:
        return {axis: Buckets([size]) for axis, size in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise BadCheckpoint(
            f"{file} names sizes of its axes that cannot be read: {text:.80}.", "", MAKE_AGAIN
        ) from error
