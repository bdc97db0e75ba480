"""A small catalogue, its repositories on the fake Hub, and files as they are published."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

from studio.models.catalogue import Catalogue, Family, Licence, Mark, Model, Source, WantedFile
from studio.settings import Settings

FREE = Licence("CC BY 4.0", "allowed", "https://example.org/by")
BOUND = Licence("CPML", "forbidden", "https://example.org/cpml", "Non-commercial use only.")


def safetensors(size: int) -> bytes:
    """A whole file with one tensor of that many bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(i % 251 for i in range(size))


def checkpoint(size: int) -> bytes:
    """A zip as torch.save writes it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(i % 251 for i in range(size)))
    return content.getvalue()


FILES = {
    "config.json": b'{"kind": "toy"}',
    "model.safetensors": safetensors(300_000),
    "deep/down/voices.pth": checkpoint(50_000),
    "README.md": b"A toy.",
    "train.py": b"import os",
    "samples/huge.wav": bytes(5000),
}
WANTED = ("config.json", "model.safetensors", "deep/down/voices.pth", "README.md")


def model(
    name: str = "toy-v1",
    licence: Licence = FREE,
    repo: str = "toys/one",
    files: tuple[WantedFile, ...] = (),
) -> Model:
    files = files or (
        WantedFile("config.json"),
        WantedFile("model.safetensors", about=300_000),
        WantedFile("deep/**/*.pth"),
        WantedFile("README.md", optional=True),
        WantedFile("NOTICE", optional=True),
    )
    needs = tuple(file.place for file in files if not file.optional)
    marks = (Mark("config.json", r'"kind":\s*"toy"'),)
    source = Source(repo, "main", files)
    return Model(name, "toys", "Toy", "A toy.", ("en",), licence, (source,), needs, marks)


def catalogue(*models: Model, engine: str = "tone") -> Catalogue:
    family = Family("toys", "Toys", engine, "Toys.", "https://example.org", "A folder.", models)
    return Catalogue((family,))


def settings(folder: Path, **values) -> Settings:
    given = {"data_dir": folder, "presets_dir": folder / "none", "shared": False, "offline": False}
    return Settings(**{**given, **values})


def lay_out(folder: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, without the notes of ours."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
