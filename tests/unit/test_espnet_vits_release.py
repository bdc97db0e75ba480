"""What lies in a release beside the weights: tables of names, Kaldi archives of x-vectors."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from engines.errors import BadCheckpoint
from engines.espnet_vits.release import (
    language_ids,
    read_ark,
    read_scp,
    read_vector,
    speaker_ids,
    xvectors,
)

VECTORS = {
    "p225": np.array([1.5, -2.0, 0.25], np.float32),
    "p226_long": np.array([0.0, 3.0, -1.0], np.float32),
}


def binary(kind: bytes = b"FV ", dtype: str = "<f4") -> tuple[bytes, dict[str, int]]:
    data, offsets = b"", {}
    for key, vector in VECTORS.items():
        data += key.encode() + b" "
        offsets[key] = len(data)
        data += (
            b"\0B" + kind + b"\4" + struct.pack("<i", len(vector)) + vector.astype(dtype).tobytes()
        )
    return data, offsets


@pytest.fixture
def dump(tmp_path):
    folder = tmp_path / "release" / "dump" / "22k" / "xvector" / "train"
    folder.mkdir(parents=True)
    return folder


def root(dump):
    return dump.parents[3]


@pytest.mark.parametrize(("kind", "dtype"), [(b"FV ", "<f4"), (b"DV ", "<f8")])
def test_binary_vectors(dump, kind, dtype):
    (dump / "spk_xvector.ark").write_bytes(binary(kind, dtype)[0])
    found = xvectors(root(dump))
    assert list(found) == list(VECTORS)
    for key, vector in VECTORS.items():
        np.testing.assert_array_equal(found[key], vector)
        assert found[key].dtype == np.float32


def test_text_vectors(dump):
    (dump / "spk_xvector.ark").write_bytes(b"p225  [ 1.5 -2 0.25 ]\np226_long [ 0 3 -1 ]\n")
    np.testing.assert_array_equal(xvectors(root(dump))["p226_long"], VECTORS["p226_long"])


def test_archives_of_several_data_sets_are_one(dump):
    (dump / "spk_xvector.ark").write_bytes(b"a [ 1 2 ]\n")
    other = dump.parent / "dev"
    other.mkdir()
    (other / "spk_xvector.ark").write_bytes(b"b [ 3 4 ]\n")
    assert set(xvectors(root(dump))) == {"a", "b"}


def test_an_index_finds_its_vectors(dump):
    data, offsets = binary()
    (dump / "spk_xvector.ark").write_bytes(data)
    index = dump / "spk_xvector.scp"
    lines = [f"{k} dump/22k/xvector/train/spk_xvector.ark:{n}\n" for k, n in offsets.items()]
    index.write_text("".join(lines))
    for key, (file, offset) in read_scp(index, root(dump)).items():
        np.testing.assert_array_equal(read_vector(file, offset, key), VECTORS[key])
    with pytest.raises(BadCheckpoint, match=r"no vector of 'x' at byte 3"):
        read_vector(dump / "spk_xvector.ark", 3, "x")


@pytest.mark.parametrize("line", ["p225", "p225 a.ark", "p225 a.ark:x", "p225 /etc/passwd:0"])
def test_a_damaged_index(dump, line):
    (dump / "spk_xvector.scp").write_text(line)
    with pytest.raises(BadCheckpoint, match=r"spk_xvector.scp .*line 1"):
        read_scp(dump / "spk_xvector.scp", root(dump))


def test_an_index_without_its_archive(dump):
    (dump / "spk_xvector.scp").write_text("a spk_xvector.ark:2\n")
    with pytest.raises(BadCheckpoint, match=r"its archive spk_xvector.ark is missing"):
        xvectors(root(dump))


@pytest.mark.parametrize("size", range(3, len(binary()[0]) - 1, 4))
def test_a_truncated_archive(dump, size):
    data, offsets = binary()
    (dump / "spk_xvector.ark").write_bytes(data[:size])
    whole = offsets["p226_long"] - len("p226_long ")
    if size == whole:
        assert len(xvectors(root(dump))) == 1
        return
    with pytest.raises(BadCheckpoint, match=r"spk_xvector.ark"):
        xvectors(root(dump))


@pytest.mark.parametrize(
    "data",
    [
        b"a \0BFM \4\1\0\0\0\4\1\0\0\0\0\0\0\0",
        b"a \0BFV \4\xff\xff\xff\xff",
        b"a \0BFV \4\xff\xff\xff\x7f",
        b"a \0BFV \4\1\0\0\0\0\0\xc0\x7f",
        b"a [ 1 x ]\n",
        b"a [ 1 nan ]\n",
        b"x" * 10_000,
    ],
)
def test_an_archive_of_something_else(dump, data):
    path = dump / "spk_xvector.ark"
    path.write_bytes(data)
    with pytest.raises(BadCheckpoint, match=r"spk_xvector.ark"):
        list(read_ark(path))


def test_names_and_numbers(dump):
    (dump / "spk2sid").write_text("<unk> 0\np225 1\nthe narrator 2\n")
    (dump / "lang2lid").write_text("<unk> 0\nen_US 1\n")
    assert speaker_ids(root(dump)) == {"p225": 1, "the narrator": 2}
    assert language_ids(root(dump)) == {"en_US": 1}


def test_a_release_without_tables(tmp_path):
    assert speaker_ids(tmp_path) == {} and xvectors(tmp_path) == {}


@pytest.mark.parametrize("text", ["p225", "p225 one", "p225 -1", "a 1\na 2", "\udcff 1"])
def test_a_damaged_table(dump, text):
    (dump / "spk2sid").write_text(text, errors="surrogateescape")
    with pytest.raises(BadCheckpoint, match="spk2sid"):
        speaker_ids(root(dump))


def test_a_link_out_of_the_release_is_not_followed(dump, tmp_path):
    (tmp_path / "spk2sid").write_text("secret 1\n")
    (dump / "spk2sid").symlink_to(tmp_path / "spk2sid")
    assert speaker_ids(root(dump)) == {}
