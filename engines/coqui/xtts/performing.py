"""XTTS v2 in stages, for the engine of the library's models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock

import numpy as np

from engines.api import AudioChunk, CancelToken, EngineContext, Reference, Span
from engines.checkpoint import SUFFIX
from engines.coqui.controls import CoquiControls
from engines.coqui.engine import CoquiEngine
from engines.coqui.performing import Latents, Saying
from engines.coqui.shelf import Installed
from engines.coqui.xtts.checkpoint import Speaker
from engines.coqui.xtts.config import WEIGHTS, XttsConfig
from engines.coqui.xtts.loading import ONNX_FOLDER
from engines.coqui.xtts.speaking import How, XttsRelease
from engines.coqui.xtts.text import LONGEST
from engines.decode import Sampling
from engines.errors import BadCheckpoint, UnknownVoice
from engines.text.languages import primary
from engines.text.pieces import pieces
from engines.text.split import sentences

KIND = "xtts"
ONLY_STAGES = ("onnx", "xla")  # devices on which the library's own model does not run
# What the library calls the two parts of a voice.
LATENTS, EMBEDDING = "gpt_conditioning_latents", "speaker_embedding"
MOST_SHOWN = 20  # signs that a note names

_SILENCE = np.zeros(0, np.float32)


class StagedXtts:
    """Speaks with XTTS v2 wherever stages run; XTTS v1 is left to the library's own way."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._releases: dict[str, tuple[str, XttsRelease]] = {}
        self._lock = Lock()

    def takes(self, installed: Installed, device: str) -> bool:
        if installed.kind.name != KIND:
            return False
        if device.split(":")[0] in ONLY_STAGES:
            return True
        folder = installed.folder
        files = (folder / WEIGHTS, (folder / WEIGHTS).with_suffix(SUFFIX), folder / ONNX_FOLDER)
        if not any(file.exists() for file in files):
            return False  # it has been put together in another way
        try:
            self._release(installed)
        except BadCheckpoint:
            return False  # the library tells what is wrong, or knows this version of XTTS
        return True

    def condition(
        self,
        installed: Installed,
        references: Sequence[Reference],
        *,
        device: str,
        cancel: CancelToken,
    ) -> Latents:
        """
        Raises:
            BadReference: the clips are too short or silent.
            BadCheckpoint: a file of the release is missing, damaged or not yet converted.
        """
        heard = self._release(installed).listen(references, device=device, cancel=cancel)
        return {LATENTS: heard.latents[None], EMBEDDING: heard.embedding[None, :, None]}

    def speak(
        self, installed: Installed, saying: Saying, *, device: str, seed: int, cancel: CancelToken
    ) -> Iterator[AudioChunk]:
        """
        Raises:
            BadText: a sentence is too long even in parts.
            MissingDependency: a package that spells the language is not here.
            BadCheckpoint: a file of the release is missing, damaged or not yet converted.
        """
        release = self._release(installed)
        speaker = _speaker(release, saying)
        how = how_of(saying.controls, release.config)
        for number, text in enumerate(_parts(saying)):
            cancel.raise_if_set()
            encoded = release.encode(text, saying.language)
            if encoded.unknown:
                shown = " ".join(encoded.unknown[:MOST_SHOWN])
                note = f"{installed.id} has no sound for these signs and left them out: {shown}"
                yield AudioChunk(_SILENCE, installed.sample_rate, notes=(note,))
            name = f"{number} {text}"
            for samples in release.say(
                encoded, speaker, how, device=device, seed=seed, name=name, cancel=cancel
            ):
                cancel.raise_if_set()
                yield AudioChunk(samples, release.config.sample_rate)

    def _release(self, installed: Installed) -> XttsRelease:
        with self._lock:
            version, release = self._releases.get(installed.id, ("", None))
            if release is None or version != installed.version:
                name = f"{installed.id} ({installed.version})"
                release = XttsRelease(installed.folder, name, CoquiEngine.capability, self._context)
                self._releases[installed.id] = installed.version, release
            return release


def how_of(controls: CoquiControls, config: XttsConfig) -> How:
    """What is set, and where nothing is, what the release's configuration says."""
    sampling = Sampling(
        temperature=controls.temperature or config.temperature,
        top_k=controls.top_k or config.top_k,
        top_p=controls.top_p or config.top_p,
        repetition_penalty=controls.repetition_penalty or config.repetition_penalty,
    )
    return How(sampling, controls.speed)


def _speaker(release: XttsRelease, saying: Saying) -> Speaker:
    if saying.latents is not None:
        latents, embedding = saying.latents[LATENTS], saying.latents[EMBEDDING]
        return Speaker(latents.reshape(latents.shape[-2:]), embedding.reshape(-1))
    if saying.speaker not in release.speakers:
        raise UnknownVoice(
            f"{release.folder.name} has no speaker {saying.speaker!r:.80}.",
            f"It has {', '.join(list(release.speakers)[:20]) or 'none'}.",
            "Pick one of them, or make a voice from a clip.",
            param="voice",
        )
    return release.speakers[saying.speaker]


def _parts(saying: Saying) -> list[str]:
    """The text in parts that the model can say without losing its thread."""
    longest = LONGEST.get(primary(saying.language), min(LONGEST.values()))
    text = saying.text
    cut = [text]
    if saying.controls.split_sentences:
        found = sentences(text, 0, len(text), saying.language)
        cut = [text[each.start : each.end] for each in found]
    return [
        "".join(span.spoken for span in piece.spans)
        for each in cut
        for piece in pieces([Span(each, each)], longest)
    ]
