"""A voice from a clip, as near as a release's own speakers come to it.

What gave the x-vectors of the published releases was never published itself, so a clip cannot be
given to the model. Instead every speaker of the release says a sentence once, Resemblyzer embeds
what is heard, and of the speakers the nearest to the clip is taken; where a speaker is an x-vector,
the nearest few are blended.

E numbers of an embedding, D of an x-vector.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from engines.api import CancelToken, Reference
from engines.errors import BadReference
from engines.espnet_vits import choosing
from engines.espnet_vits.config import UNKNOWN, GeneratorConfig
from engines.espnet_vits.controls import EspnetVitsControls
from engines.espnet_vits.frontend import Encoded, Token, encode
from engines.espnet_vits.saying import Saying
from engines.espnet_vits.shelf import FAMILY, Installed, Speaker, vector
from engines.memory import Lease, MemoryManager, TorchModule
from engines.text.languages import primary

VERSION = "1"
RATE = 16_000  # Hz; what the encoder was trained on
LOUDNESS = -30.0  # dBFS, as in its training
ENCODER_KEY, ENCODER_BYTES = "speaker encoder on cpu", 6_000_000
MOST_HEARD = 256  # speakers of one release
BLENDED = 3  # x-vectors
SHARPNESS = 20.0  # of the blend: 0.1 more likeness weighs about 7 times as much
SAVED_EVERY = 8  # speakers, so that little is lost when somebody cancels
# What every speaker says; by language.
SENTENCES = {
    "en": "Please call Stella, and ask her to bring these things with her from the store.",
    "ja": "こんにちは、今日はとても良い天気ですね。",
    "zh": "请你把这些东西从商店带回来，好吗？",
}

Render = Callable[[Speaker], np.ndarray]  # float32 [T] at the release's rate


class Near(NamedTuple):
    """A speaker, and the cosine of its embedding with the clip's."""

    speaker: Speaker
    likeness: float


def of_clips(
    references: Sequence[Reference], memory: MemoryManager, cancel: CancelToken
) -> np.ndarray:
    """Who speaks in the clips, float32 [E] of length 1.

    Raises:
        BadReference: nothing can be heard in them.
    """
    found = [embed(each.samples, each.sample_rate, memory, cancel) for each in references]
    return _unit(np.sum(found, axis=0))


def embed(
    samples: np.ndarray, sample_rate: int, memory: MemoryManager, cancel: CancelToken
) -> np.ndarray:
    """float [T] → float32 [E] of length 1."""
    cancel.raise_if_set()
    if samples.size < sample_rate // 10 or np.abs(samples).max() < 1e-5:
        raise BadReference(
            "The clip is silent or shorter than 0.1 s.",
            "A speaker is told from a few seconds of speech.",
            "Choose another clip.",
        )
    from resemblyzer.audio import normalize_volume
    from soxr import resample

    wav = resample(samples.astype(np.float32), sample_rate, RATE)
    wav = normalize_volume(wav, LOUDNESS, increase_only=True)
    held: Lease[Any] = memory.acquire(
        ENCODER_KEY, lambda: TorchModule("cpu", ENCODER_BYTES, lambda _: _encoder()), cancel=cancel
    )
    with held as encoder:
        return _unit(encoder.embed_utterance(wav))


class Likenesses:
    """How the speakers of releases sound; heard once, kept in a folder.

    Args:
        cache: the program's cache folder.
    """

    def __init__(self, cache: Path, memory: MemoryManager) -> None:
        self._folder = cache / FAMILY
        self._memory = memory
        self._turn = threading.Lock()

    def unheard(self, installed: Installed) -> int:
        """How many speakers are still to be heard."""
        return len(set(_heard(installed)) - set(self._load(installed)))

    def nearest(
        self, clip: np.ndarray, installed: Installed, render: Render, cancel: CancelToken
    ) -> list[Near]:
        """The speakers that speak for the clip, the nearest first: one, or several x-vectors, which
        can be blended.

        Args:
            clip: float32 [E].
            render: lets a speaker say the sentence.
        """
        with _taken(self._turn, cancel):
            known = self._load(installed)
            rate = installed.release.config.sampling_rate
            for number, (slug, speaker) in enumerate(_heard(installed).items(), 1):
                if slug not in known:
                    known[slug] = embed(render(speaker), rate, self._memory, cancel)
                    if number % SAVED_EVERY == 0:
                        self._save(installed, known)
            self._save(installed, known)
        heard = _heard(installed).items()
        found = [Near(speaker, float(known[slug] @ clip)) for slug, speaker in heard]
        found.sort(key=lambda near: -near.likeness)
        generator = installed.release.config.generator
        return found[: BLENDED if generator.xvector and not generator.speakers else 1]

    def _load(self, installed: Installed) -> dict[str, np.ndarray]:
        try:
            with np.load(self._file(installed), allow_pickle=False) as data:
                return dict(zip(data["slugs"].tolist(), data["embeddings"], strict=True))
        except (
            OSError,
            ValueError,
            KeyError,
            EOFError,
            BadZipFile,
        ):  # not there, or cut off: heard again
            return {}

    def _save(self, installed: Installed, known: dict[str, np.ndarray]) -> None:
        file = self._file(installed)
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as opened:
                np.savez(opened, slugs=list(known), embeddings=np.stack(list(known.values())))
            Path(name).replace(file)
        finally:
            Path(name).unlink(missing_ok=True)

    def _file(self, installed: Installed) -> Path:
        content = f"{VERSION} {installed.version}"
        short = hashlib.blake2b(content.encode(), digest_size=4).hexdigest()
        return self._folder / f"{installed.id}-{short}.npz"


def introduction(installed: Installed, speaker: Speaker) -> Saying:
    """What a speaker says to be heard: a sentence of the release's language, or each symbol once
    where no sentence is known."""
    config, language = installed.release.config, installed.languages[0]
    text = SENTENCES.get(primary(language))
    if text is None:
        tokens = tuple(Token(each) for each in config.token_list[UNKNOWN + 1 : -1])
        encoded = Encoded(tokens, np.arange(UNKNOWN + 1, len(config.token_list) - 1), ())
    else:
        encoded = encode(text, config)
    given = choosing.conditions(installed, speaker, language, "")
    return Saying(
        installed, encoded, given, None, EspnetVitsControls.model_validate({}), 0, "introduction"
    )


def conditions(near: Sequence[Near], generator: GeneratorConfig) -> dict[str, np.ndarray]:
    """The nearest speakers as what the model takes: "sid" int64 [1], "spembs" float32 [1, D]."""
    found: dict[str, np.ndarray] = {}
    if generator.speakers:
        found["sid"] = np.array([near[0].speaker.sid], np.int64)
    if generator.xvector:
        weights = np.exp(SHARPNESS * np.array([each.likeness for each in near]))
        units = [_unit(vector(each.speaker, generator.xvector)[0]) for each in near]
        found["spembs"] = _unit(np.average(units, axis=0, weights=weights))[None]
    return found


def note(near: Sequence[Near], installed: Installed) -> str:
    """What to tell about the voice that comes out."""
    named = " and ".join(f"{each.speaker.name} (likeness {each.likeness:.2f})" for each in near)
    verb = "is" if len(near) == 1 else "are"
    return (
        f"An approximation: of the speakers of {installed.id}, {named} {verb} nearest to your clip."
    )


def _heard(installed: Installed) -> dict[str, Speaker]:
    """Speakers by slug: all, or as many as can be heard in some minutes, evenly spread."""
    items = list(installed.speakers.items())
    step = max(1.0, len(items) / MOST_HEARD)
    return dict(items[int(number * step)] for number in range(min(len(items), MOST_HEARD)))


def _unit(values: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(values)) or 1.0
    return np.asarray(values / length, np.float32)


def _encoder() -> Any:
    from resemblyzer import VoiceEncoder

    return VoiceEncoder("cpu", verbose=False).eval().requires_grad_(False)


@contextlib.contextmanager
def _taken(lock: threading.Lock, cancel: CancelToken) -> Iterator[None]:
    while not lock.acquire(timeout=0.1):
        cancel.raise_if_set()
    try:
        yield
    finally:
        lock.release()
