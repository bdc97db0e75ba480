"""A folder of XTTS: its files read safely and strictly, its text front end, its mistakes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.api import CancelToken, Reference
from engines.coqui.xtts import checkpoint, conditioning
from engines.coqui.xtts.config import WEIGHTS, read_config
from engines.coqui.xtts.text import SIGNS, Tokenizer, commas, speaks, spell
from engines.errors import BadCheckpoint, BadReference, BadText, MissingDependency
from engines.runtime import torchaudio_standin
from tests.xtts_release import write_release

ALL = (*checkpoint.LISTENING, *checkpoint.SPEAKING)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write_release(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tiny"))


def parts_of(folder: Path, parts=ALL):
    size = Tokenizer(folder).size
    return checkpoint.load_parts(folder, read_config(folder), parts, size)


def without(key: str):
    def change(model):
        del model[key]

    return change


def rewrite(folder: Path, change) -> None:
    held = torch.load(folder / WEIGHTS, weights_only=True)
    changed = change(held["model"])
    held["model"] = held["model"] if changed is None else changed
    torch.save(held, folder / WEIGHTS)


def same(ours, others) -> bool:
    mine, theirs = ours.state_dict(), others.state_dict()
    return mine.keys() == theirs.keys() and all(
        torch.allclose(mine[key].float(), theirs[key].float(), atol=1e-3) for key in mine
    )


def test_every_layout_of_the_weights_loads_the_same(folder):
    """What a trainer, an older library and a smaller file write."""
    expected = parts_of(folder)

    def older(model):
        model["gpt.gpt.wte.weight"] = model["gpt.mel_embedding.weight"]
        model["gpt.gpt_inference.lm_head.1.weight"] = model["gpt.mel_head.weight"]
        model["gpt.gpt.h.0.attn.bias"] = torch.ones(1, 1, 4, 4, dtype=torch.bool)
        model["gpt.gpt.h.1.attn.masked_bias"] = torch.tensor(-1e4)
        return {f"xtts.{key}": each for key, each in model.items()} | {
            "dvae.codebook": torch.ones(3)
        }

    rewrite(folder, older)
    found = parts_of(folder)
    assert all(same(expected[part], found[part]) for part in ALL)

    def smaller(model):
        return {k: each.half() if each.is_floating_point() else each for k, each in model.items()}

    rewrite(folder, smaller)
    halved = parts_of(folder)
    assert all(same(expected[part], halved[part]) for part in ALL)
    assert next(halved["gpt"].parameters()).dtype == torch.float32
    checkpoint.convert_release(folder)
    (folder / WEIGHTS).unlink()
    assert all(same(halved[part], parts_of(folder)[part]) for part in ALL)


def test_a_file_with_the_librarys_own_settings_runs_none_of_its_code(folder, monkeypatch):
    """Published files hold the settings as objects of classes that have moved since."""
    ran = []

    class XttsArgs:
        def __setstate__(self, state):
            ran.append(state)
            self.__dict__.update(state)

    module = types.ModuleType("TTS.tts.models.xtts")
    module.XttsArgs = XttsArgs
    XttsArgs.__module__, XttsArgs.__qualname__ = module.__name__, "XttsArgs"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    held = torch.load(folder / WEIGHTS, weights_only=True)
    arguments = XttsArgs()
    arguments.gpt_layers = 30
    torch.save({**held, "config": arguments}, folder / WEIGHTS)
    parts_of(folder)
    assert ran == []


class Runs:
    def __reduce__(self):
        return print, ("code of the file ran",)


def test_a_file_that_wants_to_run_code_is_refused(folder, capsys):
    torch.save({"model": {"gpt.mel_head.weight": Runs()}}, folder / WEIGHTS)
    with pytest.raises(BadCheckpoint, match="print"):
        parts_of(folder)
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("gpt.mel_head.weight"), "1 missing: gpt.mel_head.weight"),
        (lambda model: model.update(other=torch.ones(1)), "1 unexpected: other"),
        (
            lambda model: model.update({"gpt.final_norm.bias": torch.ones(7)}),
            r"gpt.final_norm.bias \(expected \[64\], found \[7\]\)",
        ),
    ],
)
def test_every_difference_is_told(folder, change, told):
    rewrite(folder, change)
    with pytest.raises(BadCheckpoint, match=told):
        parts_of(folder)


def test_a_cut_file_and_a_missing_one(folder):
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadCheckpoint, match="damaged"):
        parts_of(folder)
    path.unlink()
    with pytest.raises(BadCheckpoint, match="missing"):
        parts_of(folder)


def test_a_clip_needs_only_what_listens(folder):
    parts = parts_of(folder, checkpoint.LISTENING)
    assert set(parts) == set(checkpoint.LISTENING)
    rewrite(folder, without("mel_stats"))
    with pytest.raises(BadCheckpoint, match="mel_stats"):
        parts_of(folder, checkpoint.LISTENING)
    parts_of(folder, checkpoint.SPEAKING)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": "vits"}, "'vits'"),
        ({"model_args": {"gpt_use_perceiver_resampler": False}}, "XTTS v1"),
        ({"model_args": {"gpt_layers": "many"}}, "gpt_layers"),
    ],
)
def test_another_model_is_told_from_xtts(folder, change, told):
    path = folder / "config.json"
    data = json.loads(path.read_text())
    data["model_args"].update(change.get("model_args", {}))
    path.write_text(json.dumps({**data, "model": change.get("model", "xtts")}))
    with pytest.raises(BadCheckpoint, match=told):
        read_config(folder)


def test_speakers_are_the_same_in_either_file(folder):
    expected = checkpoint.load_speakers(folder)
    assert list(expected) == ["Ada Tester", "Bo Tester"]
    checkpoint.convert_speakers(folder)
    (folder / "speakers_xtts.pth").unlink()
    found = checkpoint.load_speakers(folder)
    assert set(found) == set(expected)
    for name, speaker in expected.items():
        np.testing.assert_array_equal(found[name].latents, speaker.latents)
        np.testing.assert_array_equal(found[name].embedding, speaker.embedding)
    torch.save({"Ada": 1}, folder / "speakers_xtts.pth")
    (folder / "speakers_xtts.safetensors").unlink()
    with pytest.raises(BadCheckpoint, match="speakers"):
        checkpoint.load_speakers(folder)


SENTENCES = {
    "en": 'She said "yes" & left at noon @ home, 5% off.',
    "de": "Straße & Öl, das ist groß.",
    "es": "¿Qué tal, señor? 5$",
    "fr": "L’œuvre n°3 coûte cher & c’est ça.",
    "it": "Perché no? È così.",
    "pt": "Não há ninguém aqui.",
    "pl": "Zażółć gęślą jaźń & co.",
    "tr": "Şu çocuk güzel %",
    "ru": "Я буду @ дома.",
    "nl": "Ik zie je @ het feest.",
    "cs": "Těším se na tebe @ party.",
    "ar": "كيف حالك اليوم؟",
    "hu": "Az akkumulátorom kész.",
    "ko": "안녕하세요 친구.",
    "hi": "मेरे पास बैटरी है।",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_text_becomes_the_librarys_ids(made, language):
    """Without numbers of which a language has several readings: they are in words by then."""
    torchaudio_standin.prepare()
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    library = VoiceBpeTokenizer(str(made / "vocab.json"))
    text = SENTENCES[language].replace("5", "")
    expected = library.encode(text.strip().lower(), language)
    start, stop = (library.tokenizer.token_to_id(mark) for mark in ("[START]", "[STOP]"))
    assert Tokenizer(made).encode(text, language, most=400).ids == (start, *expected, stop)


def test_marks_of_chinese_are_the_librarys_commas():
    torchaudio_standin.prepare()
    from TTS.tts.layers.xtts.zh_num2words import CN_PUNCS, TextNorm

    text = f"你好，天气好。{CN_PUNCS} a-b_c~d$e"
    for rare in "〾〿":  # no marks, though the library counts them
        text = text.replace(rare, "")
    expected = TextNorm()(text)
    assert expected.count(",") > 70
    assert commas(text) == expected


def test_signs_are_called_by_name_in_every_language():
    for language in SENTENCES:
        assert not set(spell(SIGNS, language)) & set(SIGNS)


def test_languages_with_packages_of_their_own(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for language, package in (("zh-CN", "pypinyin"), ("ja", "cutlet")):
        with pytest.raises(MissingDependency, match=package):
            Tokenizer(made).encode("你好", language, most=60)


def test_what_the_vocabulary_lacks_is_told(made):
    encoded = Tokenizer(made).encode("a ∆ b", "en", most=60)
    assert encoded.unknown == ("∆",)
    assert Tokenizer(made).encode("a b", "en", most=60).unknown == ()


def test_a_sentence_that_is_too_long(made):
    with pytest.raises(BadText, match="fewer than 60"):
        Tokenizer(made).encode("a b c d e f g " * 9, "en", most=60)


def test_languages_of_a_release():
    assert speaks(("en", "zh-cn"), "zh-TW") and speaks(("en",), "en-GB")
    assert not speaks(("en",), "de") and not speaks(("sv",), "sv")


def test_a_damaged_vocabulary(folder):
    (folder / "vocab.json").write_text("{}")
    with pytest.raises(BadCheckpoint, match="vocabulary"):
        Tokenizer(folder)
    (folder / "vocab.json").unlink()
    with pytest.raises(BadCheckpoint, match="vocabulary"):
        Tokenizer(folder)


@pytest.mark.parametrize(
    ("clips", "told"),
    [
        ([np.ones(1000, np.float32)], "0.05 s"),
        ([np.ones(30_000, np.float32), np.ones(10, np.float32)], "0.00 s"),
        ([np.zeros(44_100, np.float32)], "silent"),
    ],
)
def test_clips_that_do_not_do(made, clips, told):
    references = [Reference(each, 22_050) for each in clips]
    with pytest.raises(BadReference, match=told):
        conditioning.listen({}, references, read_config(made), CancelToken())


def test_text_needs_no_torch(made):
    code = (
        "import sys; from pathlib import Path; from engines.coqui.xtts.text import Tokenizer;"
        "from engines.coqui.xtts import checkpoint, conditioning, loading, sound, synthesis;"
        f"print(Tokenizer(Path({str(made)!r})).encode('no', 'en', most=9).ids);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")
