"""Compile requirements*.in into requirements*.txt: `make lock`, or `make lock ARGS=--upgrade`.

The compiler (uv) is installed into a throwaway environment. One lock serves every supported
Python and platform. What torch brings for CUDA is left out of it: which of those packages fit is
torch's own business, and pip takes them from torch's metadata.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = "3.10"
TORCH_BRINGS = re.compile(r"(nvidia-|cuda-|triton\b|pytorch-triton\b)")
OPTIONS = ["--quiet", "--universal", "--no-header", "--no-annotate", "--no-emit-index-url"]
OVERRIDES = ["--override", ".ci/overrides.in"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest allowed releases")
    upgrade = ["--upgrade"] if parser.parse_args().upgrade else []
    with tempfile.TemporaryDirectory() as scratch:
        uv = install_uv(Path(scratch))
        compile_lock(uv, "requirements.txt", ["requirements.in", *upgrade])
        compile_lock(uv, "requirements-dev.txt", ["requirements-dev.in", *upgrade])
        # What both environments hold has one version: the first lock's pins are this one's start.
        xla = ROOT / "requirements-xla.txt"
        xla.write_text((ROOT / "requirements.txt").read_text(encoding="utf-8"), encoding="utf-8")
        exact = "requirements-xla.in"
        compile_lock(uv, xla.name, ["requirements.in", exact, "--override", exact])
    return 0


def install_uv(scratch: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
    subprocess.run([scratch / "bin" / "pip", "install", "--quiet", "uv"], check=True)
    return scratch / "bin" / "uv"


def compile_lock(uv: Path, output: str, arguments: list[str]) -> None:
    command = [uv, "pip", "compile", *OPTIONS, *OVERRIDES, "--python-version", OLDEST_PYTHON]
    subprocess.run([*command, *arguments, "--output-file", output], cwd=ROOT, check=True)
    path = ROOT / output
    pins = path.read_text(encoding="utf-8").splitlines()
    kept = [pin for pin in pins if pin and not pin.startswith("#") and not TORCH_BRINGS.match(pin)]
    source = output.replace(".txt", ".in")
    header = [f"# Compiled from {source} by `make lock`: change it there."]
    path.write_text("\n".join([*header, *kept]) + "\n", encoding="utf-8")
    print(f"{output}: {len(kept)} pins")


if __name__ == "__main__":
    sys.exit(main())
