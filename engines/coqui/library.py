"""The coqui-tts library as this program uses it: everything that is changed in it, in one place.

What it would bring from the network comes from the model's folder or not at all; its files are
opened as weights alone, wherever they were saved; it asks nobody anything; it reads audio with
soundfile. The changes concern the library's own names and stay for the life of the process.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from engines.checkpoint import SUFFIX, bad_file, read, stays, unpickle
from engines.coqui import espeak_program
from engines.coqui.files import ENCODER_CONFIG, encoder_of, file_of
from engines.coqui.shelf import TORTOISE_MARK
from engines.coqui.stats import read_stats
from engines.errors import BadCheckpoint, InvalidRequest, MissingDependency
from engines.runtime import torchaudio_standin

if TYPE_CHECKING:
    import torch

# The folder that the library may take files from, in the thread that loads a model.
_folder: contextvars.ContextVar[Path | None] = contextvars.ContextVar("coqui_folder", default=None)
_lock = threading.Lock()
_done: set[str] = set()

# Fields of a configuration that name a file by its path where the model was trained, and what
# such files are usually called.
_FILES = {
    "stats_path": ("scale_stats.npy",),
    "d_vector_file": ("speakers.json", "speakers.pth"),
    "speakers_file": ("speaker_ids.json", "speaker_ids.pth"),
    "speaker_file": (),
    "language_ids_file": ("language_ids.json",),
    "mel_statistics_parameter_path": ("lj_parameters.pth",),
    "tokenizer_file": ("vocab.json",),
}
_ENCODER_FIELDS = ("speaker_encoder_model_path", "speaker_encoder_config_path")
# Training's; a path in them is of no use here.
_EMPTIED = ("phoneme_cache_path", "test_sentences_file", "gpt_checkpoint", "decoder_checkpoint")


ESPEAK_VERSION = "1.52"  # of the wheel; the library asks what flags it takes


class _Settings:
    """Stands for the library's configuration in older checkpoints, so that none of it runs."""


_ALLOWED = tuple(
    (_Settings, f"TTS.{name}")
    for name in (
        *("tts.configs.xtts_config.XttsConfig", "tts.configs.xtts_config.XttsArgs"),
        *("tts.configs.xtts_config.XttsAudioConfig", "tts.models.xtts.XttsArgs"),
        *("tts.models.xtts.XttsAudioConfig", "config.shared_configs.BaseDatasetConfig"),
    )
)


def prepare(kind: str) -> None:
    """Import the library with what a kind of models needs, and change what has to be changed.

    Raises:
        MissingDependency: it is not here, or a package that it needs.
    """
    with _lock:
        try:
            for part in ("", kind):
                if part not in _done and part in _CHANGES:
                    _CHANGES[part]()
                    _done.add(part)
        except ImportError as error:
            raise MissingDependency(
                f"The library coqui-tts cannot be imported ({error!s:.200}).",
                "",
                "Install what requirements.txt lists.",
            ) from error


@contextlib.contextmanager
def files_of(folder: Path) -> Iterator[None]:
    """What the library asks for within, it gets from this folder."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


# what is changed


def _all() -> None:
    torchaudio_standin.prepare()
    import trainer.io

    original = trainer.io.load_fsspec
    trainer.io.load_fsspec = _load_weights  # the library's modules take it by name on import
    for name, module in list(sys.modules.items()):
        if name.startswith("TTS.") and vars(module).get("load_fsspec") is original:
            vars(module)["load_fsspec"] = _load_weights

    import TTS.utils.synthesizer
    from TTS.tts.utils import managers
    from TTS.utils.audio import AudioProcessor
    from TTS.utils.manage import ModelManager

    global _library_load_config
    _library_load_config = managers.load_config
    TTS.utils.synthesizer.load_config = _load_config
    managers.load_config = _load_config
    AudioProcessor.load_stats = _load_stats
    _phonemes()
    ModelManager.ask_tos = staticmethod(_ask_nobody)
    ModelManager.download_model = _download_nothing


def _phonemes() -> None:
    """Where the program espeak-ng is not installed, the one of ours stands for it."""
    from TTS.tts.utils.text.phonemizers import ESpeak, espeak_wrapper

    if espeak_wrapper._DEF_ESPEAK_LIB is not None:
        return
    espeak_wrapper._DEF_ESPEAK_LIB = "espeak-ng"
    espeak_wrapper._DEF_ESPEAK_VER = ESPEAK_VERSION
    espeak_wrapper.get_espeakng_version = lambda: ESPEAK_VERSION
    espeak_wrapper._espeak_exe = _espeak
    ESpeak.is_available = classmethod(lambda _cls: True)


def _espeak(_program: str, args: list[str]) -> list[str]:
    """The lines that the program gives.

    Raises:
        MissingDependency: it failed.
    """
    command = [sys.executable, "-I", str(Path(espeak_program.__file__)), *args]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)
    if ran.returncode:
        raise MissingDependency(
            f"eSpeak NG could not put the text into phonemes ({ran.stderr.strip()[-200:]}).",
            "The model speaks by phonemes.",
            "Install what requirements.txt lists, or the program espeak-ng.",
        )
    return [line.strip() for line in ran.stdout.splitlines() if line.strip()]


def _xtts() -> None:
    from TTS.tts.models import xtts

    xtts.torchaudio = _Over(xtts.torchaudio, load=load_audio)


def _bark() -> None:
    from TTS.tts.layers.bark import load_model
    from TTS.tts.layers.bark.hubert import hubert_manager, kmeans_hubert
    from TTS.tts.models import bark

    bark.torchaudio = _Over(bark.torchaudio, load=load_audio)
    for name in ("BertTokenizer", "EncodecModel", "AutoProcessor"):
        setattr(bark, name, _Local(getattr(bark, name)))
    kmeans_hubert.HubertModel = _Local(kmeans_hubert.HubertModel)
    load_model.torch = _Over(load_model.torch, load=_load_only_weights)
    load_model._download = _refuse
    hubert_manager.HubertManager.make_sure_tokenizer_installed = staticmethod(_ask_for_file)


def _freevc() -> None:
    from TTS.vc.models import freevc

    freevc.get_wavlm = _get_wavlm


_CHANGES: dict[str, Callable[[], None]] = {
    "": _all,
    "xtts": _xtts,
    "bark": _bark,
    "freevc": _freevc,
}
_library_load_config: Callable[..., Any]


class _Over:
    """A module with some of its names replaced."""

    def __init__(self, module: Any, **names: Any) -> None:
        self.__dict__.update(names)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _Local:
    """A class of transformers whose files come from the model's folder, or from the Hub's cache on
    this machine."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def from_pretrained(self, name: str, **named: Any) -> Any:
        from huggingface_hub import snapshot_download

        folder = _folder.get()
        place = folder / PurePosixPath(name).name if folder is not None else None
        try:
            if place is None or not place.is_dir():
                place = Path(snapshot_download(name, local_files_only=True))
            return self._original.from_pretrained(str(place), local_files_only=True, **named)
        except (OSError, ValueError) as error:
            raise _missing(name, f"https://huggingface.co/{name}") from error


def load_audio(path: str | os.PathLike[str]) -> tuple[torch.Tensor, int]:
    """Samples float32 [C, T] and rate of an audio file, as torchaudio gives them."""
    import soundfile
    import torch

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy()), rate


def _load_weights(path: str | os.PathLike[str], *_where: Any, **_named: Any) -> Any:
    """What a checkpoint holds, on the CPU, whatever it was saved on.

    Raises:
        BadCheckpoint: it is not in the model's folder, is damaged, or wants to run something.
    """
    found = _here(str(path))
    if found.suffix == SUFFIX:
        return {"model": read(found)}
    return unpickle(found, allow=_ALLOWED)


def _load_only_weights(path: str, **_named: Any) -> Any:
    return _load_weights(path)


def _here(asked: str) -> Path:
    """A file that the library asks for by path or address, from the model's own folder."""
    folder = _folder.get()
    if folder is None:
        return Path(asked)
    path = Path(asked)
    if "://" not in asked and path.is_file() and stays(path, folder):
        return path
    name = PurePosixPath(asked.replace("\\", "/")).name
    for place in (folder, folder.parent):  # a vocoder's folder is beside, or within
        if (found := file_of(place, name)) is not None:
            return found
    raise _missing(name, asked if "://" in asked else "")


def _load_config(path: str | os.PathLike[str]) -> Any:
    found = Path(path)
    try:
        # Tortoise is published without one
        if not found.is_file() and file_of(found.parent, TORTOISE_MARK) is not None:
            from TTS.tts.configs.tortoise_config import TortoiseConfig

            return TortoiseConfig()
        config = _library_load_config(found)
    except Exception as error:  # whatever its dataclasses make of a wrong field
        raise BadCheckpoint(
            f"{found} is of a model that coqui-tts does not know, or is damaged: {error!s:.200}.",
            "",
            "Use the configuration that came with the model.",
        ) from error
    _relocate(config, found.parent)
    return config


def _relocate(config: Any, folder: Path) -> None:
    """Fields that name files, in a configuration and all that it holds, name those of the folder;
    what is not there is left out."""
    encoder, encoder_config = encoder_of(folder), folder / ENCODER_CONFIG
    both = encoder is not None and encoder_config.is_file()
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        if dataclasses.is_dataclass(value):
            _relocate(value, folder)
        elif each.name in _FILES:
            given = value[0] if isinstance(value, list) and value else value
            names = (PurePosixPath(str(given or "").replace("\\", "/")).name, *_FILES[each.name])
            paths = (file_of(folder, name) for name in names if name)
            found = next((str(path) for path in paths if path is not None), "")
            setattr(config, each.name, [found] * bool(found) if isinstance(value, list) else found)
        elif each.name in _ENCODER_FIELDS:
            paths_here = (str(encoder), str(encoder_config)) if both else ("", "")
            setattr(config, each.name, paths_here[_ENCODER_FIELDS.index(each.name)])
        elif each.name in _EMPTIED and value:
            setattr(config, each.name, "")
        elif each.name == "characters_class" and value and not str(value).startswith("TTS."):
            raise BadCheckpoint(f"The configuration wants to import {value!r:.80}; it was not.")
        elif each.name == "USE_SMALLER_MODELS":
            # else a file of Bark's with another checksum is deleted
            setattr(config, each.name, True)


def _load_stats(_processor: Any, stats_path: str) -> tuple[Any, ...]:
    """`AudioProcessor.load_stats`, which unpickles whatever the file holds."""
    stats = read_stats(Path(stats_path))
    try:
        found = tuple(
            stats[f"{kind}_{what}"] for kind in ("mel", "linear") for what in ("mean", "std")
        )
    except KeyError as error:
        raise bad_file(Path(stats_path), f"holds no {error}") from error
    return (*found, stats.get("audio_config", {}))


def _get_wavlm(device: str = "cpu") -> Any:
    from TTS.vc.layers.freevc.wavlm.wavlm import WavLM, WavLMConfig

    saved = _load_weights("WavLM-Large.pt")
    layers = saved["cfg"].get("conv_feature_layers", "")
    if not re.fullmatch(r"[0-9()\[\],*+ ]*", str(layers)):  # which the library evaluates
        raise BadCheckpoint(f"WavLM-Large.pt names its layers {layers!r:.80}, which was not run.")
    wavlm = WavLM(WavLMConfig(saved["cfg"])).to(device)
    wavlm.load_state_dict(saved["model"])
    return wavlm.eval()


def _ask_for_file(*_args: Any, model_path: str = "", **_named: Any) -> None:
    if not Path(model_path).is_file():
        raise _missing(Path(model_path).name, "https://huggingface.co/GitMylo/bark-voice-cloning")


def _refuse(address: str, *_args: Any) -> None:
    raise _missing(PurePosixPath(address).name, address)


def _ask_nobody(_folder: Any) -> bool:
    raise InvalidRequest(
        "The model's licence has not been accepted.",
        "It is accepted where models are downloaded, in the Models tab, and is recorded there.",
        "Download the model there.",
    )


def _download_nothing(_self: Any, model_name: str) -> Any:
    raise InvalidRequest(
        f"The library was to download {model_name}.",
        "Models are downloaded in the Models tab or put into the models directory.",
        "Bring it here in one of these ways.",
    )


def _missing(name: str, address: str) -> BadCheckpoint:
    folder = _folder.get()
    published = f" It is published at {address}." if address else ""
    return BadCheckpoint(
        f"The model needs {name}, which is not in its folder{f' {folder}' if folder else ''}."
        f"{published}",
        "Nothing is downloaded while a model is loaded.",
        "Put it there.",
    )
