"""Weights from files: what is opened, what is refused, how names and weight norm are brought."""

from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import parametrizations

from engines import checkpoint
from engines.checkpoint import KeyMap, Report, files, fold, inside, load, load_trainable, read
from engines.errors import BadCheckpoint

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "steps": torch.tensor(7)}


class Boom:
    """Runs code where it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.best.pth"


def same(found, expected) -> bool:
    return set(found) == set(expected) and all(torch.equal(found[k], expected[k]) for k in found)


def test_a_torch_file_is_read(file):
    torch.save(STATE, file)
    assert same(read(file), STATE)


def test_an_old_torch_file_is_read(file):
    torch.save(STATE, file, _use_new_zipfile_serialization=False)
    assert same(read(file), STATE)


def test_deepspeed_module_is_unwrapped(file):
    torch.save({"module": STATE}, file)
    assert same(read(file), STATE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(file, dtype):
    torch.save({**STATE, "a.weight": STATE["a.weight"].to(dtype)}, file)
    found = read(file)
    assert same(found, STATE) and found["a.weight"].dtype == torch.float32
    assert found["steps"].dtype == torch.int64


def test_code_is_not_run(file, tmp_path):
    ran = tmp_path / "ran"
    torch.save({**STATE, "x": Boom(ran)}, file)
    with pytest.raises(BadCheckpoint, match=r"model.best.pth wants to run .*mkdir"):
        read(file)
    assert not ran.exists()


def test_code_is_not_run_by_an_old_torch_that_is_trusted(file, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SAFE_TORCH", (99, 0))
    ran = tmp_path / "ran"
    torch.save({**STATE, "x": Boom(ran)}, file)
    with pytest.raises(BadCheckpoint, match="wants to run"):
        read(file, trust=True)
    assert not ran.exists()


def test_a_bare_pickle_is_not_run(file, tmp_path):
    file.write_bytes(pickle.dumps(Boom(tmp_path / "ran")))
    with pytest.raises(BadCheckpoint, match=r"model.best.pth"):
        read(file)
    assert not (tmp_path / "ran").exists()


def test_a_type_is_allowed_only_where_it_is_named(file):
    torch.save({**STATE, "a.weight": STATE["a.weight"], "x": np.dtype("float32")}, file)
    with pytest.raises(BadCheckpoint, match="wants to run numpy"):
        read(file)


@pytest.mark.parametrize("keep", [0, 10, 400, -30])
def test_a_truncated_file_is_refused(file, keep):
    torch.save(STATE, file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BadCheckpoint, match=r"model.best.pth is damaged or no torch file"):
        read(file)


@pytest.mark.parametrize(
    "data", [b"<html>Not found</html>", b"\0" * 100, b"version https://git-lfs"]
)
def test_something_else_is_refused(file, data):
    file.write_bytes(data)
    with pytest.raises(BadCheckpoint, match=r"model.best.pth is damaged or no torch file"):
        read(file)


def test_another_zip_is_refused(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(BadCheckpoint, match="is damaged or no torch file"):
        read(file)


@pytest.mark.parametrize("what", [torch.ones(3), [1], {}, {"a": 1}, {"a": {"b": torch.ones(1)}}])
def test_only_names_and_tensors_are_weights(file, what):
    torch.save(what, file)
    with pytest.raises(BadCheckpoint, match=r"model.best.pth holds"):
        read(file)


def test_a_missing_file_is_named(file):
    with pytest.raises(BadCheckpoint, match=r"model.best.pth is missing"):
        read(file)


def test_an_old_torch_refuses_and_says_what_to_do(file, monkeypatch):
    torch.save(STATE, file)
    monkeypatch.setattr(files, "SAFE_TORCH", (99, 0))
    with pytest.raises(BadCheckpoint, match=r"model.best.pth .*`python app.py convert DIR`"):
        read(file)
    assert same(read(file, trust=True), STATE)


def test_an_old_torch_reads_safetensors(file, monkeypatch):
    torch.save({**STATE, "b": STATE["a.weight"]}, file)  # two names of one tensor
    checkpoint.convert(file, file.with_suffix(".safetensors"))
    monkeypatch.setattr(files, "SAFE_TORCH", (99, 0))
    assert same(read(file), {**STATE, "b": STATE["a.weight"]})
    assert sorted(each.name for each in file.parent.iterdir()) == [
        "model.best.pth",
        "model.best.safetensors",
    ]


def test_a_conversion_that_fails_leaves_nothing(file):
    file.write_bytes(b"no weights")
    with pytest.raises(BadCheckpoint):
        checkpoint.convert(file, file.with_suffix(".safetensors"))
    assert [each.name for each in file.parent.iterdir()] == ["model.best.pth"]


def test_a_damaged_safetensors_file_is_refused(file):
    target = file.with_suffix(".safetensors")
    torch.save(STATE, file)
    checkpoint.convert(file, target)
    assert same(load_file(target), STATE)
    target.write_bytes(target.read_bytes()[:-8])
    with pytest.raises(BadCheckpoint, match=r"model.best.safetensors is damaged"):
        read(file)


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/passwd", "", "link/x", "..\\x", "a\0b", "C:/x/../../../y"]
)
def test_a_release_does_not_reach_out_of_its_folder(tmp_path, path):
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(BadCheckpoint, match="leads out of"):
        inside(folder, path, folder / "meta.yaml")


def test_links_of_a_hugging_face_cache_are_followed(tmp_path):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir()
    (blobs / "abc").write_text("x")
    (snapshot / "config.yaml").symlink_to("../../blobs/abc")
    found = inside(snapshot, "config.yaml", snapshot / "meta.yaml")
    assert found.read_text() == "x"


KEYS = KeyMap(
    [("up.{}.1", "ups.{}"), ("block.{}.convs.{}.0", "blocks.{}.convs.{}"), ("out", "post")],
    prefix="net.",
    drop=("optimizer",),
)


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("net.up.3.1.weight_g", "ups.3.weight_g"),
        ("net.block.10.convs.2.0.bias", "blocks.10.convs.2.bias"),
        ("net.out.bias", "post.bias"),
        ("net.output.bias", "output.bias"),
        ("net.up.3.11.bias", "up.3.11.bias"),
    ],
)
def test_names_are_mapped_there_and_back(there, here):
    assert KEYS.own(there) == here
    assert KEYS.published(here) == there


def test_what_is_dropped_is_said():
    assert KEYS.own("net.optimizer.lr") is None
    assert KEYS.own("net.optimizers") == "optimizers"
    numbered = KeyMap((), drop=("layer{}.bn",))
    assert numbered.own("layer12.bn.mean") is None
    assert numbered.own("layers.bn.mean") == "layers.bn.mean"


def weight_normed(conv: nn.Module) -> dict[str, torch.Tensor]:
    parametrizations.weight_norm(conv, dim=0)
    with torch.no_grad():
        conv.parametrizations.weight.original0.uniform_(0.5, 2)
    return conv.state_dict()


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.ConvTranspose1d, nn.Conv2d])
@pytest.mark.parametrize("layout", ["g and v", "parametrizations"])
def test_weight_norm_is_folded_or_kept(kind, layout):
    conv = kind(3, 4, 5)
    state = {f"net.out.{key}": each for key, each in weight_normed(conv).items()}
    if layout == "g and v":
        for i, short in enumerate(("weight_g", "weight_v")):
            state[f"net.out.{short}"] = state.pop(f"net.out.parametrizations.weight.original{i}")
    plain = nn.ModuleDict({"post": kind(3, 4, 5)})
    load(plain, state, KEYS, "file")
    torch.testing.assert_close(plain["post"].weight, conv.weight)

    trained = nn.ModuleDict({"post": kind(3, 4, 5)})
    load_trainable(trained, state, KEYS, "file")
    torch.testing.assert_close(trained["post"].weight, conv.weight)
    names = checkpoint.published(trained, KEYS)
    assert set(names) == {"net.out.bias", "net.out.weight_g", "net.out.weight_v"}
    trained["post"].weight.square().sum().backward()
    parameters = dict(trained.named_parameters())
    assert parameters[names["net.out.weight_g"]].grad.abs().sum() > 0


def test_weight_norm_along_the_last_axis_is_folded():
    conv = parametrizations.weight_norm(nn.Conv1d(4, 6, 5, groups=2), dim=2)
    halves = {
        f"a.weight_{short}": conv.state_dict()[f"parametrizations.weight.original{i}"] * (2 - i)
        for i, short in enumerate("gv")
    }
    torch.testing.assert_close(fold(halves, "file")["a.weight"], 2 * conv.weight)


def test_half_of_a_weight_norm_is_not_enough():
    with pytest.raises(BadCheckpoint, match=r"the other half of a.weight_v"):
        fold({"a.weight_v": torch.ones(2, 3)}, "file")


def test_halves_have_to_fit():
    halves = {"a.weight_g": torch.ones(3, 1), "a.weight_v": torch.ones(2, 3)}
    with pytest.raises(BadCheckpoint, match=r"a.weight_g \(expected \[2, 1\], found \[3, 1\]\)"):
        fold(halves, "file")
    halves = {"a.weight_g": torch.ones(2, 1), "a.weight_v": torch.ones(2, 3)}
    with pytest.raises(BadCheckpoint, match=r"1 unexpected: a.weight"):
        fold({**halves, "a.weight": torch.ones(2, 3)}, "file")


def test_every_difference_is_reported():
    module = nn.ModuleDict({"post": nn.Linear(3, 2), "other": nn.Linear(1, 1)})
    state = {
        "net.out.weight": torch.ones(3, 2),
        "net.out.bias": torch.ones(2, dtype=torch.int64),
        "net.other.weight": torch.ones(1, 1),
        "net.more": torch.ones(1),
        "alien.weight": torch.ones(1),
        "net.optimizer.lr": torch.ones(1),
    }
    with pytest.raises(BadCheckpoint) as caught:
        load(module, state, KEYS, "dir/model.pth")
    told = str(caught.value)
    assert "dir/model.pth: 1 missing: net.other.bias" in told
    assert "2 unexpected: net.more, alien.weight" in told
    assert "net.out.weight (expected [2, 3], found [3, 2])" in told
    assert "net.out.bias (expected [2], found [2] int64)" in told


def test_a_long_report_is_cut():
    report = Report("f", missing=tuple(f"key{i}" for i in range(30)))
    assert "30 missing" in str(report) and "and 22 more" in str(report)


def test_modules_without_memory_are_filled():
    with checkpoint.on_meta():
        module = nn.ModuleDict({"post": nn.Linear(3, 2), "table": nn.Embedding(4, 2)})
    state = {"net.out.weight": torch.ones(2, 3), "net.out.bias": torch.ones(2)}
    load(module, {**state, "net.table.weight": torch.ones(4, 2)}, KEYS, "file")
    assert module["post"](torch.ones(1, 3)).tolist() == [[4.0, 4.0]]
    assert all(each.requires_grad for each in module.parameters())
