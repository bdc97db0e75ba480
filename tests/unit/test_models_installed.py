"""What is found in a models directory, whoever put it there, and what may be deleted from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines import registry
from engines.errors import StorageError
from studio.models import InstalledState, ModelShelf, catalogue, record
from studio.models.errors import BadCatalogue, NotAllowedHere, UnknownModel
from studio.models.installed import Scanner
from studio.models.patterns import is_safe, matching, satisfying
from tests.espnet_release import CONFIG, write_release
from tests.models_help import checkpoint, lay_out, safetensors, settings

SPARK = {
    "config.yaml": b"sample_rate: 16000",
    "BiCodec/config.yaml": b"audio_tokenizer: {}",
    "BiCodec/model.safetensors": safetensors(400),
    "LLM/config.json": b"{}",
    "LLM/model.safetensors": safetensors(500),
    "LLM/tokenizer.json": b"{}",
    "LLM/tokenizer_config.json": b"{}",
    "LLM/added_tokens.json": b"{}",
    "LLM/special_tokens_map.json": b"{}",
    "LLM/vocab.json": b"{}",
    "LLM/merges.txt": b"a b",
    "wav2vec2-large-xlsr-53/config.json": b"{}",
    "wav2vec2-large-xlsr-53/preprocessor_config.json": b"{}",
    "wav2vec2-large-xlsr-53/pytorch_model.bin": checkpoint(600),
}
EXPERIMENT = "exp/tts_train_multi_spk_vits_raw_phn_tacotron_g2p_en_no_space"
VCTK = {
    "meta.yaml": b"files: {}",
    f"{EXPERIMENT}/config.yaml": b"config: x\ntts: vits\n",
    f"{EXPERIMENT}/train.total_count.ave_10best.pth": checkpoint(700),
    "dump/22k/raw/org/tr_no_dev/spk2sid": b"<unk> 0\n",
}
XTTS = {
    "config.json": b'{"model": "xtts", "languages": ["en"]}',
    "model.pth": checkpoint(800),
    "vocab.json": b"{}",
}
SHARED = {
    "chinese-hubert-base/config.json": b"{}",
    "chinese-hubert-base/preprocessor_config.json": b"{}",
    "chinese-hubert-base/pytorch_model.bin": checkpoint(10),
    "chinese-roberta-wwm-ext-large/config.json": b"{}",
    "chinese-roberta-wwm-ext-large/tokenizer.json": b"{}",
    "chinese-roberta-wwm-ext-large/pytorch_model.bin": checkpoint(10),
}
V1 = {
    "s1bert25hz-2kh-longer-epoch=68e-step=50232.ckpt": checkpoint(20),
    "s2G488k.pth": checkpoint(30),
}
TORTOISE = {
    **{
        f"{name}.pth": checkpoint(40)
        for name in (
            "autoregressive",
            "diffusion_decoder",
            "clvp2",
            "vocoder",
            "rlg_auto",
            "rlg_diffuser",
            "mel_norms",
        )
    },
    "tokenizer.json": b"{}",
}
LAYOUTS = {
    "spark-tts-0.5b": SPARK,
    "vctk_multi_spk_vits": VCTK,
    "xtts-v2": XTTS,
    "gpt-sovits-v1": V1 | SHARED,
    "tortoise-v2": TORTOISE,
}
COMPLETE, PARTIAL, DAMAGED, UNUSABLE = InstalledState


@pytest.fixture
def shelf(tmp_path) -> ModelShelf:
    return ModelShelf(settings(tmp_path))


def found(root: Path) -> dict[str, tuple[str, InstalledState]]:
    scanned = Scanner(root, catalogue.load()).scan()
    return {one.key: (one.model.id, one.state) for one in scanned}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("folder", ["My Voice (old)", "a/b/pretrained_models"])
def test_a_published_layout_is_recognised_whatever_its_name(tmp_path, name, folder) -> None:
    lay_out(tmp_path / folder, LAYOUTS[name])
    assert found(tmp_path) == {folder: (name, COMPLETE)}


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_missing_is_named(tmp_path, name) -> None:
    files = dict(LAYOUTS[name])
    gone = [path for path in files if path.endswith((".pth", ".safetensors", ".bin"))][-1]
    del files[gone]
    lay_out(tmp_path / "x", files)
    (one,) = Scanner(tmp_path, catalogue.load()).scan()
    assert (one.model.id, one.state) == (name, PARTIAL)
    assert len(one.faults) == 1 and "is missing" in one.faults[0]
    assert one.bytes == sum(len(content) for content in files.values())


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("BiCodec/model.safetensors", safetensors(400)[:-1], "is cut off: "),
        ("BiCodec/model.safetensors", b"<html>Not found</html>", "is no safetensors file"),
        ("BiCodec/model.safetensors", b"\xff" * 9, "is no safetensors file"),
        ("BiCodec/model.safetensors", b"", "is empty"),
        ("LLM/model.safetensors", b"\x02\0\0\0\0\0\0\0[]", "is no safetensors file"),
        ("LLM/model.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("wav2vec2-large-xlsr-53/pytorch_model.bin", checkpoint(600)[:-30], "is cut off"),
        ("wav2vec2-large-xlsr-53/pytorch_model.bin", b"<html>", "is no torch checkpoint"),
        ("LLM/tokenizer.json", b'{"a": ', "is no JSON"),
        ("LLM/tokenizer.json", b"[" * 200_000, "is no JSON"),
    ],
)
def test_damage_is_seen_and_named(tmp_path, path, content, said) -> None:
    lay_out(tmp_path / "x", {**SPARK, path: content})
    (one,) = Scanner(tmp_path, catalogue.load()).scan()
    assert one.state is DAMAGED
    assert one.faults[0].startswith(f"{path} ") and said in one.faults[0]


def test_a_verdict_stands_until_the_file_changes(tmp_path) -> None:
    scanner = Scanner(tmp_path, catalogue.load())
    lay_out(tmp_path / "x", {**SPARK, "LLM/tokenizer.json": b"{"})
    assert scanner.scan()[0].state is DAMAGED
    lay_out(tmp_path / "x", SPARK)
    assert scanner.scan()[0].state is COMPLETE


def test_a_checkpoint_may_have_been_converted(tmp_path) -> None:
    files = {path.replace(".pth", ".safetensors"): safetensors(9) for path in TORTOISE}
    lay_out(tmp_path / "x", {**files, "tokenizer.json": b"{}"})
    assert found(tmp_path) == {"x": ("tortoise-v2", COMPLETE)}


def test_one_folder_may_hold_several_versions(tmp_path) -> None:
    v3 = {"s2Gv3.pth": checkpoint(50), "s1v3.ckpt": checkpoint(20)}
    lay_out(tmp_path / "GPT_SoVITS", V1 | SHARED | v3)
    scanned = {one.model.id: one for one in Scanner(tmp_path, catalogue.load()).scan()}
    assert scanned["gpt-sovits-v1"].state is COMPLETE
    assert scanned["gpt-sovits-v3"].state is PARTIAL
    assert "bigvgan_generator.pt is missing" in " ".join(scanned["gpt-sovits-v3"].faults)
    assert scanned["gpt-sovits-v1"].bytes == sum(map(len, (V1 | SHARED).values()))


def test_a_model_of_ones_own_is_named_by_its_family(tmp_path) -> None:
    lay_out(
        tmp_path / "own",
        {
            "meta.yaml": b"a: 1",
            "exp/mine/config.yaml": b"a: 1\ntts: vits\n",
            "exp/mine/latest.pth": checkpoint(9),
        },
    )
    lay_out(tmp_path / "vits", {"config.json": b'{"model": "vits"}', "best.pth": checkpoint(9)})
    sizes = b'"audio": {"filter_length": 1280}, "model_args": {"gin_channels": 256}}'
    lay_out(
        tmp_path / "vc", {"config.json": b'{"model": "freevc", ' + sizes, "a.pth": checkpoint(9)}
    )
    lay_out(
        tmp_path / "converter",
        {
            "config.json": b'{"data": {"filter_length": 1024},\n"model": {"gin_channels": 256}}',
            "checkpoint.pth": checkpoint(9),
        },
    )
    assert found(tmp_path) == {
        "converter": ("openvoice-v2", COMPLETE),
        "vc": ("own-coqui", COMPLETE),
        "own": ("own-espnet", COMPLETE),
        "vits": ("own-coqui", COMPLETE),
    }


def test_other_folders_are_left_alone(tmp_path) -> None:
    lay_out(tmp_path / "notes", {"config.json": b'{"model": "gpt2"}', "x.pth": checkpoint(9)})
    lay_out(
        tmp_path / "asr", {"meta.yaml": b"", "exp/a/config.yaml": b"asr: x", "exp/a/b.pth": b"x"}
    )
    lay_out(tmp_path / ".hidden", XTTS)
    lay_out(tmp_path / "1/2/3/4", XTTS)
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert found(tmp_path) == {}
    assert found(tmp_path / "nowhere") == {}


def test_a_download_of_ours_is_measured_by_its_note(tmp_path) -> None:
    home = lay_out(tmp_path / "coqui/xtts-v2", XTTS)
    note = record.Record("coqui/xtts-v2", {"coqui/XTTS-v2": "a" * 40})
    note.files = {path: record.RecordedFile(len(x), "git:") for path, x in XTTS.items()}
    note.files["LICENSE.txt"] = record.RecordedFile(5, "git:")
    note.write(home)
    (one,) = Scanner(tmp_path, catalogue.load()).scan()
    assert (one.ours, one.state, one.faults) == (True, PARTIAL, ("LICENSE.txt is missing.",))
    lay_out(home, {"LICENSE.txt": b"12345", "model.pth": checkpoint(900)})
    (one,) = Scanner(tmp_path, catalogue.load()).scan()
    assert one.state is DAMAGED and "instead of" in one.faults[0]


@pytest.mark.parametrize(
    "spoilt",
    [b"", b"{", b"[]", b'{"model": 1, "files": {}}', b'{"model": "x", "files": {"../x": {}}}',
     b'{"model": "coqui/xtts-v2", "files": {"../x": {"bytes": 1, "digest": ""}}}', b"[" * 99999],
)  # fmt: skip
def test_a_spoilt_note_is_no_note(tmp_path, spoilt) -> None:
    home = lay_out(tmp_path / "coqui/xtts-v2", XTTS)
    (home / record.NAME).write_bytes(spoilt)
    (one,) = Scanner(tmp_path, catalogue.load()).scan()
    assert (one.ours, one.state) == (False, COMPLETE)


# removing


def test_a_folder_is_deleted_and_nothing_else(shelf) -> None:
    lay_out(shelf.root / "x", XTTS)
    lay_out(shelf.root / "coqui/xtts-v2", XTTS)
    lay_out(shelf.root / "notes", {"a.txt": b"mine"})
    assert shelf.remove("coqui/xtts-v2") == sum(map(len, XTTS.values()))
    assert sorted(path.name for path in shelf.root.iterdir()) == ["notes", "x"]
    assert shelf.room(shelf.installed()).used == sum(map(len, XTTS.values()))


@pytest.mark.parametrize("key", ["", ".", "..", "../out", "notes", "/etc", "x/..", "x/../../out"])
def test_only_what_was_recognised_in_the_models_directory_is_deleted(shelf, key) -> None:
    lay_out(shelf.root / "x", XTTS)
    lay_out(shelf.root / "notes", {"a.txt": b"mine"})
    lay_out(shelf.root.parent / "out", XTTS)
    with pytest.raises(UnknownModel):
        shelf.remove(key)
    assert (shelf.root / "x/model.pth").exists()
    assert (shelf.root.parent / "out/model.pth").exists()
    assert (shelf.root / "notes/a.txt").exists()


def test_of_a_link_only_the_link_goes(shelf, tmp_path) -> None:
    other = lay_out(tmp_path / "other disk", XTTS)
    shelf.root.mkdir()
    (shelf.root / "linked").symlink_to(other)
    assert shelf.remove("linked") == 0
    assert not (shelf.root / "linked").exists()
    assert (other / "model.pth").exists()


def test_below_a_link_nothing_is_deleted(shelf, tmp_path) -> None:
    other = lay_out(tmp_path / "other disk/xtts", XTTS).parent
    shelf.root.mkdir()
    (shelf.root / "linked").symlink_to(other)
    with pytest.raises(StorageError, match="does not lie in the models directory"):
        shelf.remove("linked/xtts")
    assert (other / "xtts/model.pth").exists()


def test_nobody_deletes_on_a_shared_machine(tmp_path) -> None:
    shelf = ModelShelf(settings(tmp_path, shared=True))
    lay_out(shelf.root / "x", XTTS)
    with pytest.raises(NotAllowedHere):
        shelf.remove("x")
    assert shelf.installed()


# the catalogue


def test_the_catalogue_keeps_its_schema_and_names_every_family() -> None:
    known = catalogue.load()
    families = {family.id: family for family in known.families}
    assert set(families) == {"espeak", "coqui", "gpt_sovits", "espnet_vits", "tortoise", "spark"}
    for family in families.values():
        assert family.speaks == (family.engine in registry.FAMILIES)
        assert family.models or family.id == "espeak"
    for model in known.models():
        assert model.downloadable or model.id.startswith("own-")
        names = [file.path for source in model.sources for file in source.files]
        assert len(names) == len(set(names)), model.id
        assert not any(name.endswith((".py", ".sh", ".zip")) for name in names)
    bound = {m.id for m in known.models() if m.licence.commercial == "forbidden"}
    assert bound == {"xtts-v2", "spark-tts-0.5b"}
    assert known.model("spark/spark-tts-0.5b") is known.model("spark-tts-0.5b")
    with pytest.raises(UnknownModel):
        known.model("own-coqui")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values["families"][1]["models"][0].pop("licence"), "licence"),
        (lambda values: values["families"][1].update(id="../x"), "../x"),
        (lambda values: values["families"][1].update(id="spark"), "twice"),
        (
            lambda values: values["families"][1]["models"][0]["sources"][0]["files"].append(
                {"path": "a/../../b"}
            ),
            "a/../../b",
        ),
    ],
)
def test_a_broken_catalogue_is_refused(tmp_path, change, said) -> None:
    values = json.loads(catalogue.FILE.read_text("utf-8"))
    change(values)
    file = tmp_path / "catalogue.json"
    file.write_text(json.dumps(values))
    with pytest.raises(BadCatalogue, match=r"catalogue\.json") as caught:
        catalogue.load(file)
    assert said in caught.value.given


def test_patterns() -> None:
    paths = ["a.pth", "x/a.pth", "x/y/a.pth", "ab", "a.safetensors"]
    assert matching("*.pth", paths) == ["a.pth"]
    assert matching("**/a.pth", paths) == ["a.pth", "x/a.pth", "x/y/a.pth"]
    assert matching("x/*/a.pth", paths) == ["x/y/a.pth"]
    assert matching("a.", paths) == []
    assert satisfying("b.pth", ["b.safetensors"]) == ["b.safetensors"]
    assert satisfying("b.json", ["b.safetensors"]) == []
    assert is_safe("a/b c/d=1.ckpt")
    for path in ("", "/a", "a//b", "a/", "../a", "a/./b", "a\\b", "C:a", "a\nb", "a" * 500):
        assert not is_safe(path), path


def test_what_an_engine_cannot_use_says_why(shelf) -> None:
    fine = write_release(shelf.root / "fine")
    other = write_release(shelf.root / "odd")
    text = (other / CONFIG).read_text()
    (other / CONFIG).write_text(text.replace("tts: vits", "tts: tacotron2"))
    strange = write_release(shelf.root / "korean", config={"g2p": "g2pk"})
    found = {one.key: one for one in shelf.installed()}
    assert found[fine.name].state is COMPLETE and not found[fine.name].faults
    assert found[other.name].state is UNUSABLE
    [fault] = found[other.name].faults
    assert "'tacotron2'" in fault and CONFIG in fault and str(shelf.root) not in fault
    assert "'g2pk'" in found[strange.name].faults[0]
    (other / CONFIG).write_text(text)
    assert {one.key: one for one in shelf.installed()}["odd"].state is COMPLETE
