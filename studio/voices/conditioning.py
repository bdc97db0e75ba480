"""What an engine computed from a voice's clips, kept on disk so that it is computed once."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from engines.api import CancelToken
from engines.errors import EngineFailure, VivavoceError
from studio.voices import files
from studio.voices.records import VoiceClip

log = logging.getLogger("vivavoce.voices")

GLANCE = 0.05  # seconds between two looks at the cancel token while another computes
DIGEST = "sha256"
REFERENCE_SECONDS = 60.0

Arrays = Mapping[str, np.ndarray]


def cache_name(clips: Sequence[VoiceClip], engine: str, version: str) -> str:
    """The file for the conditioning of these clips, in this order, by this engine."""
    said = [(clip.sha256, clip.language, clip.transcript) for clip in clips]
    key = hashlib.sha256(repr((engine, version, said)).encode())
    return f"{key.hexdigest()}.safetensors"


class ConditioningCache:
    """Files of arrays. Each is computed once, however many ask for it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: dict[Path, tuple[threading.Lock, int]] = {}  # and how many want it

    def get(
        self,
        path: Path,
        compute: Callable[[], Arrays],
        keeping: Callable[[], contextlib.AbstractContextManager[bool]],
        cancel: CancelToken,
    ) -> Arrays:
        """The arrays of a file; where it is missing or damaged they are computed and kept.

        Args:
            keeping: entered while the file is put in place; it gives False where the voice has
                changed or gone meanwhile, and nothing may be kept.
            cancel: ends waiting for another's computation.

        Raises:
            EngineFailure: what was computed are no arrays of numbers.
            VivavoceError: what `compute` raised.
        """
        with self._alone_with(path, cancel):
            kept = load(path)
            if kept is not None:
                return kept
            made = compute()
            data = _packed(made)
            try:
                with keeping() as wanted:
                    if wanted:
                        with files.translated(path):
                            path.parent.mkdir(parents=True, exist_ok=True)
                        files.write(path, data)
            except VivavoceError as error:  # it can be computed again
                log.warning("the conditioning of a voice was not kept: %s", error)
            return made

    @contextlib.contextmanager
    def _alone_with(self, path: Path, cancel: CancelToken) -> Iterator[None]:
        with self._lock:
            lock, wanted = self._busy.get(path, (threading.Lock(), 0))
            self._busy[path] = (lock, wanted + 1)
        try:
            while not lock.acquire(timeout=GLANCE):
                cancel.raise_if_set()
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._lock:
                lock, wanted = self._busy.pop(path)
                if wanted > 1:
                    self._busy[path] = (lock, wanted - 1)


def reference_clips(clips: Sequence[VoiceClip]) -> tuple[VoiceClip, ...]:
    """The first clips, a minute of them at most, and at least one: what an engine is given."""
    seconds = 0.0
    kept: list[VoiceClip] = []
    for clip in clips:
        seconds += clip.seconds
        if kept and seconds > REFERENCE_SECONDS:
            break
        kept.append(clip)
    return tuple(kept)


def load(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a file, or None where it is missing or not what was written."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            digest = (file.metadata() or {}).get(DIGEST)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        log.warning("%s is damaged and is computed again (%s)", path.name, error)
        return None
    if digest != _digest(arrays):
        log.warning("%s is damaged and is computed again", path.name)
        return None
    return arrays


def _packed(arrays: Arrays) -> bytes:
    from safetensors import SafetensorError
    from safetensors.numpy import save

    try:
        plain = {name: np.array(array, order="C") for name, array in arrays.items()}
        return save(plain, {DIGEST: _digest(plain)})
    except (SafetensorError, AttributeError, TypeError, ValueError) as error:
        raise EngineFailure(
            f"The engine's conditioning cannot be kept ({type(error).__name__}: {error}).",
            "It has to be arrays of numbers by name.",
            "Tell whoever wrote the engine.",
        ) from error


def _digest(arrays: Arrays) -> str:
    """A hash of names, shapes, types and values: the format itself has none."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        found.update(repr((name, array.dtype.str, array.shape)).encode())
        found.update(array.tobytes())
    return found.hexdigest()
