"""Which chosen packages import. Each import happens in another process, since a native library
that does not fit this machine can end the process that loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 300  # for all packages together; torch alone takes some seconds on a cold disk
NOT_LOADED = {"torchcodec"}  # wants a system's ffmpeg; coqui-tts only looks whether it is there
ON_TORCHAUDIO = {"torchaudio", "coqui-tts"}


@dataclass(frozen=True, slots=True)
class Import:
    """`detail` is the version, or why the import failed."""

    package: str
    ok: bool
    detail: str


def requirements(file: Path) -> list[Requirement]:
    """What a requirements file asks for on this machine."""
    lines = (line.split("#")[0].strip() for line in file.read_text("utf-8").splitlines())
    wanted = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return [each for each in wanted if each.marker is None or each.marker.evaluate()]


def probe(packages: Sequence[str]) -> Iterator[Import]:
    """Import packages, one process for as many as import well."""
    waiting = list(packages)
    while waiting:
        for result in _run(waiting):
            waiting.remove(result.package)
            yield result


def _run(packages: Sequence[str]) -> list[Import]:
    """What one process found; ends with the package that crashed it, if one did."""
    command = [sys.executable, "-m", "commands.probe", *packages]
    try:
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
        output, end = ran.stdout, f"the process ended with code {ran.returncode}"
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        end = f"the import took over {SECONDS} s"
    lines = [line.split("\t", 3) for line in output.splitlines() if line.startswith("import\t")]
    results = [Import(package, ok == "yes", detail) for _, package, ok, detail in lines]
    if len(results) < len(packages):
        results.append(Import(packages[len(results)], False, end))
    return results


def module_name(package: str) -> str:
    """The module by which a distribution is imported: `coqui-tts` is `TTS`."""
    distribution = canonicalize_name(package)
    modules = [
        module
        for module, owners in _owners().items()
        if distribution in owners and not module.startswith("_")
    ]
    plain = distribution.replace("-", "_")
    return plain if plain in modules or not modules else min(modules, key=len)


@cache
def _owners() -> dict[str, set[str]]:
    """Top-level modules and the distributions that bring them."""
    found = metadata.packages_distributions()
    return {
        module: {canonicalize_name(owner) for owner in owners} for module, owners in found.items()
    }


def main(packages: Sequence[str]) -> None:
    """Import packages in turn and print a line for each; runs in the other process."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a package prints while it loads stays out of the lines
    for package in packages:
        try:
            version = metadata.version(package)
            _load(package)
            line = f"yes\t{version}"
        except Exception as error:  # any failure of a foreign package is the answer asked for
            why = next((part for part in str(error).splitlines() if part.strip()), "")
            line = f"no\t{type(error).__name__}: {why.strip()}"
        print(f"import\t{package}\t{line}", file=out, flush=True)


def _load(package: str) -> None:
    if package in ON_TORCHAUDIO:
        from engines.runtime import torchaudio_standin

        torchaudio_standin.prepare()
    if package not in NOT_LOADED:
        import_module(module_name(package))


if __name__ == "__main__":
    main(sys.argv[1:])
