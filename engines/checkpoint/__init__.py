"""Weights from files: opened safely, renamed by a table, folded, loaded strictly."""

from engines.checkpoint.documents import read_json, read_yaml, validated
from engines.checkpoint.files import (
    SAFE_TORCH,
    SUFFIX,
    bad_file,
    convert,
    inside,
    opens_pth,
    read,
    save,
    stays,
    unpickle,
)
from engines.checkpoint.keys import KeyMap
from engines.checkpoint.weights import (
    Report,
    Wrong,
    described,
    examine,
    fold,
    load,
    load_trainable,
    on_meta,
    published,
)

__all__ = [
    "SAFE_TORCH",
    "SUFFIX",
    "KeyMap",
    "Report",
    "Wrong",
    "bad_file",
    "convert",
    "described",
    "examine",
    "fold",
    "inside",
    "load",
    "load_trainable",
    "on_meta",
    "opens_pth",
    "published",
    "read",
    "read_json",
    "read_yaml",
    "save",
    "stays",
    "unpickle",
    "validated",
]
