"""Thread counts, once for all runtimes, set before any of their libraries starts.

Idle OpenMP threads that spin for work made shared machines several times slower, so waiting
threads sleep unless the user's own environment says otherwise.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engines.errors import InvalidRequest
from engines.runtime import cgroup

log = logging.getLogger("vivavoce.threads")

# OpenMP first: a count that the user set there holds for all
COUNT_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
)
WAIT_POLICY = "OMP_WAIT_POLICY"

_ours: dict[str, str] = {}  # what we set, which a second call may change
_count: int | None = None


@dataclass(frozen=True, slots=True)
class OnnxSessionOptions:
    """Values for `onnxruntime.SessionOptions`; `config` goes to `add_session_config_entry`."""

    intra_op_num_threads: int
    inter_op_num_threads: int = 1
    config: Mapping[str, str] = field(
        default_factory=lambda: {
            "session.intra_op.allow_spinning": "0",
            "session.inter_op.allow_spinning": "0",
        }
    )


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy: its affinity, less a container's CPU quota.

    Args:
        root: where /proc and /sys are looked for.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    limit = cgroup.cpu_limit(root)
    return cores if limit is None else min(cores, cgroup.whole_cores(limit))


def configure(threads: int | None = None) -> int:
    """Set thread counts and the wait policy in the environment; what the user set there stays.

    Call it before torch, NumPy's BLAS or ONNX Runtime is imported: they read it once. Where torch
    is there already, its count is set directly.

    Args:
        threads: the count for all runtimes; None takes OMP_NUM_THREADS, else the usable cores.

    Returns:
        The count.

    Raises:
        InvalidRequest: the count is below 1.
    """
    global _count
    if threads is not None and threads < 1:
        raise InvalidRequest(
            f"threads was {threads}.",
            "It takes a whole number from 1 up.",
            f"Leave it out to use all {usable_cores()} cores that are there.",
            param="threads",
        )
    _count = threads or _users_count() or usable_cores()
    _set_default(WAIT_POLICY, "PASSIVE")
    for variable in COUNT_VARIABLES:
        _set_default(variable, str(_count))
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(_count)
    log.info("%d threads, %s=%s", _count, WAIT_POLICY, os.environ[WAIT_POLICY])
    return _count


def count() -> int:
    """Threads for one runtime, as `configure` decided."""
    return _count if _count is not None else configure()


def onnx_session_options() -> OnnxSessionOptions:
    return OnnxSessionOptions(intra_op_num_threads=count())


def _users_count() -> int | None:
    value = os.environ.get(COUNT_VARIABLES[0], "")
    if value == _ours.get(COUNT_VARIABLES[0]):
        return None
    first = value.split(",")[0].strip()  # one count per level of nesting
    return int(first) if first.isdecimal() and int(first) > 0 else None


def _set_default(variable: str, value: str) -> None:
    if os.environ.get(variable) in (None, _ours.get(variable)):
        os.environ[variable] = _ours[variable] = value
