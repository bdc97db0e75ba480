"""The redirect beside a package that replaces torch's functions for good: what each runs, and what
an operation costs within a scope.

    python -m bench.redirect
    python -m bench.redirect --with DIRECTORY_OF_TORCHDEVICE

The second form prints what TorchDevice does with the same snippets, in a process of its own.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import importlib
import io
import sys
import threading
import time
from collections.abc import Callable, Iterator

SNIPPETS = {
    'x.cuda(), x.to("cuda"), x.to("cuda:1")': """
assert {x.cuda().device.type, x.to("cuda").device.type, x.to("cuda:1").device.type} == {"cpu"}""",
    "x.to(0), x.cuda(0)": 'assert {x.to(0).device.type, x.cuda(0).device.type} == {"cpu"}',
    'torch.zeros(device="cuda") and other factories': """
for make in (torch.zeros, torch.ones, torch.empty, torch.randn): make(2, device="cuda")
torch.arange(3, device="cuda"), torch.full((2,), 1.0, device="cuda")
torch.eye(2, device="cuda"), torch.hann_window(4, device="cuda"), torch.randperm(3, device="cuda")
torch.zeros_like(x, device="cuda"), x.new_zeros(2, device="cuda")
torch.tensor([1], device=torch.device("cuda", 1))""",
    'module.cuda(), module.to("cuda"), Linear(device="cuda")': """
nn.Linear(2, 2).cuda(), nn.Linear(2, 2).to("cuda", torch.float64), nn.Linear(2, 2, device="cuda")
nn.LSTM(2, 2).to(torch.device("cuda"))""",
    "an explicit cpu stays on the CPU": """
assert torch.zeros(2, device="cpu").device.type == x.to("cpu").device.type == "cpu"
assert torch.device("cpu").type == "cpu" """,
    "torch.device makes what it is asked for": 'assert torch.device("cuda:1").index == 1',
    "isinstance(d, torch.device)": 'assert isinstance(torch.device("cuda"), torch.device)',
    "is_available, device_count, current_device": """
assert torch.cuda.is_available() and torch.cuda.device_count() >= 1
assert torch.cuda.current_device() == 0""",
    "get_device_properties, mem_get_info": """
torch.cuda.get_device_properties(0).total_memory, torch.cuda.get_device_name()
assert torch.cuda.mem_get_info()[1] > 0""",
    "empty_cache, synchronize, memory statistics": """
torch.cuda.empty_cache(), torch.cuda.synchronize(), torch.cuda.memory_allocated()
torch.cuda.reset_peak_memory_stats(), torch.cuda.ipc_collect()""",
    "Stream, Event, stream(), elapsed_time": """
a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
a.record()
with torch.cuda.stream(torch.cuda.Stream()): x.cuda()
b.record(); torch.cuda.current_stream().wait_event(b); b.synchronize()
assert a.elapsed_time(b) >= 0""",
    "torch.cuda.device, set_device": """
torch.cuda.set_device(0)
with torch.cuda.device(0): x.cuda()""",
    'torch.Generator("cuda")': """
g = torch.Generator(device="cuda").manual_seed(1)
torch.randn(2, generator=g, device="cuda")
assert isinstance(g, torch.Generator)""",
    "manual_seed, RNG states, fork_rng": """
torch.cuda.manual_seed(3)
one = torch.randn(3, device="cuda")
torch.cuda.manual_seed_all(3)
assert torch.equal(one, torch.randn(3, device="cuda"))
state = torch.cuda.get_rng_state(); torch.cuda.set_rng_state(state)
with torch.random.fork_rng(): torch.cuda.manual_seed(2)""",
    'torch.autocast("cuda")': """
a = torch.ones(2, 2)
with torch.autocast("cuda", dtype=torch.bfloat16): assert (a @ a).dtype == torch.bfloat16
with torch.autocast("cuda", enabled=False): assert (a @ a).dtype == torch.float32""",
    "torch.load of a file saved on cuda:3": 'torch.load(saved("cuda:3"))',
    "torch.load of a file saved on MPS": 'torch.load(saved("mps"))',
    'map_location="cuda", a dict, a function': """
torch.load(saved("cuda:3"), map_location="cuda"), torch.load(saved("cuda:3"), map_location="cpu")
torch.load(saved("cuda:3"), map_location={"cuda:3": "cuda:0"})
torch.load(saved("cuda:3"), map_location=lambda storage, location: storage.cuda())""",
    "x.pin_memory(), record_stream": """
x.pin_memory().cuda(non_blocking=True).record_stream(torch.cuda.current_stream())""",
    "torch.cuda.FloatTensor, x.type(...)": """
torch.cuda.FloatTensor(2), x.type("torch.cuda.HalfTensor")""",
    "DataParallel": "nn.DataParallel(nn.Linear(2, 2)).cuda()(torch.ones(1, 2).cuda())",
    "a function taken from torch.cuda beforehand": "assert taken()",
    "another thread sees plain torch": """
seen = []
thread = threading.Thread(target=lambda: seen.append(torch.cuda.is_available()))
thread.start(); thread.join()
assert seen == [False]""",
}


def saved(location: str) -> io.BytesIO:
    import torch

    tag = torch.serialization.location_tag
    torch.serialization.location_tag = lambda _storage: location
    try:
        torch.save({"w": torch.ones(2)}, file := io.BytesIO())
    finally:
        torch.serialization.location_tag = tag
    file.seek(0)
    return file


def run(
    scope: Callable[[], contextlib.AbstractContextManager[object]], taken: Callable[[], bool]
) -> Iterator[str]:
    """
    Args:
        taken: `torch.cuda.is_available` as it was before anything was replaced.
    """
    import torch
    from torch import nn

    for title, snippet in SNIPPETS.items():
        names = {"torch": torch, "nn": nn, "saved": saved, "threading": threading, "taken": taken}
        names["x"] = torch.zeros(2)
        try:
            with scope():
                exec(snippet, names)
            yield f"{title}: yes"
        except Exception as error:
            told = str(error).strip().split("\n")[0]
            yield f"{title}: no ({type(error).__name__}{': ' if told else ''}{told:.90})"


def kept_for_good() -> str:
    import torch

    return f"torch.cuda.is_available() afterwards: {torch.cuda.is_available()}"


def cost() -> Iterator[str]:
    """What an operation takes within a scope, beside the same without one, turn by turn."""
    import torch

    from engines.runtime.redirect import redirect

    torch.set_num_threads(1)
    for size in (1, 1024):
        a = torch.ones(size, size)
        times: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(40):
            inside = turn % 2 == 0
            with redirect("cpu") if inside else contextlib.nullcontext():
                repeats = 20_000 if size == 1 else 4
                start = time.perf_counter()
                for _ in range(repeats):
                    torch.mm(a, a)
                times[inside].append((time.perf_counter() - start) / repeats)
        within, without = (sorted(times[each])[10] * 1e6 for each in (True, False))
        yield f"mm {size}×{size}: {within:.2f} µs within a scope, {without:.2f} µs without"
    start = time.perf_counter()
    for _ in range(200):
        with redirect("cpu"):
            pass
    yield f"entering and leaving: {(time.perf_counter() - start) / 200 * 1e6:.0f} µs"


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--with", dest="other", help="folder that TorchDevice lies in")
    asked = given.parse_args()
    import torch

    taken = torch.cuda.is_available
    if asked.other:
        sys.path.insert(0, asked.other)
        # a name that its release 0.5.2 uses without having it
        builtins.t_manual_seed_all = torch.manual_seed  # type: ignore[attr-defined]
        with contextlib.redirect_stderr(io.StringIO()):
            importlib.import_module("TorchDevice")
            lines = list(run(contextlib.nullcontext, taken))
    else:
        from engines.runtime.redirect import redirect

        lines = [*run(lambda: redirect("cpu"), taken), *cost()]
    print("\n".join([*lines, kept_for_good()]))


if __name__ == "__main__":
    main()
