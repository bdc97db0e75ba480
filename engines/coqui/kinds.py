"""The kinds of models that the library has, and what each of them can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["speech", "conversion"]

_SPOKEN = ("speaker", "split_sentences")
_PACED = (*_SPOKEN, "speed")
_SAMPLED = ("temperature", "top_k", "top_p", "repetition_penalty")


@dataclass(frozen=True, slots=True)
class Kind:
    """
    Attributes:
        name: what `config.json` calls it.
        controls: which of the engine's controls it has; "speaker" only where a model has several.
        clones: it speaks like a clip. One of the others does where its folder has a speaker
            encoder.
        needs: files of its folder, where it is made of several; else one checkpoint.
    """

    name: str
    title: str
    task: Task = "speech"
    controls: tuple[str, ...] = _SPOKEN
    clones: bool = False
    needs: tuple[str, ...] = ()


KINDS = {
    kind.name: kind
    for kind in (
        Kind("xtts", "XTTS", controls=(*_PACED, *_SAMPLED), clones=True, needs=("vocab.json",)),
        Kind("vits", "VITS", controls=_PACED),
        Kind("glow_tts", "Glow-TTS", controls=_PACED),
        Kind("tacotron", "Tacotron"),
        Kind("tacotron2", "Tacotron 2"),
        Kind("fast_pitch", "FastPitch", controls=_PACED),
        Kind("fast_speech", "FastSpeech", controls=_PACED),
        Kind("fastspeech2", "FastSpeech 2", controls=_PACED),
        Kind("speedy_speech", "SpeedySpeech", controls=_PACED),
        Kind("align_tts", "AlignTTS", controls=_PACED),
        Kind("delightful_tts", "DelightfulTTS", controls=_PACED),
        Kind("overflow", "OverFlow"),
        Kind("neuralhmm_tts", "Neural HMM"),
        Kind(
            "bark",
            "Bark",
            controls=(*_SPOKEN, "temperature", "top_k", "top_p"),
            clones=True,
            needs=("text_2.pt", "coarse_2.pt", "fine_2.pt"),
        ),
        Kind(
            "tortoise",
            "Tortoise",
            controls=(*_SPOKEN, *_SAMPLED, "quality"),
            clones=True,
            needs=(
                *("autoregressive.pth", "diffusion_decoder.pth", "clvp2.pth", "vocoder.pth"),
                "mel_norms.pth",
            ),
        ),
        Kind("freevc", "FreeVC", "conversion", (), needs=("WavLM-Large.pt",)),
        Kind("openvoice", "OpenVoice", "conversion", ()),
    )
}
