"""How one run of the program is set up: paths, limits and defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engines.errors import StorageError

MEBI = 1024**2
GIGA = 1000**3
PRESETS_DIR = Path(__file__).resolve().parent.parent / "presets"


def on_space() -> bool:
    """True inside a Hugging Face Space."""
    return bool(os.environ.get("SPACE_ID"))


def _told_to_stay_offline() -> bool:
    """Hugging Face's own switch."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def default_data_dir() -> Path:
    """Per-user data folder; a Space's persistent disk where it has one."""
    if on_space() and os.access("/data", os.W_OK):
        return Path("/data/vivavoce")
    from platformdirs import user_data_path

    return user_data_path("vivavoce", appauthor=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one run.

    Attributes:
        data_dir: voices, history, lexicon and caches live here.
        models_dir: published checkpoints; `data_dir / "models"` where it is not given.
        device: default device of requests that name none.
        memory_budget: bytes of models and caches per device; None takes what the device has.
        idle_ttl: seconds after which an idle model leaves its device.
        workers: requests in work at once; None takes one a core, at least 8.
        max_queued: requests that may wait; one more is refused.
        max_chars: longest text of one request.
        deadline: longest time of one request in seconds, from submission.
        loudness: target in LUFS.
        shared: strangers use this machine (a Space): nothing about the host is shown or changed.
        history: which takes are kept: all, those made on the page, or none.
        history_bytes: of sound kept; the oldest takes go first.
        history_takes: takes kept at most.
        max_upload: bytes of one uploaded clip or voice file.
        offline: no connection to another machine is ever made.
    """

    data_dir: Path = field(default_factory=default_data_dir)
    models_dir: Path | None = None
    presets_dir: Path = PRESETS_DIR
    device: str = "auto"
    memory_budget: int | None = None
    idle_ttl: float = 600.0
    workers: int | None = None
    max_queued: int = 64
    max_chars: int = 1_000_000
    deadline: float = 3600.0
    loudness: float = -18.0
    shared: bool = field(default_factory=on_space)
    history: Literal["all", "page", "off"] = "all"
    history_bytes: int = 5 * GIGA
    history_takes: int = 100_000
    max_upload: int = 200 * MEBI
    offline: bool = field(default_factory=_told_to_stay_offline)

    @property
    def models(self) -> Path:
        return self.models_dir or self.data_dir / "models"

    @property
    def cache_dir(self) -> Path:
        return self.data_dir / "cache"

    @property
    def voices_dir(self) -> Path:
        return self.data_dir / "voices"

    @property
    def history_dir(self) -> Path:
        return self.data_dir / "history"

    @property
    def own_presets_dir(self) -> Path:
        """Presets of the user's own, beside those that come with the program."""
        return self.data_dir / "presets"

    @property
    def lexicon_dir(self) -> Path:
        return self.data_dir / "lexicon"

    def make_folders(self) -> None:
        """Create the folders that the program writes to.

        Raises:
            StorageError: one cannot be made.
        """
        for folder in (self.models, self.cache_dir, self.lexicon_dir):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"The folder {folder} cannot be made ({error.strerror}).",
                    "Vivavoce keeps its data there.",
                    "Give another one with --data-dir or --models-dir.",
                ) from error
