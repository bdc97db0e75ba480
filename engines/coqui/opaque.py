"""A model of the library as one piece, which is run as the library runs it."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.api import AudioChunk, CancelToken, EngineContext, Reference
from engines.coqui import clips
from engines.coqui.chance import seeded
from engines.coqui.controls import given
from engines.coqui.loading import load, weight_bytes
from engines.coqui.performing import Latents, Saying
from engines.coqui.shelf import VOICES, Installed
from engines.errors import BadReference, EngineFailure
from engines.memory import Lease
from engines.memory.resident import TorchModule
from engines.runtime.redirect import redirect

if TYPE_CHECKING:
    from torch import nn

DEVICES = ("cpu", "cuda", "mps")  # torch's own
SAMPLED = ("temperature", "top_k", "top_p", "repetition_penalty")
# Settings of XTTS's that say how much of the clips is listened to: the library's name, and the
# name in the configuration.
LISTENING = {
    "max_ref_length": "max_ref_len",
    "gpt_cond_len": "gpt_cond_len",
    "gpt_cond_chunk_len": "gpt_cond_chunk_len",
    "sound_norm_refs": "sound_norm_refs",
}
CLIP = "reference.wav"  # stands for clips whose latents are known already


class Opaque:
    """Every model, in eager torch, behind the redirect."""

    def __init__(self, context: EngineContext) -> None:
        self._memory = context.memory
        self._busy: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def takes(self, installed: Installed, device: str) -> bool:  # noqa: ARG002 - any of them
        return device.split(":")[0] in DEVICES

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
            BadReference: the library can make nothing of the clips.
        """
        with (
            self._model(installed, device, cancel) as synthesizer,
            wav_files(references) as paths,
            self._at_work(0, device, cancel),
        ):
            model = synthesizer.tts_model
            settings = {}
            if installed.kind.name == "xtts":
                settings = {name: model.config[field] for name, field in LISTENING.items()}
            with _clips_at_fault(installed):
                voice, _ = model._clone_voice([str(path) for path in paths], **settings)
            return {name: _array(value) for name, value in voice.items()}

    def speak(
        self,
        installed: Installed,
        saying: Saying,
        *,
        device: str,
        seed: int,
        cancel: CancelToken,
    ) -> Iterator[AudioChunk]:
        with self._model(installed, device, cancel) as synthesizer:
            texts = [saying.text]
            if saying.controls.split_sentences:
                texts = synthesizer.split_into_sentences(saying.text, saying.language or None)
            for number, text in enumerate(texts):
                cancel.raise_if_set()
                with self._at_work(_seed(seed, number), device, cancel):
                    wave = _say(synthesizer, installed, saying, text, device, _seed(seed, number))
                yield AudioChunk(wave, installed.sample_rate)

    def convert(
        self,
        installed: Installed,
        source: Reference,
        target: Sequence[Reference],
        *,
        device: str,
        seed: int,
        cancel: CancelToken,
    ) -> Iterator[AudioChunk]:
        """What is said in a clip, in the voice of others; a long one in parts.

        Raises:
            BadReference: the library can make nothing of the clips.
        """
        with self._model(installed, device, cancel) as synthesizer, wav_files(target) as like:
            for number, piece in enumerate(clips.pieces(source)):
                cancel.raise_if_set()
                with (
                    wav_files([piece]) as heard,
                    self._at_work(_seed(seed, number), device, cancel),
                ):
                    wave = _convert(synthesizer, installed, heard[0], like)
                yield AudioChunk(wave, installed.sample_rate)

    @contextlib.contextmanager
    def _model(self, installed: Installed, device: str, cancel: CancelToken) -> Iterator[Any]:
        """The library's Synthesizer, for one at a time: it keeps what it works on in itself."""
        key = f"coqui {installed.id} ({installed.version}) on {device}"
        while not self._busy[key].acquire(timeout=0.05):
            cancel.raise_if_set()
        try:
            with self._lease(key, installed, device, cancel) as synthesizer:
                yield synthesizer
        finally:
            self._busy[key].release()

    def _lease(
        self, key: str, installed: Installed, device: str, cancel: CancelToken
    ) -> Lease[nn.Module]:
        def describe() -> TorchModule:
            nbytes = weight_bytes(installed)
            return TorchModule(device, nbytes, lambda asked: load(installed, asked))

        return self._memory.acquire(key, describe, cancel=cancel)

    @contextlib.contextmanager
    def _at_work(self, seed: int, device: str, cancel: CancelToken) -> Iterator[None]:
        import torch

        with (
            seeded(seed, device, cancel),
            redirect(device, watch=cancel.raise_if_set),
            torch.inference_mode(),
        ):
            yield


def _say(
    synthesizer: Any, installed: Installed, saying: Saying, text: str, device: str, seed: int
) -> np.ndarray:
    """One piece of text as the library's own `Synthesizer.tts` speaks it, float32 [T]."""
    model = synthesizer.tts_model
    own = installed.folder / VOICES if installed.kind.name in ("bark", "tortoise") else None
    with _voice(model, saying.latents, device), _paced(model, saying.controls.speed):
        outputs = model.synthesize(
            text=text,
            speaker=saying.speaker or None,
            speaker_wav=None if saying.latents is None else [CLIP],
            voice_dir=own,
            language=saying.language or None,
            use_griffin_lim=synthesizer.vocoder_model is None,
            **_settings(installed.kind.name, saying, device, seed),
        )
        if synthesizer.vocoder_model is None:
            wave = outputs["wav"]
        else:
            mel = outputs["outputs"]["model_outputs"][0]
            wave = synthesizer._run_vocoder(mel, device)
    samples = _wave(wave)
    if synthesizer.tts_config.audio.get("do_trim_silence"):
        samples = samples[: model.ap.find_endpoint(samples)]
    return samples


def _convert(
    synthesizer: Any, installed: Installed, source: Path, target: Sequence[Path]
) -> np.ndarray:
    said, voices = str(source), [str(path) for path in target]
    with _clips_at_fault(installed):
        if installed.kind.task == "conversion":
            return _wave(synthesizer.voice_conversion(said, voices))
        return _wave(synthesizer.tts(source_wav=said, speaker_wav=voices, speaker_name=None))


@contextlib.contextmanager
def _clips_at_fault(installed: Installed) -> Iterator[None]:
    """What the library raises over clips that are too short, silent, no speech."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, AssertionError) as error:
        raise BadReference(
            f"{installed.id} can make nothing of the clips ({error!s:.200}).",
            "It takes recordings of one person's speech, some seconds each.",
            "Give longer or cleaner ones.",
        ) from error


def _settings(kind: str, saying: Saying, device: str, seed: int) -> dict[str, Any]:
    """What is given to the model beside text and voice, under the library's names."""
    controls = saying.controls
    if kind == "xtts":
        paced = {} if controls.speed == 1 else {"speed": controls.speed}
        return given(controls, SAMPLED) | paced
    if kind == "bark":
        found = given(controls, ("top_k", "top_p"))
        if controls.temperature:
            found |= {"text_temp": controls.temperature, "waveform_temp": controls.temperature}
        return found
    if kind == "tortoise":
        found = given(controls, SAMPLED)
        if controls.quality != "own":
            found["preset"] = controls.quality
        # it seeds itself, and means half precision for GPUs
        half = device.startswith("cuda")
        return found | {"use_deterministic_seed": seed, "verbose": False, "half": half}
    return {}


@contextlib.contextmanager
def _voice(model: Any, latents: Latents | None, device: str) -> Iterator[None]:
    """Within, the model's voice of whatever clip is the one of these latents."""
    import torch

    if latents is None:
        yield
        return
    voice = {
        name: value.tolist() if name == "d_vector" else torch.from_numpy(value.copy()).to(device)
        for name, value in latents.items()
    }
    model.clone_voice = lambda *_asked, **_settings: voice
    try:
        yield
    finally:
        del model.clone_voice


@contextlib.contextmanager
def _paced(model: Any, speed: float) -> Iterator[None]:
    """Within, the model speaks so many times as fast; where it can, by its durations."""
    usual = getattr(model, "length_scale", None)
    if speed == 1 or usual is None:
        yield
        return
    model.length_scale = usual / speed
    try:
        yield
    finally:
        model.length_scale = usual


@contextlib.contextmanager
def wav_files(references: Sequence[Reference]) -> Iterator[list[Path]]:
    """The clips as files, which is how the library takes them."""
    import soundfile

    with tempfile.TemporaryDirectory(prefix="vivavoce-") as folder:
        paths = []
        for number, each in enumerate(references):
            path = Path(folder) / f"{number}.wav"
            soundfile.write(path, each.samples, each.sample_rate, subtype="FLOAT")
            paths.append(path)
        yield paths


def _seed(seed: int, number: int) -> int:
    return (seed + number) % 2**32


def _array(value: Any) -> np.ndarray:
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    return np.asarray(value, np.float32)


def _wave(value: Any) -> np.ndarray:
    """float32 [T] in [-1, 1].

    Raises:
        EngineFailure: the model gave something else.
    """
    samples = np.asarray(_array(value), np.float32).reshape(-1)
    if not np.isfinite(samples).all():
        raise EngineFailure(
            "The model gave numbers that are no sound.",
            "",
            "Change the seed or the controls; if it stays, download the model again.",
        )
    return np.clip(samples, -1, 1)
