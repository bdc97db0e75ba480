"""What an engine says of a model's folder whose files are all there: may it be spoken with?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from engines import registry
from engines.api import Shelf
from engines.errors import VivavoceError
from studio.models.catalogue import Catalogue, Model
from studio.models.installed import Installed, InstalledState

Judges = Mapping[str, Shelf]  # by family of the catalogue


def judges(root: Path, catalogue: Catalogue) -> Judges:
    """Of the families whose engine is here and looks at folders itself."""
    found = {}
    for family in catalogue.families:
        if family.engine in registry.names():
            shelf = getattr(registry.engine_class(family.engine), "shelf", None)
            if shelf is not None:
                found[family.id] = shelf(root)
    return found


def judged(
    installed: Sequence[Installed], judges: Judges, root: Path, catalogue: Catalogue
) -> tuple[Installed, ...]:
    """The same models, by folder; one in which nothing was found wrong, and whose engine cannot use
    it, says why. So does a folder that is no model of the catalogue for the very reason that makes
    it unusable."""
    faults = {family: judge.faults() for family, judge in judges.items()}
    found = [_judged(one, faults.get(one.model.family, {})) for one in installed]
    seen = [one.folder for one in installed]
    for family in catalogue.families:
        for folder, fault in faults.get(family.id, {}).items():
            if any(folder == one or folder in one.parents or one in folder.parents for one in seen):
                continue
            by_hand = [model for model in family.models if not model.downloadable]
            found += [_refused(folder, root, model, fault) for model in by_hand[:1]]
    return tuple(sorted(found, key=lambda one: one.key))


def _judged(one: Installed, faults: Mapping[Path, VivavoceError]) -> Installed:
    fault = faults.get(one.folder)
    if fault is None or one.faults or one.state is not InstalledState.COMPLETE:
        return one
    return replace(one, state=InstalledState.UNUSABLE, faults=(_said(fault, one.folder),))


def _refused(folder: Path, root: Path, model: Model, fault: VivavoceError) -> Installed:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    key = folder.relative_to(root).as_posix()
    faults = (_said(fault, folder),)
    return Installed(key, folder, model, InstalledState.UNUSABLE, size, faults)


def _said(fault: VivavoceError, folder: Path) -> str:
    """The message, files named as within the folder."""
    return str(fault).replace(f"{folder}/", "").replace(str(folder), folder.name)
