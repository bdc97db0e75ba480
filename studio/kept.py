"""Voices of engines that are kept under a name: starter voices of the user's own, a file each."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import unicodedata
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines import registry
from engines.api import Voice
from engines.errors import BadPreset, InvalidRequest, UnknownLanguage, UnknownVoice
from studio.presets import Presets, StarterVoice, load_own
from studio.route import engine_voice

if TYPE_CHECKING:
    from studio.studio import Studio

log = logging.getLogger("vivavoce.studio")

NAME = 60  # characters, as in presets/schema.json
SLUG = 40
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # as in presets/schema.json
STORED_VOICE = re.compile(r"[0-9a-f]{16}")  # the id of a voice that was made from clips


class NameTaken(InvalidRequest):
    """Another voice is asked for by this name."""

    code = "name_taken"


class NoKeptVoice(UnknownVoice):
    """No voice is kept under that name."""

    code = "no_kept_voice"


class KeptVoices:
    """The folder's files, read again whenever one of them has changed.

    Args:
        folder: of `*.json` that follow presets/schema.json; need not be there.
        shipped: what comes with the program, whose ids are taken.
    """

    def __init__(self, folder: Path, shipped: Presets) -> None:
        self._folder = folder
        self._shipped = shipped
        self._lock = threading.RLock()
        self._state: object = None
        self._voices: dict[Path, StarterVoice] = {}
        self._faults: tuple[BadPreset, ...] = ()

    def voices(self) -> tuple[StarterVoice, ...]:
        self._look()
        return tuple(self._voices.values())

    def faults(self) -> tuple[BadPreset, ...]:
        """Why files are left out."""
        self._look()
        return self._faults

    def add(self, values: dict[str, Any], taken: Container[str]) -> StarterVoice:
        """Write a voice's file.

        Args:
            values: what stands in it but the id, which is made of the name.
            taken: ids that it must not have.

        Raises:
            NameTaken: another voice has this name or is asked for by it.
            StorageError: it could not be written; nothing of it stays.
        """
        from studio.voices.files import sync_folder, translated, write

        with self._lock:
            self._check_free(values["name"])
            name, path = self._free(values["name"], taken)
            text = json.dumps({"id": name, **values}, ensure_ascii=False, indent=2)
            with translated(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
            write(path, f"{text}\n".encode())
            with translated(self._folder):
                sync_folder(self._folder)
            self._look()
            return self._voices[path]

    def remove(self, given: str) -> StarterVoice:
        """Delete the file of the voice that has this name or id.

        Raises:
            NoKeptVoice: none has.
            StorageError: it could not be deleted.
        """
        from studio.voices.fields import fold
        from studio.voices.files import translated

        with self._lock:
            self._look()
            by_id = {voice.id: path for path, voice in self._voices.items()}
            by_name = {fold(voice.name): path for path, voice in self._voices.items()}
            path = by_id.get(given) or by_name.get(fold(given.strip()))
            if path is None:
                kept = ", ".join(voice.name for voice in self._voices.values())
                raise NoKeptVoice(
                    f"No voice is kept as {given!r:.80}.",
                    f"Kept are {kept:.300}." if kept else "None is kept.",
                    "Give the name or the id of one that is.",
                    param="voice",
                )
            voice = self._voices[path]
            with translated(path):
                path.unlink(missing_ok=True)
            self._look()
            return voice

    def _check_free(self, name: str) -> None:
        from studio.voices.fields import fold

        for voice in (*self._shipped.voices, *self.voices()):
            if fold(name) in {fold(one) for one in (voice.name, voice.id, *voice.aliases)}:
                raise NameTaken(
                    f"The name {name!r} is taken by the voice {voice.id}.",
                    "A name stands for one voice.",
                    "Give another one.",
                    param="name",
                )

    def _free(self, name: str, taken: Container[str]) -> tuple[str, Path]:
        """An id that nothing has, and its file."""
        from studio.voices.fields import fold

        slug = "-".join(re.findall(r"[a-z0-9]+", fold(name)))[:SLUG].strip("-") or "voice"
        own = {one for voice in self._voices.values() for one in (voice.id, *voice.aliases)}
        number, tried = 1, slug
        while True:
            # no name of a file is the user's own: on Windows some names are devices
            path = self._folder / f"kept-{tried}.json"
            free = tried not in taken and tried not in own and not STORED_VOICE.fullmatch(tried)
            if free and not path.exists():
                return tried, path
            number += 1
            tried = f"{slug}-{number}"

    def _look(self) -> None:
        with self._lock:
            state = self._now()
            if state == self._state:
                return
            before = set(map(str, self._faults))
            self._voices, self._faults = load_own(self._folder, self._shipped)
            self._state = state
            for fault in self._faults:
                if str(fault) not in before:
                    log.warning("%s", fault)

    def _now(self) -> object:
        try:
            with os.scandir(self._folder) as entries:
                found = [(entry.name, entry.stat()) for entry in entries]
        except OSError:  # not there, or a file that went at this moment
            return ()
        return sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in found)


def keep(
    studio: Studio,
    name: str,
    voice_id: str,
    *,
    engine: str | None = None,
    language: str | None = None,
) -> StarterVoice:
    """Keep a voice of an engine under a name; at once it is among the starter voices.

    Args:
        engine: whose voice it is; None finds out.
        language: under which it is listed; None takes the voice's first.

    Raises:
        NotAllowedHere: the machine is shared.
        BadVoiceField: the name does not do.
        NameTaken: another voice has it.
        UnknownEngine, UnknownVoice, UnknownLanguage: what is not there.
        StorageError: the file could not be written.
    """
    _check_own(studio)
    name = _checked(name)
    voice = _find(studio, voice_id, engine, language)
    title = studio.engine(voice.engine).capability.title
    values = {
        "name": name,
        "description": f"A voice of {title}, kept under this name."[:200],
        "engine": voice.engine,
        "voice": voice.id,
        "language": _listed_under(voice, language),
        "gender": voice.gender,
        "tags": ["kept"],
    }
    taken = {one for starter in studio.shipped.voices for one in (starter.id, *starter.aliases)}
    taken |= {preset.id for preset in studio.shipped.engines}
    taken |= {one.id for one in studio.voices()}
    return studio.kept.add(values, taken)


def forget(studio: Studio, given: str) -> StarterVoice:
    """Let go of the voice that is kept under a name, or has this id.

    Raises:
        NotAllowedHere: the machine is shared.
        NoKeptVoice: none is kept under it.
        StorageError: its file could not be deleted.
    """
    _check_own(studio)
    return studio.kept.remove(given)


def _check_own(studio: Studio) -> None:
    from studio.models.errors import NotAllowedHere

    if studio.settings.shared:
        raise NotAllowedHere(
            "Voices cannot be kept under a name here.",
            "This machine is shared: whoever runs it decides which voices it offers.",
            "Ask for the voice by its id, or run Vivavoce on a machine of your own.",
        )


def _checked(name: str) -> str:
    """
    Raises:
        BadVoiceField: it is empty or too long, or holds what nobody can see.
    """
    from studio.voices.errors import BadVoiceField
    from studio.voices.fields import one_line

    words = one_line(name)
    if words != unicodedata.normalize("NFC", " ".join(name.split())):
        given = "held control characters"
    elif not any(character.isprintable() and character != " " for character in words):
        given = "had no character that can be seen"
    elif len(words) > NAME:
        given = f"had {len(words):,} characters"
    else:
        return words
    raise BadVoiceField(
        f"name {given}.", f"It takes 1 to {NAME} on one line.", "Change it.", param="name"
    )


def _find(studio: Studio, voice_id: str, engine: str | None, language: str | None) -> Voice:
    if engine is not None:
        return engine_voice(studio.engine(engine), voice_id, language)
    found = []
    for name in registry.names():
        try:
            studio.engine(name).voice(voice_id)
        except UnknownVoice:
            continue
        found.append(name)
    if len(found) == 1:
        return engine_voice(studio.engine(found[0]), voice_id, language)
    raise UnknownVoice(
        f"Several engines have a voice {voice_id!r:.80}."
        if found
        else f"No engine has a voice {voice_id!r:.80}.",
        f"These have it: {', '.join(found)}." if found else "",
        "Name the engine." if found else "List the voices with `python app.py voices`.",
        param="engine" if found else "voice",
    )


def _listed_under(voice: Voice, language: str | None) -> str:
    """The voice's own tag of a language, or its first.

    Raises:
        UnknownLanguage: a voice that speaks anything was asked for in what is no tag.
    """
    given = (language or "").replace("_", "-")
    primary = given.split("-")[0].lower()
    near = [tag for tag in voice.languages if tag.split("-")[0].lower() == primary]
    exact = [tag for tag in near if tag.lower() == given.lower()]
    tag = next(iter((*exact, *near)), given) if given else (voice.languages or ("en",))[0]
    if not LANGUAGE.fullmatch(tag):
        raise UnknownLanguage(
            f"The language was {tag!r:.80}.",
            "It takes a tag such as en, en-GB or zh.",
            "Change it, or leave it out.",
            param="language",
        )
    return tag
