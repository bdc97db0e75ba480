"""Tiny models with random weights, made and written by coqui-tts in its own format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from engines.runtime import torchaudio_standin

RATE = 16_000
VOCODER: dict[str, Any] = {
    "resblock_kernel_sizes_decoder": [3],
    "resblock_dilation_sizes_decoder": [[1, 3, 5]],
    "upsample_rates_decoder": [8, 8],
    "upsample_kernel_sizes_decoder": [16, 16],
    "upsample_initial_channel_decoder": 16,
}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def audio(**more: Any) -> Any:
    from TTS.config.shared_configs import BaseAudioConfig

    return BaseAudioConfig(
        **{
            "fft_size": 128,
            "win_length": 128,
            "hop_length": 64,
            "sample_rate": RATE,
            "num_mels": 20,
            "mel_fmin": 0,
            "mel_fmax": None,
            "do_trim_silence": False,
            **more,
        }
    )


def characters() -> Any:
    from TTS.tts.configs.shared_configs import CharactersConfig

    return CharactersConfig(
        characters_class="TTS.tts.utils.text.characters.Graphemes",
        pad="_",
        eos="~",
        bos="^",
        blank="@",
        characters=LETTERS,
        punctuations="!'(),-.:;? ",
    )


def write(folder: Path, config: Any, model: Any, **also: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config.save_json(str(folder / "config.json"))
    torch.save({"model": model.state_dict(), **also}, folder / "model_file.pth")
    return folder


def vits(folder: Path, **args: Any) -> Path:
    """One voice, or by `use_speaker_embedding` and speakers several."""
    torchaudio_standin.prepare()
    from TTS.tts.configs.vits_config import VitsArgs, VitsConfig
    from TTS.tts.models.vits import Vits

    others = ("languages", "speakers", "use_phonemes", "phonemizer", "phoneme_language")
    config_only = {key: args.pop(key) for key in others if key in args}
    signs = args.pop("characters", None) or characters()
    torch.manual_seed(1)
    config = VitsConfig(
        audio=audio(),
        model_args=VitsArgs(
            **{
                "out_channels": 65,
                "hidden_channels": 16,
                "hidden_channels_ffn_text_encoder": 16,
                "num_layers_text_encoder": 1,
                "num_layers_posterior_encoder": 1,
                "num_layers_flow": 1,
                "init_discriminator": False,
                **VOCODER,
                **args,
            }
        ),
        characters=signs,
        text_cleaner="basic_cleaners",
        **config_only,
    )
    return write(folder, config, Vits(config))


def by_phonemes(folder: Path) -> Path:
    """VITS whose text goes through eSpeak NG, as most published ones do."""
    from TTS.tts.configs.shared_configs import CharactersConfig

    return vits(
        folder,
        use_phonemes=True,
        phonemizer="espeak",
        phoneme_language="en-us",
        characters=CharactersConfig(
            characters_class="TTS.tts.utils.text.characters.IPAPhonemes",
            pad="_",
            eos="~",
            bos="^",
            blank="@",
            characters="abdefhijklmnoprstuvwzæðŋɐɑɒɔəɚɛɜɡɪɹʃʊʌʒˈˌːθ",
            punctuations="!'(),-.:;? ",
        ),
    )


def your_tts(folder: Path) -> Path:
    """VITS by vectors of speakers, in two languages, with the encoder that finds them."""
    torchaudio_standin.prepare()
    from TTS.encoder.configs.speaker_encoder_config import SpeakerEncoderConfig
    from TTS.encoder.utils.generic_utils import setup_encoder_model

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(2)
    encoder = SpeakerEncoderConfig(
        audio=audio(num_mels=20),
        model_params={
            "model_name": "lstm",
            "input_dim": 20,
            "proj_dim": 8,
            "lstm_dim": 8,
            "num_lstm_layers": 1,
            "use_lstm_with_projection": True,
        },
        num_classes_in_batch=1,
        num_utter_per_class=1,
        num_loader_workers=0,
    )
    encoder.save_json(str(folder / "config_se.json"))
    heard = setup_encoder_model(encoder)
    torch.save({"model": heard.state_dict()}, folder / "model_se.pth")
    draw = np.random.default_rng(3)
    speakers = {
        f"{name}/{number}.wav": {"name": name, "embedding": draw.normal(size=8).tolist()}
        for name in ("Ann Lee", "bob")
        for number in range(2)
    }
    (folder / "speakers.json").write_text(json.dumps(speakers))
    made = vits(
        folder,
        use_d_vector_file=True,
        d_vector_dim=8,
        d_vector_file=[str(folder / "speakers.json")],
        use_language_embedding=True,
        languages=["en", "fr-fr"],
    )
    # as published: paths of the machine that trained it
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["model_args"] |= {
        "d_vector_file": ["/root/data/speakers.json"],
        "speaker_encoder_model_path": "/root/data/model_se.pth",
        "speaker_encoder_config_path": "/root/data/config_se.json",
    }
    path.write_text(json.dumps(config))
    return made


def glow_tts(folder: Path) -> Path:
    torchaudio_standin.prepare()
    from TTS.tts.configs.glow_tts_config import GlowTTSConfig
    from TTS.tts.models.glow_tts import GlowTTS

    torch.manual_seed(4)
    config = GlowTTSConfig(
        audio=audio(griffin_lim_iters=10, signal_norm=False),
        hidden_channels_enc=16,
        hidden_channels_dec=16,
        hidden_channels_dp=16,
        out_channels=20,
        num_flow_blocks_dec=2,
        num_block_layers=1,
        encoder_params={
            "kernel_size": 3,
            "dropout_p": 0.1,
            "num_layers": 1,
            "num_heads": 2,
            "hidden_channels_ffn": 16,
            "input_length": None,
        },
        inference_noise_scale=0.5,
        characters=characters(),
        text_cleaner="basic_cleaners",
        datasets=[],
    )
    model = GlowTTS(config)
    with torch.no_grad():
        model.encoder.duration_predictor.proj.bias.fill_(1)  # about two frames a letter
    return write(folder, config, model)


def tacotron2(folder: Path) -> Path:
    torchaudio_standin.prepare()
    from TTS.tts.configs.tacotron2_config import Tacotron2Config
    from TTS.tts.models.tacotron2 import Tacotron2

    torch.manual_seed(7)
    config = Tacotron2Config(
        audio=audio(griffin_lim_iters=10, signal_norm=False),
        out_channels=20,
        decoder_output_dim=20,
        max_decoder_steps=20,
        r=2,
        characters=characters(),
        text_cleaner="basic_cleaners",
    )
    return write(folder, config, Tacotron2(config), r=2)


def fast_pitch(folder: Path) -> Path:
    torchaudio_standin.prepare()
    from TTS.tts.configs.fast_pitch_config import FastPitchConfig
    from TTS.tts.configs.forward_tts_config import ForwardTTSArgs
    from TTS.tts.models.forward_tts import ForwardTTS

    torch.manual_seed(8)
    layer = {"hidden_channels_ffn": 16, "num_heads": 1, "num_layers": 1, "dropout_p": 0.1}
    config = FastPitchConfig(
        audio=audio(griffin_lim_iters=10, signal_norm=False),
        model_args=ForwardTTSArgs(
            out_channels=20,
            hidden_channels=16,
            pitch_predictor_hidden_channels=8,
            duration_predictor_hidden_channels=8,
            encoder_params=layer,
            decoder_params=dict(layer),
        ),
        characters=characters(),
        text_cleaner="basic_cleaners",
    )
    return write(folder, config, ForwardTTS(config))


def openvoice(folder: Path) -> Path:
    """As it is published, in a layout of its own; its size cannot be set."""
    torchaudio_standin.prepare()
    from TTS.vc.configs.openvoice_config import OpenVoiceConfig
    from TTS.vc.models.openvoice import OpenVoice

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(9)
    torch.save({"model": OpenVoice(OpenVoiceConfig()).state_dict()}, folder / "checkpoint.pth")
    data = {"sampling_rate": 22050, "filter_length": 1024, "hop_length": 256, "win_length": 1024}
    (folder / "config.json").write_text(json.dumps({"data": data, "model": {"gin_channels": 256}}))
    return folder


def xtts(folder: Path) -> Path:
    torchaudio_standin.prepare()
    from tokenizers import Tokenizer, models, pre_tokenizers
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
    from TTS.tts.models.xtts import Xtts

    folder.mkdir(parents=True, exist_ok=True)
    pieces = ["[STOP]", "[UNK]", "[SPACE]", "[en]", "[de]", "[START]", *LETTERS, *".,!?'-"]
    tokenizer = Tokenizer(
        models.BPE({piece: n for n, piece in enumerate(pieces)}, [], unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(pieces[:6])
    tokenizer.save(str(folder / "vocab.json"))
    torch.manual_seed(5)
    config = XttsConfig(
        model_args=XttsArgs(
            gpt_layers=1,
            gpt_n_model_channels=32,
            gpt_n_heads=2,
            gpt_max_audio_tokens=12,
            gpt_max_text_tokens=60,
            gpt_num_audio_tokens=40,
            gpt_start_audio_token=38,
            gpt_stop_audio_token=39,
            gpt_use_perceiver_resampler=True,
            decoder_input_dim=32,
        ),
        languages=["en", "de"],
    )
    model = Xtts(config)
    model.tokenizer = VoiceBpeTokenizer(str(folder / "vocab.json"))
    model.init_models()
    with torch.no_grad():  # a fresh one hardly prefers any sound to another
        model.gpt.mel_head.weight.normal_(0, 0.3)
    config.save_json(str(folder / "config.json"))
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    speaker = {
        "gpt_cond_latent": torch.randn(1, 32, 32),
        "speaker_embedding": torch.randn(1, 512, 1),
    }
    torch.save({"Ada Tester": speaker}, folder / "speakers_xtts.pth")
    return folder


def freevc(folder: Path) -> Path:
    torchaudio_standin.prepare()
    from TTS.vc.configs.freevc_config import FreeVCArgs, FreeVCConfig
    from TTS.vc.layers.freevc.wavlm.wavlm import WavLM, WavLMConfig
    from TTS.vc.models import freevc as module

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(6)
    heard = {
        "encoder_layers": 1,
        "encoder_embed_dim": 16,
        "encoder_ffn_embed_dim": 16,
        "encoder_attention_heads": 2,
        "conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2",
        "conv_pos": 4,
        "conv_pos_groups": 2,
    }
    wavlm = WavLM(WavLMConfig(heard))
    torch.save({"cfg": heard, "model": wavlm.state_dict()}, folder / "WavLM-Large.pt")
    config = FreeVCConfig(
        model_args=FreeVCArgs(
            inter_channels=8,
            hidden_channels=8,
            gin_channels=8,
            ssl_dim=16,
            upsample_initial_channel=16,
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1, 3, 5]],
        )
    )
    held = module.get_wavlm
    module.get_wavlm = lambda device="cpu": WavLM(WavLMConfig(heard)).eval()
    try:
        model = module.FreeVC(config)
    finally:
        module.get_wavlm = held
    # published files have no part of WavLM
    return write(folder, config, model)


def speech(seconds: float, pitch: float, rate: int = RATE) -> np.ndarray:
    """Something to listen to, float32 [T]: a buzz that rises and falls."""
    t = np.arange(int(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * pitch * k * t + np.sin(3 * t)) / k for k in range(1, 8))
    return (0.2 * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 2.5 * t))).astype(np.float32)


def clip(path: Path, seconds: float = 1.5, pitch: float = 120.0) -> Path:
    soundfile.write(path, speech(seconds, pitch), RATE, subtype="FLOAT")
    return path
