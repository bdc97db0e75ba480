"""Who speaks and in which language: from names to what the model takes beside the text."""

from __future__ import annotations

import numpy as np

from engines.errors import BadControl
from engines.espnet_vits import shelf
from engines.espnet_vits.shelf import Installed, Speaker
from engines.text.languages import canonical, primary

SHOWN = 8  # names in an error


def speaker_of(installed: Installed, speaker: Speaker, given: str) -> Speaker:
    """The speaker that the control `speaker` names, else the voice's.

    Raises:
        BadControl: the release has none of that name.
    """
    name = given.strip()
    found = installed.speaker(name) if name else speaker
    if found is None:
        names = [each.name for each in installed.speakers.values() if each.name]
        raise BadControl(
            f"speaker was {given!r:.80}.",
            f"{installed.id} has {_some(names)}." if names else f"{installed.id} has one voice.",
            "Pick one of these, or leave it out." if names else "Leave it out.",
            param="speaker",
        )
    return found


def conditions(
    installed: Installed, speaker: Speaker, language: str, given: str
) -> dict[str, np.ndarray]:
    """What the model takes beside the text: "sid" and "lid" int64 [1], "spembs" float32 [1, D].

    Args:
        language: BCP 47, of the text.
        given: the control `language_id`.

    Raises:
        BadControl: the release has no such language.
        BadCheckpoint: the speaker's x-vector cannot be read, or has another size.
    """
    generator = installed.release.config.generator
    found: dict[str, np.ndarray] = {}
    if generator.speakers:
        found["sid"] = np.array([speaker.sid], np.int64)
    if generator.xvector:
        found["spembs"] = shelf.vector(speaker, generator.xvector)
    if generator.languages:
        found["lid"] = np.array([_language(installed, language, given.strip())], np.int64)
    elif given.strip():
        raise BadControl(
            f"language_id was {given!r:.80}.",
            f"{installed.id} was trained without language ids.",
            "Leave it out.",
            param="language_id",
        )
    return found


def _language(installed: Installed, language: str, given: str) -> int:
    lids, size = installed.lids, installed.release.config.generator.languages
    if given:
        number = lids.get(given, int(given) if given.isdecimal() and len(given) < 9 else size)
        if number < size:
            return number
        raise BadControl(
            f"language_id was {given!r:.80}.",
            f"{installed.id} has {_some(list(lids) or [f'0 to {size - 1}'])}.",
            "Pick one of these, or leave it out.",
            param="language_id",
        )
    by_tag = {canonical(name): number for name, number in lids.items()}
    if canonical(language) in by_tag:
        return by_tag[canonical(language)]
    near = (number for tag, number in by_tag.items() if primary(tag) == primary(language))
    # 0 is ESPnet's for languages that it does not know
    return next(near, next(iter(lids.values()), 0))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
