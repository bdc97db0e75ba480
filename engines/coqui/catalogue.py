"""The library's own list of published models: whose terms, which language, which vocoder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from engines.text.languages import canonical

FILE = "TTS/.models.json"
TASKS = ("tts_models", "voice_conversion_models", "vocoder_models")
SEVERAL = "multilingual"


@dataclass(frozen=True, slots=True)
class Published:
    """A model of the list.

    Attributes:
        name: the library's, such as "tts_models/en/ljspeech/vits".
        language: BCP 47; "" where it has several, which its configuration names.
        vocoder: the name of the one that it speaks with; "" where it needs none.
    """

    name: str
    language: str
    licence: str
    description: str
    vocoder: str
    asks_consent: bool

    @property
    def folder(self) -> str:
        """What the library calls the folder that it downloads into."""
        return self.name.replace("/", "--")

    @property
    def title(self) -> str:
        """Such as "ljspeech vits"."""
        return " ".join(self.name.split("/")[2:])


@cache
def published() -> Mapping[str, Published]:
    """The models by the name of their folder. The library itself is not imported.

    Where it is not installed there are none.
    """
    try:
        path = Path(str(metadata.distribution("coqui-tts").locate_file(FILE)))
        listed = json.loads(path.read_text("utf-8"))
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return {}
    found = [
        Published(
            name=f"{task}/{language}/{dataset}/{model}",
            language="" if language == SEVERAL else canonical(language.replace("_", "-x-")),
            licence=str(about.get("license") or ""),
            description=str(about.get("description") or ""),
            vocoder=str(about.get("default_vocoder") or ""),
            asks_consent=bool(about.get("tos_required")),
        )
        for task in TASKS
        for language, datasets in listed.get(task, {}).items()
        for dataset, models in datasets.items()
        for model, about in models.items()
    ]
    return {each.folder: each for each in found}
