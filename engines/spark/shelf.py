"""The releases of the models directory, and the voices that each of them can make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engines.api import Voice
from engines.checkpoint import SUFFIX, bad_file
from engines.checkpoint.folders import Folders
from engines.errors import VivavoceError
from engines.spark.checkpoint import CODEC_FILE, FEATURES_FILE
from engines.spark.config import CODEC, LLM, SparkConfig, read_config

FAMILY = "spark"
ONNX_FOLDER = "onnx"  # of a release: one file a stage
LLM_FILE = f"{LLM}/model.safetensors"
LANGUAGES = ("en", "zh")
GENDERS: tuple[Literal["female", "male"], ...] = ("female", "male")
NEEDED = (f"{LLM}/config.json", f"{LLM}/tokenizer.json")
AGAIN = "Download the release again, with all of its files."


@dataclass(frozen=True)
class Installed:
    """A release that can be spoken with.

    Attributes:
        id: unique among those that are here, safe in a URL.
        version: changes when one of its files does.
        voices: those that it makes without a clip, by gender.
    """

    id: str
    version: str
    folder: Path
    config: SparkConfig
    voices: Mapping[str, Voice] = field(repr=False)

    @property
    def onnx(self) -> Path:
        return self.folder / ONNX_FOLDER


class Shelf:
    """
    Args:
        root: the models directory; it need not be there.
    """

    def __init__(self, root: Path) -> None:
        self._folders = Folders(root, is_release, _open)

    def releases(self) -> tuple[Installed, ...]:
        """Those that can be spoken with, by folder."""
        found = self._folders.look().values()
        return tuple(each for each in found if isinstance(each, Installed))

    def broken(self) -> dict[str, VivavoceError]:
        """Why the others cannot, by id."""
        found = self._folders.look().items()
        return {name: each for name, each in found if isinstance(each, VivavoceError)}

    def faults(self) -> dict[Path, VivavoceError]:
        """The same by folder."""
        return self._folders.faults()


def is_release(folder: Path) -> bool:
    """Whether a folder is meant to be one; a part of it may be missing."""
    return (folder / CODEC / "config.yaml").is_file() or (folder / CODEC_FILE).is_file()


def _open(folder: Path, name: str, version: str) -> Installed:
    try:
        config = read_config(folder)
        _check_files(folder)
    except OSError as error:
        raise bad_file(
            folder, f"cannot be read ({error.strerror})", "Correct its rights."
        ) from error
    voices: dict[str, Voice] = {
        gender: Voice(
            f"{name}.{gender}",
            f"{name} · {gender}",
            FAMILY,
            LANGUAGES,
            gender,
            ("made",),
            sample_rate=config.top.sample_rate,
        )
        for gender in GENDERS
    }
    return Installed(name, version, folder, config, voices)


def _check_files(folder: Path) -> None:
    """Every part has its weights, or all of them stand as ONNX files."""
    for file in NEEDED:
        if not (folder / file).is_file():
            raise bad_file(folder / file, "is missing", AGAIN)
    if any((folder / ONNX_FOLDER).glob("*.onnx")):
        return
    for file in (CODEC_FILE, LLM_FILE, FEATURES_FILE):
        path = folder / file
        if not path.is_file() and not path.with_suffix(SUFFIX).is_file():
            raise bad_file(path, "is missing", AGAIN)
