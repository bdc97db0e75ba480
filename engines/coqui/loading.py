"""A model's folder to the library's Synthesizer."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from engines.coqui import library
from engines.coqui.files import CONFIG, checkpoint_of
from engines.coqui.shelf import VOICES, Installed
from engines.errors import BadCheckpoint, MissingDependency, VivavoceError
from engines.runtime.redirect import redirect

if TYPE_CHECKING:
    from torch import nn

    from engines.api import CancelToken

log = logging.getLogger("vivavoce.coqui")

WEIGHTS = (".pth", ".pt", ".tar", ".safetensors")
MEGABYTE = 1_000_000


def weight_bytes(installed: Installed) -> int:
    """An upper estimate of what the weights take."""
    folders = [installed.folder, *([installed.vocoder] if installed.vocoder else [])]
    paths = [
        path for folder in folders for path in folder.rglob("*") if path.name.endswith(WEIGHTS)
    ]
    if installed.checkpoint.is_file():  # beside which older ones may lie
        paths = [installed.checkpoint]
    return sum(path.stat().st_size for path in paths)


def load(installed: Installed, cancel: CancelToken | None) -> nn.Module:
    """The library's Synthesizer with a model, on the CPU.

    Raises:
        BadCheckpoint: a file is missing or damaged, or does not belong to the configuration.
        MissingDependency: the model needs a package or a program that is not here.
        Cancelled: while it was loading.
    """
    library.prepare(installed.kind.name)
    size = weight_bytes(installed) / MEGABYTE
    log.info("loading %s (%s), %.0f MB", installed.id, installed.kind.title, size)
    begun = time.monotonic()
    watch = None if cancel is None else cancel.raise_if_set
    with library.files_of(installed.folder), redirect("cpu", watch=watch):
        try:
            synthesizer = _synthesizer(installed)
        except VivavoceError:
            raise
        except Exception as error:
            raise _not_loaded(installed, error) from error
    log.info("%s is loaded, after %.1f s", installed.id, time.monotonic() - begun)
    return synthesizer


def _synthesizer(installed: Installed) -> Any:
    """What the library's constructor makes, which goes by names in the path instead."""
    from torch import nn
    from TTS.utils.synthesizer import Synthesizer

    made = Synthesizer.__new__(Synthesizer)
    nn.Module.__init__(made)
    made.tts_model = made.vocoder_model = made.vc_model = None
    made.encoder_checkpoint = made.encoder_config = made.tts_speakers_file = ""
    made.use_cuda = False
    made.voice_dir = installed.folder / VOICES
    if installed.kind.task == "speech":
        config = installed.config or installed.folder / CONFIG
        made._load_tts(installed.checkpoint, config, use_cuda=False)
    elif installed.kind.name == "openvoice":
        made._load_openvoice(installed.checkpoint, use_cuda=False)
    else:
        made._load_vc(str(installed.checkpoint), str(installed.config), use_cuda=False)
    if installed.vocoder is not None:
        weights = checkpoint_of(installed.vocoder)
        with library.files_of(installed.vocoder):
            config = installed.vocoder / CONFIG
            made._load_vocoder(str(weights), str(config), use_cuda=False)
    made._set_segmenters()
    return made


def _not_loaded(installed: Installed, error: Exception) -> VivavoceError:
    told = str(error).strip().replace("\n", " ") or type(error).__name__
    if "espeak" in told.lower() or isinstance(error, ImportError | ModuleNotFoundError):
        return MissingDependency(
            f"{installed.id} needs something that is not here ({told:.200}).",
            "Models that speak by phonemes need the program espeak-ng, or gruut's data for their "
            "language.",
            "Install it (Debian: apt install espeak-ng), or choose another model.",
        )
    return BadCheckpoint(
        f"{installed.folder} cannot be loaded: {told:.400}.",
        "Its weights and its configuration have to be of one model.",
        "Download it again.",
    )
