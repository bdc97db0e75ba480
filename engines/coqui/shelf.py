"""The models of the models directory: what each is, whom it speaks as, in which languages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.api import Voice
from engines.checkpoint import bad_file
from engines.checkpoint.documents import LARGEST
from engines.checkpoint.folders import Folders, slug, title, unique
from engines.coqui import catalogue
from engines.coqui.files import (
    CONFIG,
    ENCODER_CONFIG,
    checkpoint_of,
    encoder_of,
    file_of,
    read_config,
)
from engines.coqui.kinds import KINDS, Kind
from engines.coqui.names import speaker_names
from engines.errors import BadCheckpoint, VivavoceError
from engines.text.languages import canonical, primary

FAMILY = "coqui"
XTTS_SPEAKERS = "speakers_xtts.pth"
VOICES = "voices"  # folder of Bark's and Tortoise's own voices
VOCODER = "vocoder"  # folder of a model's, where it brings one along
TORTOISE_MARK = "autoregressive.pth"

_MODEL = re.compile(r'"model"\s*:\s*"([^"]{1,60})"')


@dataclass(frozen=True)
class Installed:
    """A model that can be worked with.

    Attributes:
        id: unique among those that are here, safe in a URL.
        version: changes when one of its files does.
        checkpoint: its weights; the folder where they are several files.
        config: its configuration file; None where its kind has none.
        languages: BCP 47 to the model's own name; none where nobody says.
        speakers: the model's name by the name's form in a voice's id, the default first.
        published: what the library's list says of it; None for a model of one's own.
        vocoder: folder of the vocoder that it speaks with; None for its own, or Griffin-Lim.
        clones: it speaks like a clip.
    """

    id: str
    version: str
    folder: Path
    kind: Kind
    checkpoint: Path
    config: Path | None
    languages: Mapping[str, str]
    speakers: Mapping[str, str]
    sample_rate: int
    published: catalogue.Published | None
    vocoder: Path | None
    clones: bool
    voices: tuple[Voice, ...] = field(repr=False)

    @property
    def converts(self) -> bool:
        """It says a clip in another voice; VITS does by its speaker encoder."""
        return self.kind.task == "conversion" or (self.kind.name == "vits" and self.clones)

    @property
    def controls(self) -> tuple[str, ...]:
        several = len(self.speakers) > 1
        return tuple(each for each in self.kind.controls if several or each != "speaker")

    def language(self, tag: str) -> str | None:
        """The model's name of a language; None where it lacks it."""
        if not self.languages:
            return ""
        near = (own for each, own in self.languages.items() if primary(each) == primary(tag))
        return self.languages.get(canonical(tag)) or next(near, None)


class Shelf:
    """
    Args:
        root: the models directory; it need not be there.
    """

    def __init__(self, root: Path) -> None:
        self._folders = Folders(root, is_model, lambda *found: read_model(root, *found))

    def models(self) -> tuple[Installed, ...]:
        found = self._folders.look().values()
        return tuple(each for each in found if isinstance(each, Installed))

    def broken(self) -> dict[str, VivavoceError]:
        """Why others cannot be worked with, by id."""
        found = self._folders.look().items()
        return {name: each for name, each in found if isinstance(each, VivavoceError)}

    def faults(self) -> dict[Path, VivavoceError]:
        """The same by folder."""
        return self._folders.faults()


def is_model(folder: Path) -> bool:
    """Whether a folder looks like one of the library's, also of a kind that is not known."""
    # the same files elsewhere are another family's
    ours = folder.parent.name == FAMILY or folder.name in catalogue.published()
    if ours and file_of(folder, TORTOISE_MARK) is not None:
        return True
    path = folder / CONFIG
    try:
        text = path.read_text("utf-8", "replace")[:LARGEST] if path.is_file() else ""
    except OSError:
        return False
    found = _MODEL.search(text)
    if found is None:
        return '"filter_length"' in text and (folder / "checkpoint.pth").is_file()
    # a vocoder has a model's name too, but `generator_model` beside it
    return found[1] in KINDS or ('"audio"' in text and '"generator_model"' not in text)


def read_model(root: Path, folder: Path, name: str, version: str) -> Installed:
    """
    Raises:
        BadCheckpoint: a file is missing or damaged, or the model is of no known kind.
    """
    path = folder / CONFIG
    config = read_config(path) if path.is_file() else {}
    kind = _kind(path, config)
    missing = [each for each in kind.needs if file_of(folder, each) is None]
    if missing:
        raise bad_file(
            folder, f"lacks {', '.join(missing)}", "Put the file there, or download it again."
        )
    published = catalogue.published().get(title(folder))
    vocoder = _vocoder(root, folder, published)
    languages = _languages(folder, config, published)
    has_encoder = encoder_of(folder) is not None and (folder / ENCODER_CONFIG).is_file()
    speakers = _speakers(folder, kind, config)
    clones = kind.clones or (kind.task == "speech" and has_encoder)
    if kind.name == "bark":  # which hears clips through this
        clones = file_of(folder, "tokenizer.pth") is not None
    rate = _sample_rate(config, kind, vocoder)
    return Installed(
        id=name,
        version=version,
        folder=folder,
        kind=kind,
        checkpoint=folder
        if kind.name in ("bark", "tortoise")
        else checkpoint_of(folder, kind.needs),
        config=path if config else None,
        languages=languages,
        speakers=speakers,
        sample_rate=rate,
        published=published,
        vocoder=vocoder,
        clones=clones,
        voices=tuple(_voices(name, folder, kind, config, languages, speakers, rate)),
    )


def _kind(path: Path, config: dict[str, Any]) -> Kind:
    if not config:
        return KINDS["tortoise"]
    given = config.get("model")
    if not isinstance(given, str):
        return KINDS["openvoice"]
    kind = KINDS.get(given.lower())
    if kind is None:
        raise BadCheckpoint(
            f"{path} is of a model {given!r:.60}, which is not known here.",
            f"Known are {', '.join(KINDS)}.",
            "Put a model of one of these there.",
        )
    return kind


def _languages(
    folder: Path, config: dict[str, Any], published: catalogue.Published | None
) -> dict[str, str]:
    # the library writes English into configurations that name no language
    named = [published.language] if published is not None and published.language else []
    named = named or config.get("languages") or []
    if not named and (ids := file_of(folder, "language_ids.json")) is not None:
        named = list(read_config(ids))
    if not named:
        datasets = config.get("datasets") or []
        told = [each.get("language") for each in datasets if isinstance(each, dict)]
        named = [str(each) for each in told if each] or [config.get("phoneme_language") or ""]
    return {canonical(str(each)): str(each) for each in named if each}


def _speakers(folder: Path, kind: Kind, config: dict[str, Any]) -> dict[str, str]:
    names: list[str] = []
    args = config.get("model_args") or {}
    if kind.name == "xtts":
        path = folder / XTTS_SPEAKERS
        names = list(speaker_names(path)) if path.is_file() else []
    elif kind.name in ("bark", "tortoise"):
        found = (folder / VOICES).glob("*")
        names = sorted(path.stem for path in found if path.suffix in (".npz", ".pth"))
    elif kind.task == "speech":
        by_table, by_vector = (
            bool(args.get(each) or config.get(each))
            for each in ("use_speaker_embedding", "use_d_vector_file")
        )
        if by_table:
            names = list(config.get("speakers") or []) or _listed(
                folder, config, "speakers_file", ("speaker_ids.json", "speaker_ids.pth")
            )
        elif by_vector:
            names = _listed(folder, config, "d_vector_file", ("speakers.json", "speakers.pth"))
    found_names: dict[str, str] = {}
    for each in names:
        found_names[unique(slug(each), found_names)] = each
    return found_names


def _listed(folder: Path, config: dict[str, Any], key: str, usual: tuple[str, ...]) -> list[str]:
    """Names of the file that the configuration names by its path at training."""
    args = config.get("model_args") or {}
    given = args.get(key) or config.get(key) or ""
    given = given[0] if isinstance(given, list) and given else given
    for name in (Path(str(given).replace("\\", "/")).name, *usual):
        path = file_of(folder, name) if name else None
        if path is not None:
            return list(speaker_names(path))
    return []


def _vocoder(root: Path, folder: Path, published: catalogue.Published | None) -> Path | None:
    places = [folder / VOCODER]
    if published is not None and published.vocoder:
        name = published.vocoder.replace("/", "--")
        places += [folder.parent / name, root / name, root / FAMILY / name]
    return next((each for each in places if (each / CONFIG).is_file()), None)


def _sample_rate(config: dict[str, Any], kind: Kind, vocoder: Path | None) -> int:
    if vocoder is not None:
        config = read_config(vocoder / CONFIG)
    args, audio = config.get("model_args") or {}, config.get("audio") or {}
    own = {"bark": 24_000, "tortoise": 24_000, "xtts": 24_000}.get(kind.name, 22_050)
    given = (
        args.get("output_sample_rate") if kind.name == "xtts" else None,
        audio.get("output_sample_rate"),
        audio.get("sample_rate"),
        (config.get("data") or {}).get("sampling_rate"),  # OpenVoice's
    )
    found = next((each for each in given if isinstance(each, int) and each > 0), own)
    return int(found)


def _voices(
    name: str,
    folder: Path,
    kind: Kind,
    config: dict[str, Any],
    languages: dict[str, str],
    speakers: dict[str, str],
    rate: int,
) -> Iterator[Voice]:
    if kind.task == "conversion":
        return
    tags = tuple(languages)
    for part, speaker in speakers.items():
        yield Voice(f"{name}.{part}", f"{name} · {speaker}", FAMILY, tags, sample_rate=rate)
    args = config.get("model_args") or {}
    by_vector = bool(args.get("use_d_vector_file") or config.get("use_d_vector_file"))
    only_clones = kind.name == "xtts" or by_vector
    if kind.name == "tortoise":  # which draws a voice from this where there is no clip
        only_clones = file_of(folder, "rlg_auto.pth") is None
    if not speakers and not only_clones:
        yield Voice(name, name, FAMILY, tags, sample_rate=rate)
