"""From an engine's declared support and a device to the runtime that its stages run on."""

from __future__ import annotations

import logging
from pathlib import Path

from engines.api import Capability, Support
from engines.errors import UnsupportedRuntime
from engines.runtime.buckets import BucketTable
from engines.runtime.device import DeviceSpec, parse, pick_dtype
from engines.runtime.probe import Machine
from engines.runtime.stage import Runtime

log = logging.getLogger("vivavoce.runtime")


def support(
    capability: Capability, device: str, dtype: str | None = None, machine: Machine | None = None
) -> Support:
    """The row of an engine's table that a device and dtype fall under.

    Args:
        device: a canonical device name.
        dtype: what to compute in; None takes the device's own where the engine lists it, and
            else the first that it lists for that device.

    Raises:
        UnsupportedRuntime: the pair is not listed, or refused.
    """
    spec = parse(device)
    if spec is None:
        raise ValueError("auto is to be resolved before a runtime is asked for")
    usable = {
        row.dtype: row
        for row in capability.support
        if row.runtime == spec.runtime and row.status != "refused"
    }
    own = None
    if dtype is None and usable:
        own = pick_dtype(spec, machine).name
        dtype = own if own in usable else next(iter(usable))
    if dtype not in usable:
        raise _refusal(capability, spec, dtype)
    if own is not None and dtype != own:
        log.info("%s works in %s on %s: it does not list %s", capability.name, dtype, device, own)
    return usable[dtype]


def open_runtime(
    capability: Capability,
    device: str,
    *,
    buckets: BucketTable,
    cache: Path,
    dtype: str | None = None,
    machine: Machine | None = None,
) -> Runtime:
    """The runtime of a device, for an engine that lists it.

    Args:
        buckets: the family's table; used where graphs are compiled for each size.
        cache: the program's cache folder, where compiled graphs may be kept.

    Raises:
        UnsupportedRuntime: as `support`; or its library lacks what the device needs.
    """
    row = support(capability, device, dtype, machine)
    kind = row.runtime.split(":")[0]
    if kind == "onnx":
        from engines.runtime.ort import OrtRuntime

        plans_anew = row.runtime in ("onnx:coreml", "onnx:directml")
        return OrtRuntime(device, buckets=buckets if plans_anew else None)
    if kind == "xla":
        from engines.runtime.xla import XlaRuntime

        return XlaRuntime(device, row.dtype, buckets=buckets, cache=cache / "xla")
    from engines.runtime.eager import EagerRuntime

    return EagerRuntime(device, row.dtype)


def _refusal(capability: Capability, spec: DeviceSpec, dtype: str | None) -> UnsupportedRuntime:
    rows = [row for row in capability.support if row.status != "refused"]
    notes = [
        row.note
        for row in capability.support
        if row.status == "refused" and row.runtime == spec.runtime and dtype in (None, row.dtype)
    ]
    pair = spec.runtime if dtype is None else f"{spec.runtime} in {dtype}"
    return UnsupportedRuntime(
        " ".join([f"{capability.title} does not run on {pair}.", *filter(None, notes)]),
        f"It runs on {', '.join(f'{row.runtime} in {row.dtype}' for row in rows)}.",
        "Pick one of these.",
        param="device",
    )
