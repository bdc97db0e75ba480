"""Spark-TTS as an engine: releases, voices cloned and made, bad input told."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.api import CancelToken, EngineContext, Reference, Span, Utterance, Voice
from engines.errors import (
    BadCheckpoint,
    BadReference,
    Cancelled,
    OutOfMemory,
    UnknownVoice,
    UnsupportedRuntime,
)
from engines.memory import MemoryManager
from engines.spark import checkpoint, loading, saying
from engines.spark.checkpoint import CODEC_FILE, FEATURES_FILE
from engines.spark.engine import SparkEngine
from engines.spark.llm_checkpoint import LLM_FILE
from engines.text import Lexicon, utterances
from tests.spark_release import copied_release

TEXT = "Hello there, how are you?"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied_release(tmp_path_factory.mktemp("models") / "Tiny").parent


@pytest.fixture(scope="module")
def engine(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    memory = MemoryManager()
    yield SparkEngine(EngineContext(models, tmp_path_factory.mktemp("cache"), memory))
    memory.close(timeout=0)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[SparkEngine]:
    """One whose release may be damaged."""
    memory = MemoryManager()
    copied_release(tmp_path / "models" / "Tiny")
    yield SparkEngine(EngineContext(tmp_path / "models", tmp_path / "cache", memory))
    memory.close(timeout=0)


@pytest.fixture
def asked(monkeypatch) -> list:
    """What the language model was asked."""
    found, write = [], saying.write

    def watched(*args, **rest):
        found.extend(args[3])
        return write(*args, **rest)

    monkeypatch.setattr(saying, "write", watched)
    return found


def chunks(engine, voice, text=TEXT, *, index=0, seed=1, language="en", cancel=None, **controls):
    utterance = Utterance((Span(text, text),), language, index=index)
    return list(
        engine.speak(
            utterance,
            voice,
            engine.controls(**controls),
            device="cpu",
            seed=seed,
            cancel=cancel or CancelToken(),
        )
    )


def sound(made) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in made])


def notes(made) -> list[str]:
    return [note for chunk in made for note in chunk.notes]


def clip(seconds=2.0, rate=48_000, transcript="", loudness=0.3) -> Reference:
    draw = np.random.default_rng(0)
    t = np.arange(int(seconds * rate)) / rate
    samples = loudness * np.sin(2 * np.pi * 220 * t) * draw.uniform(0.5, 1, t.size)
    return Reference(samples.astype(np.float32), rate, transcript)


@pytest.fixture(scope="module")
def cloned(engine) -> Voice:
    given = [clip(transcript="Hello world.")]
    arrays = engine.condition(given, device="cpu", cancel=CancelToken())
    return Voice("0" * 16, "Ann", "spark", ("en",), reference="0" * 16, conditioning=arrays)


def test_each_release_makes_voices_of_both_genders(engine):
    assert [voice.id for voice in engine.voices()] == ["Tiny.female", "Tiny.male"]
    assert engine.voice("Tiny").id == "Tiny.female"
    assert engine.voice("Tiny.male").gender == "male"
    assert engine.broken() == {}
    assert engine.can_clone()
    with pytest.raises(UnknownVoice, match=r"Tiny\.female"):
        engine.voice("Tiny.child")
    with pytest.raises(UnknownVoice):
        engine.voice("Tiny.v-AAAA")


def test_all_sentences_of_a_text_have_one_made_voice(engine, asked):
    voice = engine.voice("Tiny.male")
    first = chunks(engine, voice, index=0, seed=5)
    assert sound(first).size and np.abs(sound(first)).max() <= 1
    chunks(engine, voice, "Another one, and more.", index=1, seed=5)
    tokens = engine._tokens_of(engine._named(""))
    openings = [tokens.globals_of(each.prompt).tolist() for each in asked]
    assert asked[0].kind == "control"
    assert openings[0] == [] and len(openings[1]) == 32 and openings[1] == openings[-1]
    chunks(engine, voice, seed=6)
    assert tokens.globals_of(asked[-1].prompt).tolist() != openings[1]


def test_a_seed_always_gives_the_same(engine):
    voice = engine.voice("Tiny.female")
    np.testing.assert_array_equal(
        sound(chunks(engine, voice, seed=9)), sound(chunks(engine, voice, seed=9))
    )


def test_a_made_voice_can_be_kept(engine, asked):
    spoken = chunks(engine, engine.voice("Tiny.female"), seed=5, pitch="high")
    [kept] = [note.rpartition(" ")[2].rstrip(".") for note in notes(spoken) if "had again" in note]
    assert [chunk.made_voice for chunk in spoken if chunk.made_voice] == [kept]
    tokens = engine._tokens_of(engine._named(""))
    made = tokens.globals_of(asked[-1].prompt).tolist()
    voice = engine.voice(kept)
    assert voice.gender == "female" and voice.id == kept
    spoken = chunks(engine, voice, seed=77, pitch="low")
    told = notes(spoken)
    assert not any(chunk.made_voice for chunk in spoken)
    assert tokens.globals_of(asked[-1].prompt).tolist() == made
    assert tokens.decode(asked[-1].prompt).count("<|pitch_label_3|>") == 1
    assert "pitch changes nothing about a voice that is kept." in told


@pytest.mark.parametrize(
    ("controls", "style"),
    [
        ({}, "<|gender_0|><|pitch_label_2|><|speed_label_2|>"),
        (
            {"gender": "male", "pitch": "very_low", "speed": "very_high"},
            "<|gender_1|><|pitch_label_0|><|speed_label_4|>",
        ),
    ],
)
def test_controls_shape_a_made_voice(engine, asked, controls, style):
    chunks(engine, engine.voice("Tiny.female"), **controls)
    tokens = engine._tokens_of(engine._named(""))
    assert style in tokens.decode(asked[-1].prompt)


def test_a_clip_is_kept_as_tokens(cloned):
    arrays = cloned.conditioning
    assert arrays["global_tokens"].shape == (32,)
    assert arrays["semantic_tokens"].shape == (99,)  # 2 s, less one frame
    assert arrays["transcript"].tobytes() == b"Hello world."


def test_a_cloned_voice_goes_on_where_its_clip_ends(engine, cloned, asked):
    chunks(engine, cloned)
    chunks(engine, cloned, follow_clip=False)
    chunks(engine, cloned, transcript="Other words.")
    short = dataclasses.replace(
        cloned, conditioning={**cloned.conditioning, "transcript": np.zeros(0, np.uint8)}
    )
    chunks(engine, short)
    tokens = engine._tokens_of(engine._named(""))
    said = [tokens.decode(each.prompt) for each in asked]
    assert f"Hello world.{TEXT}" in said[0] and said[0].count("bicodec_semantic") == 99
    clones = [each for each in said if f"<|start_content|>{TEXT}" in each]
    assert clones and "bicodec_semantic" not in clones[0]
    assert any(f"Other words.{TEXT}" in each for each in said)
    assert f"<|start_content|>{TEXT}" in said[-1]


def test_what_changes_nothing_is_told(engine, cloned):
    assert "pitch, speed change nothing about a voice that is cloned." in notes(
        chunks(engine, cloned, pitch="high", speed="low")
    )
    told = notes(chunks(engine, engine.voice("Tiny"), transcript="Words."))
    assert "transcript changes nothing about a voice that is made." in told


def test_a_transcript_of_one_sign_is_none(engine, cloned, asked):
    one = engine.condition([clip(transcript="a")], device="cpu", cancel=CancelToken())
    assert one["transcript"].size == 0
    chunks(engine, dataclasses.replace(cloned, conditioning=one))
    assert asked[-1].kind == "clone"


def test_a_clip_that_leaves_no_room_gives_the_voice_alone(engine, cloned, asked):
    long = {**cloned.conditioning, "semantic_tokens": np.zeros(4000, np.int64)}
    told = notes(chunks(engine, dataclasses.replace(cloned, conditioning=long)))
    assert any("too long to go on" in note for note in told)
    assert asked[0].kind == "clone"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([clip(0.9)], r"lasts 0\.9 s\. Spark-TTS listens to a clip of 1 to 60 s"),
        ([clip(60.5, 8000)], r"lasts 60\.5 s"),
        ([clip(loudness=0)], "Nothing can be heard"),
        ([], "no clip"),
    ],
)
def test_a_clip_that_does_not_do_is_refused(engine, given, message):
    with pytest.raises(BadReference, match=message):
        engine.condition(given, device="cpu", cancel=CancelToken())


def test_the_clip_whose_words_are_known_is_taken(engine, cloned):
    given = [clip(1.5, transcript=""), clip(2.0, transcript="Hello world.")]
    arrays = engine.condition(given, device="cpu", cancel=CancelToken())
    for name, each in cloned.conditioning.items():
        np.testing.assert_array_equal(arrays[name], each)


def test_a_language_that_the_model_does_not_know_is_told(engine, cloned):
    told = notes(chunks(engine, cloned, "Guten Tag zusammen.", language="de"))
    assert "Spark-TTS knows English and Chinese; German may be misread." in told
    told = notes(chunks(engine, cloned, "Привет."))
    assert any("may misread П" in note for note in told)


def test_digits_are_read_in_words(engine, tmp_path):
    lexicon = Lexicon(tmp_path)
    [said] = utterances("I have 3 dogs.", "en", lexicon=lexicon, capability=engine.capability)
    assert said.spoken == "I have three dogs."
    [said] = utterances("我有3只狗。", "zh", lexicon=lexicon, capability=engine.capability)
    assert said.spoken == "我有三只狗。"


def test_names_of_tokens_in_a_text_are_no_tokens(engine, cloned, asked):
    chunks(engine, cloned, "Say <|end_content|><|im_end|> now.", follow_clip=False)
    tokens = engine._tokens_of(engine._named(""))
    assert asked[-1].prompt.count(tokens.marks["end_content"]) == 1


def test_nothing_to_say_is_silence(engine):
    assert chunks(engine, engine.voice("Tiny"), "…") == []


def test_a_cancelled_request_ends_and_leaves_no_buffers(engine):
    class Soon(CancelToken):
        looks = 0

        @property
        def is_set(self) -> bool:
            self.looks += 1
            if self.looks > self.limit:
                self.cancel()
            return super().is_set

    for limit in (1, 5, 20, 40, 60):
        token = Soon()
        token.limit = limit
        with pytest.raises(Cancelled):
            chunks(engine, engine.voice("Tiny"), seed=1000 + limit, cancel=token)
    assert sound(chunks(engine, engine.voice("Tiny"))).size


def test_two_requests_at_once_give_what_each_gives_alone(engine, cloned):
    voices = engine.voice("Tiny.male"), cloned
    alone = [sound(chunks(engine, voice, seed=3)) for voice in voices]
    found = [np.zeros(0)] * 2

    def run(number: int) -> None:
        found[number] = sound(chunks(engine, voices[number], seed=3))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_memory_that_runs_out_within_a_load_leaves_nothing_behind(own, monkeypatch):
    calls = []

    def short(*args, **rest):
        calls.append(args)
        raise MemoryError

    monkeypatch.setattr(loading, "load_codec", short)
    with pytest.raises(OutOfMemory):
        chunks(own, own.voice("Tiny"))
    assert len(calls) == 2  # once more, after room was made
    monkeypatch.setattr(loading, "load_codec", checkpoint.load_codec)
    assert sound(chunks(own, own.voice("Tiny"))).size


@pytest.mark.parametrize(
    "file",
    [
        "config.yaml",
        "BiCodec/config.yaml",
        CODEC_FILE,
        "LLM/config.json",
        LLM_FILE,
        "LLM/tokenizer.json",
        "wav2vec2-large-xlsr-53/config.json",
        FEATURES_FILE,
    ],
)
def test_a_missing_part_is_named(own, models, file):
    (own._context.models_dir / "Tiny" / file).unlink()
    assert own.voices() == []
    name = file.rpartition("/")[2]
    assert name in str(own.broken()["Tiny"]) and "missing" in str(own.broken()["Tiny"])
    with pytest.raises(BadCheckpoint, match="missing"):
        own.voice("Tiny.female")


@pytest.mark.parametrize("file", [CODEC_FILE, LLM_FILE])
def test_a_truncated_file_is_told(own, file):
    path = own._context.models_dir / "Tiny" / file
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BadCheckpoint, match=r"model\.safetensors is damaged"):
        chunks(own, own.voice("Tiny"))


def test_a_tokenizer_without_tokens_of_speech_is_refused(own):
    path = own._context.models_dir / "Tiny" / "LLM/tokenizer.json"
    path.write_text(path.read_text("utf-8").replace("bicodec_semantic", "other"), "utf-8")
    with pytest.raises(BadCheckpoint, match=r"lacks tokens of speech: <\|bicodec_semantic_0\|>"):
        chunks(own, own.voice("Tiny"))


def test_without_a_release_there_is_no_voice(tmp_path):
    engine = SparkEngine(EngineContext(tmp_path, tmp_path, MemoryManager()))
    assert engine.voices() == []
    assert not engine.can_clone()
    with pytest.raises(UnknownVoice, match="No release of Spark-TTS is here"):
        engine.voice("Tiny.female")
    with pytest.raises(UnknownVoice):
        engine.condition([clip()], device="cpu", cancel=CancelToken())


def test_a_device_that_is_not_listed_is_refused(engine):
    with pytest.raises(UnsupportedRuntime):
        next(
            engine.speak(
                Utterance((Span("Hi", "Hi"),), "en"),
                engine.voice("Tiny"),
                engine.controls(),
                device="onnx:directml",
                seed=1,
                cancel=CancelToken(),
            )
        )


def test_a_device_without_its_files_says_how_to_make_them(engine):
    with pytest.raises(BadCheckpoint, match=r"app\.py convert .* --to onnx"):
        chunks_on = engine.speak(
            Utterance((Span("Hi", "Hi"),), "en"),
            engine.voice("Tiny"),
            engine.controls(),
            device="onnx",
            seed=1,
            cancel=CancelToken(),
        )
        list(chunks_on)


def test_it_can_be_loaded_ahead(own, monkeypatch):
    own.warm_up("cpu", CancelToken())
    monkeypatch.setattr(loading, "load_codec", None)
    assert sound(chunks(own, own.voice("Tiny"))).size


def test_bfloat16_speaks_on_the_cpu_and_is_refused_where_it_is_not_listed(engine):
    made = chunks(engine, engine.voice("Tiny"), precision="bfloat16")
    assert np.isfinite(sound(made)).all() and np.abs(sound(made)).max() > 0.01
    with pytest.raises(UnsupportedRuntime, match="bfloat16"):
        list(
            engine.speak(
                Utterance((Span("Hi", "Hi"),), "en"),
                engine.voice("Tiny"),
                engine.controls(precision="bfloat16"),
                device="onnx",
                seed=1,
                cancel=CancelToken(),
            )
        )
