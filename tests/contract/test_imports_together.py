"""Everything that was chosen works in one process: all of it imports there, as pinned."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.contract.test_lock import ROOT, applies, default_environment, entries, pins

MODULES = {  # where the two names differ
    "audioop-lts": "audioop",
    "coqui-tts": "TTS",
    "coqui-tts-trainer": "trainer",
    "Resemblyzer": "resemblyzer",
    "text-unidecode": "text_unidecode",
    "pyyaml": "yaml",
    "webrtcvad-wheels": "webrtcvad",
}
UNLOADED = {
    "torchcodec",  # wants a system's ffmpeg when it loads; coqui-tts only looks for it
    "g2p_en",  # downloads data when it loads; only the weights in its wheel are read
}

IMPORT_ALL = """
import importlib, json, sys
from engines.runtime import torchaudio_standin
torchaudio_standin.prepare()
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
import torch, torchaudio
tone = torch.sin(torch.arange(4410) * 2 * torch.pi * 441 / 44100)
low = torchaudio.functional.resample(tone, 44100, 22050)
from TTS.tts.models.xtts import Xtts
print(json.dumps({"samples": low.shape[0], "xtts": issubclass(Xtts, torch.nn.Module)}))
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )


@pytest.mark.timeout(320)
def test_all_chosen_packages_import_in_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    here = {**default_environment()}
    chosen = [entry.name for entry in entries("requirements.in") if applies(entry.marker, here)]
    modules = [MODULES.get(name, name.replace("-", "_")) for name in chosen if name not in UNLOADED]
    done = python(IMPORT_ALL, json.dumps(modules))
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"samples": 2205, "xtts": True}
    versions = {name: version(name) for name in chosen}
    with capsys.disabled():
        print("\nimported together:", ", ".join(f"{n} {v}" for n, v in versions.items()))
    pinned = pins("requirements.txt", here)
    wrong = {n: v for n, v in versions.items() if Version(v).public != pinned[canonicalize_name(n)]}
    assert not wrong


LOADER_THAT = """
def _load_lib(library): {body}
def _check_cuda_version(): {check}
def _init_dll_path(): pass
"""
PREPARE = """
import sys
sys.path.insert(0, sys.argv[1])
from engines.runtime import torchaudio_standin
torchaudio_standin.prepare()
torchaudio_standin.prepare()
import torchaudio
print(torchaudio.extension, "torch" in sys.modules)
"""


def fake_torchaudio(folder: Path, body: str, check: str = "pass") -> None:
    extension = folder / "torchaudio" / "_extension"
    extension.mkdir(parents=True)
    (extension.parent / "__init__.py").write_text("from ._extension import extension\n")
    (extension / "__init__.py").write_text(
        "from .utils import _load_lib, _check_cuda_version, _init_dll_path\n"
        "_init_dll_path()\n"
        "extension = _load_lib('_torchaudio')\n"
        "if extension: _check_cuda_version()\n"
    )
    (extension / "utils.py").write_text(LOADER_THAT.format(body=body, check=check))


@pytest.mark.parametrize(
    ("body", "check", "extension"),
    [
        ("return True", "pass", "True"),  # fits: left as it is
        ("return False", "pass", "False"),  # built without an extension: left as it is
        ("raise OSError('libcudart.so.13: cannot open')", "pass", "False"),
        ("return True", "raise RuntimeError('different CUDA versions')", "False"),
    ],
)
def test_the_stand_in_steps_in_only_where_the_extension_does_not_load(
    tmp_path: Path, body: str, check: str, extension: str
) -> None:
    fake_torchaudio(tmp_path, body, check)
    done = python(PREPARE, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [extension, "False"]


def test_a_torchaudio_that_is_broken_otherwise_is_not_covered_up(tmp_path: Path) -> None:
    fake_torchaudio(tmp_path, "import no_such_module")
    done = python(PREPARE, str(tmp_path))
    assert done.returncode != 0
    assert "no_such_module" in done.stderr
