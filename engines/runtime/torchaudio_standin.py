"""Makes torchaudio importable beside a torch that its compiled extension was not built for.

A torchaudio built for CUDA cannot load its extension under a CPU-only torch. Its Python part
(resampling, spectrograms), which is all that we and coqui-tts use, works without the extension.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import ModuleType

log = logging.getLogger("vivavoce.torchaudio")

LOADER = "torchaudio._extension.utils"

_lock = threading.Lock()


def prepare() -> None:
    """Import torchaudio, without its extension where that cannot be loaded.

    To be called before the first import of torchaudio or of a package that imports it, such as
    coqui-tts.

    Raises:
        ImportError: torchaudio is missing or broken in another way.
    """
    with _lock:
        try:
            import torchaudio
        except (OSError, RuntimeError) as error:  # no such library; built for another CUDA
            log.info("torchaudio works without its extension, which does not load: %s", error)
            _forget_half_imported()
            sys.modules[LOADER] = _loader_that_finds_nothing()
            import torchaudio  # noqa: F401


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]


def _loader_that_finds_nothing() -> ModuleType:
    """What torchaudio itself sees where it was built without an extension."""
    loader = ModuleType(LOADER, "Stands in for torchaudio's loader of compiled code.")
    vars(loader).update(
        _load_lib=lambda _library: False,
        _check_cuda_version=lambda: None,
        _init_dll_path=lambda: None,
    )
    return loader
