"""The voices of eSpeak NG, read from its data folder: a file a language voice, a file a variant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import espeakng_loader

from engines.api import Voice

DEFAULT_VOICE = "en-us"
ENGINE = "espeak"

_USUAL_PRIORITY = 5
# Tags of eSpeak NG that mean something else in BCP 47, or nothing.
_BCP47 = {
    "ca-ba": "ca-x-balear",
    "ca-nw": "ca-x-nw",
    "ca-va": "ca-valencia",
    "chr-us-qaaa-x-west": "chr",
    "en-us-nyc": "en-US-x-nyc",
    "piqd": "tlh",
    "py": "art-x-pyash",
    "qdb": "art-x-belta",
    "ru-cl": "ru-x-classic",
}


@dataclass(frozen=True)
class LanguageVoice:
    """A voice file of `lang/`.

    Attributes:
        path: what the library takes as the voice's name.
        tags: eSpeak NG's language tags with their priority, 1 the highest.
        phoneme_tables: names that its table in the file `phontab` may have, the surest first.
        dictionary: name of its spelling rules; without them it could only spell.
    """

    id: str
    path: str
    name: str
    tags: tuple[tuple[str, int], ...]
    gender: Literal["female", "male"]
    phoneme_tables: tuple[str, ...]
    dictionary: str

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(bcp47(tag) for tag, _ in self.tags))

    @property
    def order(self) -> tuple[object, ...]:
        """By language; within one its standard variety first."""
        bare = any("-" not in tag for tag, _ in self.tags)
        priority = max(priority for _, priority in self.tags)
        return (self.id != DEFAULT_VOICE, self.name.split(" (")[0], not bare, priority, self.name)


@dataclass(frozen=True)
class Variant:
    """A timbre that can be laid over any voice; a file of `voices/!v`."""

    id: str
    file: str
    name: str
    gender: Literal["female", "male"]


@dataclass(frozen=True)
class Catalogue:
    """What the data folder holds.

    Args:
        data: the folder `espeak-ng-data`.
    """

    data: Path

    @cached_property
    def voices(self) -> tuple[LanguageVoice, ...]:
        """Voices whose spelling rules are installed, the default first. MBROLA voices, which need
        a program and recordings of their own, lie in another folder and are not among them."""
        files = sorted(path for path in (self.data / "lang").rglob("*") if path.is_file())
        parsed = [_parse(path) for path in files]
        first_tags = [fields["language"][0].split()[0].lower() for fields in parsed]
        voices = []
        for path, fields, first in zip(files, parsed, first_tags, strict=True):
            # two files may claim one language; then the file's name tells them apart
            unique = first_tags.count(first) == 1
            voice = _language_voice(
                id_=first if unique else path.name.lower(),
                path=path.relative_to(self.data / "lang").as_posix(),
                fields=fields,
            )
            if (self.data / f"{voice.dictionary}_dict").is_file():
                voices.append(voice)
        return tuple(sorted(voices, key=lambda voice: voice.order))

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        files = (self.data / "voices" / "!v").iterdir()
        variants = [
            Variant(
                id=re.sub(r"[^a-z0-9]+", "-", path.name.lower()),
                file=path.name,
                name=_variant_name(fields.get("name", [path.name])[0]),
                gender=_gender(fields),
            )
            for path in files
            for fields in [_parse(path)]
        ]
        return tuple(sorted(variants, key=lambda variant: variant.id))

    def find(self, voice_id: str) -> tuple[LanguageVoice, Variant | None] | None:
        """The voice, and variant if it names one, of an id such as `en-us+f3`; capitals are
        ignored, as in language tags."""
        base, plus, variant_id = voice_id.lower().partition("+")
        voice = self._voices_by_id.get(base)
        variant = self._variants_by_id.get(variant_id)
        if voice is None or (plus and variant is None):
            return None
        return voice, variant

    def variant(self, variant_id: str) -> Variant:
        return self._variants_by_id[variant_id]

    @cached_property
    def _voices_by_id(self) -> dict[str, LanguageVoice]:
        return {voice.id: voice for voice in self.voices}

    @cached_property
    def _variants_by_id(self) -> dict[str, Variant]:
        return {variant.id: variant for variant in self.variants}


@cache
def installed() -> Catalogue:
    """The catalogue of the data that comes with espeakng-loader."""
    return Catalogue(Path(espeakng_loader.get_data_path()))


def as_voice(voice: LanguageVoice, variant: Variant | None = None) -> Voice:
    if variant is None:
        return Voice(voice.id, voice.name, ENGINE, voice.languages, voice.gender)
    return Voice(
        id=f"{voice.id}+{variant.id}",
        name=f"{voice.name}, {variant.name}",
        engine=ENGINE,
        languages=voice.languages,
        gender=variant.gender,
        tags=("variant",),
    )


def bcp47(tag: str) -> str:
    """A language tag of eSpeak NG as BCP 47 writes it: `en-us` is `en-US`."""
    if tag.lower() in _BCP47:
        return _BCP47[tag.lower()]
    head, x, private = tag.lower().partition("-x-")
    language, *rest = head.split("-")
    cased = [part.title() if len(part) == 4 else part for part in rest]
    return "-".join([language, *(p.upper() if len(p) == 2 else p for p in cased)]) + x + private


def _parse(path: Path) -> dict[str, list[str]]:
    """The lines of a voice file by their first word. Some comments are in other encodings."""
    fields: dict[str, list[str]] = {}
    for key, value in _lines(path.read_text("utf-8", errors="replace")):
        fields.setdefault(key, []).append(value)
    return fields


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.partition("//")[0].split(maxsplit=1)
        if len(words) == 2:
            yield words[0], words[1].strip()


def _language_voice(id_: str, path: str, fields: dict[str, list[str]]) -> LanguageVoice:
    tags = []
    for value in fields["language"]:
        tag, *priority = value.split()
        tags.append((tag, int(priority[0]) if priority else _USUAL_PRIORITY))
    first = tags[0][0]
    primary = first.partition("-")[0]
    return LanguageVoice(
        id=id_,
        path=path,
        name=fields["name"][0],
        tags=tuple(tags),
        gender=_gender(fields),
        phoneme_tables=(*fields.get("phonemes", [])[:1], first, primary),
        dictionary=fields.get("dictionary", [primary])[0],
    )


def _gender(fields: dict[str, list[str]]) -> Literal["female", "male"]:
    # a file that says nothing sounds male
    return "female" if fields.get("gender", ["male"])[0].startswith("female") else "male"


def _variant_name(name: str) -> str:
    """`female3` → `Female 3`, `anxiousAndy` → `Anxious Andy`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|_", " ", name)
    return words[:1].upper() + words[1:]
