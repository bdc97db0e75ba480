"""What is resident on which device: leases, budget, idle eviction, pooled KV caches.

    def decoder() -> TorchModule:
        return TorchModule("cuda:0", nbytes=file.stat().st_size, build=read_decoder)

    with memory.acquire("f5 decoder on cuda:0", decoder, cancel=cancel) as module:
        mel = module(tokens)

Inside the `with` the module stays where it is. Outside it may leave its device at any time: nothing
of it may be kept. A module is shared by all who lease it; a KV buffer belongs to one at a time.
"""

from engines.memory.budget import Margin, is_out_of_memory
from engines.memory.journal import (
    DeviceUsage,
    MemoryEvent,
    MemorySample,
    ResidentInfo,
    ResidentState,
)
from engines.memory.kv_pool import KvPool
from engines.memory.lease import Lease
from engines.memory.manager import MemoryManager
from engines.memory.resident import Footprint, Reloadable, Resident, TorchModule

__all__ = [
    "DeviceUsage",
    "Footprint",
    "KvPool",
    "Lease",
    "Margin",
    "MemoryEvent",
    "MemoryManager",
    "MemorySample",
    "Reloadable",
    "Resident",
    "ResidentInfo",
    "ResidentState",
    "TorchModule",
    "is_out_of_memory",
]
