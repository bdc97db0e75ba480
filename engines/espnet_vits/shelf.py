"""The releases of the models directory, and the voices that each of them has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from engines.api import Voice
from engines.checkpoint import SUFFIX, bad_file
from engines.checkpoint.folders import Folders, slug, unique
from engines.errors import BadCheckpoint, VivavoceError
from engines.espnet_vits import frontend
from engines.espnet_vits.checkpoint import Release, open_release
from engines.espnet_vits.release import (
    XVECTORS,
    language_ids,
    read_scp,
    read_vector,
    speaker_ids,
    xvectors,
)
from engines.text.languages import canonical

FAMILY = "espnet_vits"
META = "meta.yaml"
ONNX_FOLDER = "onnx"  # of a release: one file a stage
_TAG = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Speaker:
    """One of a release's speakers.

    Attributes:
        name: the release's.
        slug: the name as part of a voice's id.
        sid: its row in the table of speakers.
        vector: the file that its x-vector is in, and the byte at which it begins; None for an
            array file.
    """

    name: str
    slug: str
    sid: int | None = None
    vector: tuple[Path, int | None] | None = None


@dataclass(frozen=True)
class Installed:
    """A release that can be spoken with.

    Attributes:
        id: unique among those that are here, safe in a URL.
        speakers: by slug, the default first; one without a name where the model has one voice.
        lids: rows of the table of languages, by the release's name for each.
        languages: BCP 47.
        version: changes when one of its files does.
    """

    id: str
    version: str
    release: Release
    speakers: Mapping[str, Speaker]
    lids: Mapping[str, int]
    languages: tuple[str, ...]
    voices: tuple[Voice, ...] = field(repr=False)

    @property
    def onnx(self) -> Path:
        return self.release.folder / ONNX_FOLDER

    def voice(self, speaker: Speaker) -> Voice:
        return self.voices[list(self.speakers).index(speaker.slug)]

    def speaker(self, given: str) -> Speaker | None:
        """By name, number, or as in a voice's id."""
        numbered = (each for each in self.speakers.values() if each.sid is not None)
        by_number = {str(each.sid): each for each in numbered}
        by_name = {each.name: each for each in self.speakers.values()}
        return by_name.get(given) or self.speakers.get(given) or by_number.get(given)


class Shelf:
    """
    Args:
        root: the models directory; it need not be there.
    """

    def __init__(self, root: Path) -> None:
        self._folders = Folders(root, lambda folder: (folder / META).is_file(), _open)

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


def vector(speaker: Speaker, size: int) -> np.ndarray:
    """A speaker's x-vector, float32 [1, size].

    Raises:
        BadCheckpoint: it has another size, or its file is damaged.
    """
    assert speaker.vector is not None, "the model takes none"
    path, offset = speaker.vector
    if offset is not None:
        found = read_vector(path, offset, speaker.name)
    elif path.suffix == ".npy":
        found = _read_array(path)
    else:
        found = xvectors(_release_of(path))[speaker.name]
    if found.size != size:
        raise BadCheckpoint(
            f"{path} has an x-vector of {found.size} numbers for {speaker.name!r:.80}.",
            f"This model takes {size}.",
            "Use the archive that came with the release.",
        )
    return found.reshape(1, size).astype(np.float32)


def _open(folder: Path, name: str, version: str) -> Installed:
    try:
        release = open_release(folder)
        front_end, _ = frontend.front_end_of(release.config)
        _check_weights(release)
        lids = language_ids(folder)
        _check_rows(release, "lang2lid", lids, release.config.generator.languages)
        speakers = {speaker.slug: speaker for speaker in _speakers(release)}
    except OSError as error:
        raise bad_file(
            folder, f"cannot be read ({error.strerror})", "Correct its rights."
        ) from error
    languages: tuple[str, ...] = (front_end.language,)
    if release.config.generator.languages:
        languages = tuple(canonical(each) for each in lids if _TAG.fullmatch(each)) or languages
    rate = release.config.sampling_rate
    voices = tuple(
        Voice(
            f"{name}.{each.slug}" if each.slug else name,
            f"{name} · {each.name}" if each.slug else name,
            FAMILY,
            languages,
            sample_rate=rate,
        )
        for each in speakers.values()
    )
    return Installed(name, version, release, speakers, lids, languages, voices)


def _check_weights(release: Release) -> None:
    weights = release.meta.weights
    here = weights.is_file() or weights.with_suffix(SUFFIX).is_file()
    if not here and not any((release.folder / ONNX_FOLDER).glob("*.onnx")):
        raise bad_file(weights, "is missing", "Download the release again, with all of its files.")


def _speakers(release: Release) -> list[Speaker]:
    """
    Raises:
        BadCheckpoint: the model needs speakers that the release does not have.
    """
    folder, generator = release.folder, release.config.generator
    named: list[Speaker] = []
    if generator.speakers:
        sids = speaker_ids(folder)
        _check_rows(release, "spk2sid", sids, generator.speakers)
        # 0 is ESPnet's for speakers that it does not know
        sids = sids or {str(number): number for number in range(1, generator.speakers)}
        named = [Speaker(name, "", sid) for name, sid in sids.items()]
    if generator.xvector:
        vectors = _vectors(folder)
        if named:
            named = [
                Speaker(each.name, "", each.sid, vectors[each.name])
                for each in named
                if each.name in vectors
            ]
        else:
            named = [Speaker(name, "", None, place) for name, place in vectors.items()]
        if not named:
            raise bad_file(
                folder,
                f"has no {XVECTORS}.ark and no .npy file, and its model speaks by x-vectors",
                "Download the release again, with all of its files.",
            )
    taken: dict[str, object] = {}
    slugged = []
    for each in named:
        name = unique(slug(each.name), taken)
        taken[name] = None
        slugged.append(Speaker(each.name, name, each.sid, each.vector))
    return slugged or [Speaker("", "")]


def _vectors(folder: Path) -> dict[str, tuple[Path, int | None]]:
    """Where each x-vector is: of the archives that have an index their place there."""
    found: dict[str, tuple[Path, int | None]] = {}
    for index in sorted((folder / "dump").rglob(f"{XVECTORS}.scp")):
        found.update(read_scp(index, folder))
    if not found:
        for archive in sorted((folder / "dump").rglob(f"{XVECTORS}.ark")):
            found.update(dict.fromkeys(xvectors(folder), (archive, None)))
    found.update((path.stem, (path, None)) for path in sorted(folder.glob("*.npy")))
    return found


def _read_array(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise bad_file(path, f"is no array of NumPy ({error!s:.200})") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or not np.isfinite(found).all():
        raise bad_file(path, "holds something else than the numbers of an x-vector")
    return found.reshape(-1)


def _release_of(archive: Path) -> Path:
    return next(each for each in archive.parents if (each / META).is_file())


def _check_rows(release: Release, file: str, rows: Mapping[str, int], size: int) -> None:
    over = {name: row for name, row in rows.items() if size and row >= size}
    if over:
        name, row = next(iter(over.items()))
        raise bad_file(
            release.folder,
            f"gives {name!r:.80} the number {row} in {file}, and the model has {size}",
        )
