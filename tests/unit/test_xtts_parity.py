"""XTTS in stages beside the library that it was published with, on a tiny random release."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines.api import CancelToken, Reference
from engines.coqui.xtts import frames, loading, sound, stages, synthesis
from engines.coqui.xtts.checkpoint import Speaker, load_speakers
from engines.coqui.xtts.conditioning import listen
from engines.coqui.xtts.config import CLIP_RATE, XttsConfig, read_config
from engines.coqui.xtts.text import Tokenizer
from engines.decode import Sampler, Sampling
from engines.memory import MemoryManager
from engines.runtime.buckets import Buckets
from engines.runtime.eager import EagerRuntime
from tests.stage_checks import largest_change_by_padding
from tests.xtts_release import library_model, write_release

TEXTS = ("the other man in town.", "No.", "There are nine people in here, and another one.")
PENALTY = 2.0
LIKELIEST = Sampling(temperature=0, repetition_penalty=PENALTY)
SPEEDS = (1.0, 1.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_release(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def library(folder) -> Any:
    return library_model(folder)


@pytest.fixture(scope="module")
def config(folder) -> XttsConfig:
    return read_config(folder)


@pytest.fixture(scope="module")
def bound(folder, config) -> Mapping[str, Any]:
    runtime = EagerRuntime("cpu")
    return {
        stage.name: runtime.bind(stage)
        for stage in (
            *loading.listening_from_weights(folder, config),
            *loading.speaking_from_weights(folder, config, compiles=False),
        )
    }


@pytest.fixture(scope="module")
def speaker(folder) -> Speaker:
    return load_speakers(folder)["Bo Tester"]


def clip(seconds: float, rate: int = CLIP_RATE, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    noise = draw.standard_normal(int(seconds * rate)).astype(np.float32)
    return np.clip(0.3 * noise * np.sin(np.arange(len(noise)) / 900), -1, 1).astype(np.float32)


def latents_of(
    bound, folder, config, speaker, text: str, sampling: Sampling = LIKELIEST, draw=None
) -> np.ndarray:
    before = synthesis.heard_before(config)
    sampler = Sampler(sampling, 0, before=before, draw=draw)
    encoded = Tokenizer(folder).encode(text, "en", most=config.model_args.gpt_max_text_tokens)
    memory = MemoryManager()
    with bound["gpt"].start(memory, "test") as sequences:
        found = list(
            synthesis.latents(sequences, encoded.ids, speaker, sampler, config, CancelToken())
        )
    memory.close()
    return np.stack(found)


def torch_voice(speaker: Speaker) -> dict[str, torch.Tensor]:
    return {
        "gpt_cond_latent": torch.from_numpy(speaker.latents)[None],
        "speaker_embedding": torch.from_numpy(speaker.embedding)[None, :, None],
    }


@pytest.mark.parametrize("text", TEXTS)
def test_speech_is_the_librarys_without_its_second_pass(
    library, bound, folder, config, speaker, text
):
    """The library runs the GPT a second time over text and codes for what the decoder takes; the
    latents that fall out of decoding are the same."""
    ours = latents_of(bound, folder, config, speaker, text)
    for speed in SPEEDS if text == TEXTS[0] else (1.0,):
        expected = library.inference(
            text,
            "en",
            **torch_voice(speaker),
            do_sample=False,
            repetition_penalty=PENALTY,
            speed=speed,
        )
        if speed == 1:
            np.testing.assert_allclose(ours, expected["gpt_latents"][0], atol=2e-5)
        parts = list(sound.stream(bound["decoder"], ours, speaker, config, speed))
        assert np.abs(expected["wav"]).max() > 0.05
        np.testing.assert_allclose(np.concatenate(parts), expected["wav"], atol=2e-5)


def test_chance_is_the_librarys_where_the_draws_are(
    library, bound, folder, config, speaker, monkeypatch
):
    sampling = Sampling(temperature=2.5, top_k=20, top_p=0.9, repetition_penalty=3.0)
    ours = iter(np.random.default_rng(11).random(100).tolist())
    theirs = iter(np.random.default_rng(11).random(100).tolist())

    def multinomial(shares: torch.Tensor, num_samples: int) -> torch.Tensor:
        reached = shares.double().cumsum(dim=-1)
        drawn = next(theirs) * reached[:, -1:]
        return torch.searchsorted(reached, drawn, right=True)

    monkeypatch.setattr(torch, "multinomial", multinomial)
    expected = library.inference(
        TEXTS[0],
        "en",
        **torch_voice(speaker),
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        repetition_penalty=sampling.repetition_penalty,
    )
    found = latents_of(bound, folder, config, speaker, TEXTS[0], sampling, lambda: next(ours))
    np.testing.assert_allclose(found, expected["gpt_latents"][0], atol=2e-5)
    likeliest = latents_of(bound, folder, config, speaker, TEXTS[0])
    assert len(found) != len(likeliest) or not np.allclose(found, likeliest, atol=1e-2)


def test_some_sentences_end_by_themselves_and_one_at_the_limit(bound, folder, config, speaker):
    lengths = [len(latents_of(bound, folder, config, speaker, text)) for text in TEXTS]
    assert config.most_codes in lengths
    assert min(lengths) < config.most_codes
    assert len(set(lengths)) > 1


def test_a_stream_is_the_librarys_apart_from_where_it_fades(
    library, bound, folder, config, speaker
):
    text, reach = TEXTS[2], stages.REACH * 256
    ours = np.concatenate(
        list(
            sound.stream(
                bound["decoder"],
                latents_of(bound, folder, config, speaker, text),
                speaker,
                config,
                1,
            )
        )
    )
    chunks = [
        chunk.numpy()
        for chunk in library.inference_stream(
            text,
            "en",
            **torch_voice(speaker),
            top_k=1,
            repetition_penalty=PENALTY,
            stream_chunk_size=12,
            overlap_wav_len=1024,
        )
    ]
    theirs = np.concatenate(chunks)
    assert len(chunks) > 2 and len(theirs) == len(ours)
    sure = np.ones(len(ours), bool)
    # around a border the library decodes without what follows, and fades over it
    for border in np.cumsum([len(chunk) for chunk in chunks])[:-1]:
        sure[max(0, border - reach) : border + 1024 + 256 * 2] = False
    assert sure.mean() > 0.3
    np.testing.assert_allclose(ours[sure], theirs[sure], atol=2e-5)


def test_parts_of_a_stream_join_to_the_whole(bound, config, speaker):
    speed = 0.9
    latents = np.random.default_rng(3).standard_normal((70, config.width), np.float32)
    scales = sound.scales_of(config, speed)
    z = frames.stretched(latents, scales, 0, frames.count(len(latents), scales))
    whole = bound["decoder"](z=z.T[None], g=speaker.embedding[None, :, None])["wav"][0]
    parts = list(sound.stream(bound["decoder"], latents, speaker, config, speed))
    assert len(parts) > 2 and len(parts[0]) < len(parts[-2])
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-6)


@pytest.mark.parametrize("rates", [(CLIP_RATE,), (24_000, 16_000)])
def test_clips_are_heard_as_the_library_hears_them(library, bound, config, rates):
    import torchaudio

    clips = [clip(7, rate, seed) for seed, rate in enumerate(rates)]
    references = [Reference(each, rate) for each, rate in zip(clips, rates, strict=True)]
    ours = listen(bound, references, config, CancelToken())
    heard = [
        torchaudio.functional.resample(torch.from_numpy(each)[None], rate, CLIP_RATE).clip(-1, 1)
        for each, rate in zip(clips, rates, strict=True)
    ]
    latents = library.get_gpt_cond_latents(
        torch.cat(heard, dim=-1),
        CLIP_RATE,
        length=config.gpt_cond_len,
        chunk_length=config.gpt_cond_chunk_len,
    )
    embeddings = [library.get_speaker_embedding(each, CLIP_RATE) for each in heard]
    np.testing.assert_allclose(ours.latents, latents[0].numpy(), atol=2e-3)
    expected = torch.stack(embeddings).mean(dim=0)[0, :, 0].numpy()
    np.testing.assert_allclose(ours.embedding, expected, atol=2e-5)
    assert np.abs(latents.numpy()).max() > 1 and np.abs(expected).max() > 0.05


def test_padding_changes_nothing(folder, config):
    draw = np.random.default_rng(5)
    table = {
        "T_clip": Buckets([200]),
        "T_bands": Buckets([203]),
        "T_mel": Buckets([48]),
    }
    shapes = {
        "listen": ("mel", [(1, 80, n) for n in (31, 150)]),
        "speaker": ("bands", [(1, 64, n) for n in (40, 201)]),
        "decoder": ("z", [(1, config.width, n) for n in (1, 40)]),
    }
    decoder = list(loading.speaking_from_weights(folder, config, compiles=True))[1]
    for stage in (*loading.listening_from_weights(folder, config), decoder):
        name, sizes = shapes[stage.name]
        more = {"g": draw.standard_normal((1, 512, 1), np.float32)} if name == "z" else {}
        examples = [{name: draw.standard_normal(size, np.float32), **more} for size in sizes]
        assert largest_change_by_padding(stage, examples, table) < 1e-4


def test_padding_changes_no_code(folder, config, bound, speaker):
    runtime = EagerRuntime("cpu", buckets=stages.buckets(config))
    padded = {
        stage.name: runtime.bind(stage)
        for stage in loading.speaking_from_weights(folder, config, compiles=True)
    }
    for text in TEXTS:
        plain = latents_of(bound, folder, config, speaker, text)
        others = latents_of(padded, folder, config, speaker, text)
        np.testing.assert_allclose(others, plain, atol=2e-5)
    heard = [
        np.concatenate(list(sound.stream(each["decoder"], plain, speaker, config, 1)))
        for each in (bound, padded)
    ]
    np.testing.assert_allclose(*heard, atol=2e-6)
