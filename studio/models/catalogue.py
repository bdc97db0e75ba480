"""The published models that the program knows: where they are, what they need, whose terms."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from engines import registry
from studio.models.errors import BadCatalogue, UnknownModel

FILE = Path(__file__).parent / "catalogue.json"
SCHEMA = Path(__file__).parent / "catalogue.schema.json"

Commercial = Literal["allowed", "forbidden", "unknown"]


@dataclass(frozen=True, slots=True)
class Licence:
    """A model's terms. `commercial` is "unknown" where nobody says it plainly."""

    name: str
    commercial: Commercial
    url: str = ""
    note: str = ""

    @property
    def must_be_read(self) -> bool:
        return self.commercial != "allowed"


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file of a repository by its path or a pattern (`studio.models.patterns`).

    Attributes:
        to: its path in the model's folder, where that differs.
        bytes: as published; None where unknown. about: an estimate instead.
        sha256: of the published file, where it is known beforehand.
    """

    path: str
    to: str = ""
    bytes: int | None = None
    about: int | None = None
    sha256: str = ""
    optional: bool = False

    @property
    def place(self) -> str:
        return self.to or self.path


@dataclass(frozen=True, slots=True)
class Source:
    """Files of one repository on the Hub, at a commit or on a branch."""

    repo: str
    revision: str
    files: tuple[WantedFile, ...]

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repo}"


@dataclass(frozen=True, slots=True)
class Mark:
    """A file by which a folder is recognised, and a regular expression that it has to hold."""

    file: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """One published model.

    Attributes:
        id: unique among all families; its folder is `<family>/<id>`.
        languages: BCP 47; () where unknown.
        sources: () for a layout that is recognised but not downloaded.
        needs: patterns of files without which it is not whole.
        marks: any one of them tells that a folder holds this model.
    """

    id: str
    family: str
    title: str
    summary: str
    languages: tuple[str, ...]
    licence: Licence
    sources: tuple[Source, ...]
    needs: tuple[str, ...]
    marks: tuple[Mark, ...]

    @property
    def folder(self) -> str:
        """Relative to the models directory."""
        return f"{self.family}/{self.id}"

    @property
    def downloadable(self) -> bool:
        return bool(self.sources)

    def size(self) -> tuple[int, bool]:
        """Bytes of a download as far as they are known, and whether that is exact."""
        files = [file for source in self.sources for file in source.files]
        known = sum(file.bytes or file.about or 0 for file in files)
        exact = all(file.bytes for file in files if not file.optional)
        return known, exact


@dataclass(frozen=True, slots=True)
class Family:
    """Models that one engine speaks with.

    Attributes:
        id: its folder in the models directory.
        engine: name in the registry, once this program has it.
        by_hand: what a person may put into the models directory without a download.
    """

    id: str
    title: str
    engine: str
    summary: str
    home: str
    by_hand: str
    models: tuple[Model, ...]

    @property
    def speaks(self) -> bool:
        """Whether this version of the program has the engine."""
        return self.engine in registry.names()


@dataclass(frozen=True, slots=True)
class Catalogue:
    families: tuple[Family, ...]

    def models(self) -> Iterator[Model]:
        for family in self.families:
            yield from family.models

    def family(self, family_id: str) -> Family | None:
        return next((family for family in self.families if family.id == family_id), None)

    def model(self, name: str) -> Model:
        """The downloadable model of that id, or of `family/id`.

        Raises:
            UnknownModel: there is none.
        """
        names = [model.id for model in self.models() if model.downloadable]
        for model in self.models():
            if model.downloadable and name in (model.id, model.folder):
                return model
        raise UnknownModel(
            f"There is no model {name!r:.80}.",
            f"Models here: {', '.join(names)}.",
            "Pick one of them.",
            param="model",
        )


@cache
def load(file: Path = FILE) -> Catalogue:
    """Read the catalogue.

    Raises:
        BadCatalogue: the file is broken or breaks the schema.
    """
    import jsonschema

    try:
        values = json.loads(file.read_text("utf-8"))
        schema = json.loads(SCHEMA.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(file, str(error)) from error
    fault = jsonschema.exceptions.best_match(
        jsonschema.Draft202012Validator(schema).iter_errors(values)
    )
    if fault is not None:
        where = "/".join(str(part) for part in fault.absolute_path)
        raise _broken(file, f"{where}: {fault.message:.300}")
    catalogue = Catalogue(tuple(_family(family) for family in values["families"]))
    ids = [model.id for model in catalogue.models()] + [one.id for one in catalogue.families]
    if twice := {name for name in ids if ids.count(name) > 1}:
        raise _broken(file, f"the id {min(twice)} stands there twice")
    return catalogue


def _family(values: Mapping[str, Any]) -> Family:
    models = tuple(_model(values["id"], model) for model in values["models"])
    return Family(**{**values, "models": models})


def _model(family: str, values: Mapping[str, Any]) -> Model:
    sources = tuple(
        Source(
            source["repo"],
            source["revision"],
            tuple(WantedFile(**wanted) for wanted in source["files"]),
        )
        for source in values["sources"]
    )
    needed = [f.place for source in sources for f in source.files if not f.optional]
    return Model(
        **{
            **values,
            "family": family,
            "languages": tuple(values["languages"]),
            "licence": Licence(**values["licence"]),
            "sources": sources,
            "needs": tuple(values.get("needs") or needed),
            "marks": tuple(Mark(**mark) for mark in values["marks"]),
        }
    )


def _broken(file: Path, what: str) -> BadCatalogue:
    return BadCatalogue(
        f"{file}: {what.rstrip('.')}.",
        f"The catalogue of models follows {SCHEMA.name}.",
        "Install Vivavoce anew.",
    )
