"""One side of `bench.xtts`'s loading, in a process of its own: seconds and bytes, as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from engines.coqui.xtts import checkpoint
from engines.coqui.xtts.config import read_config
from engines.coqui.xtts.text import Tokenizer
from engines.runtime import torchaudio_standin


def kibibytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise LookupError(field)


def load_library(folder: Path) -> object:
    from tests.xtts_release import library_model

    return library_model(folder)


def load_ours(folder: Path) -> object:
    parts = (*checkpoint.LISTENING, *checkpoint.SPEAKING)
    return checkpoint.load_parts(folder, read_config(folder), parts, Tokenizer(folder).size)


def main(side: str, folder: Path) -> None:
    torchaudio_standin.prepare()
    import TTS.tts.models.xtts  # noqa: F401 - imports are not what is measured

    import engines.coqui.xtts.encoders
    import engines.coqui.xtts.gpt
    import engines.nn.hifigan  # noqa: F401

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before = kibibytes("VmRSS")
    started = time.perf_counter()
    held = (load_library if side == "library" else load_ours)(folder)
    seconds = time.perf_counter() - started
    peak = (kibibytes("VmHWM") - before) * 1024
    assert held is not None
    print(json.dumps({"seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
