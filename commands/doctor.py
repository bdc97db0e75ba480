"""`doctor`: is everything here that speech needs, and what to do where it is not."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from commands import console, flags
from engines.errors import VivavoceError
from studio.settings import Settings

OLDEST, NEWEST = (3, 10), (3, 13)
LOW_DISK, FULL_DISK = (
    5 * 1024**3,
    100 * 1024**2,
)  # bytes: room for a model; for some minutes of sound
ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements.in"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. "good" and "odd" let speech work; "bad" does not."""

    state: Literal["good", "odd", "bad"]
    what: str
    todo: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def add(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "doctor",
        help="check that everything works, and say what to do where it does not",
        description="Check Python, packages, eSpeak NG, ffmpeg, folders and devices. The exit "
        "code is 1 if something that speech needs is missing.",
    )
    parser.set_defaults(run=run)
    flags.add_folders(parser, suppress=True)


def run(arguments: argparse.Namespace) -> int:
    settings = flags.settings(arguments)
    marks = _marks()
    worst = 0
    for check in CHECKS:
        for finding in _findings(check, settings):
            print(f"{marks[finding.state]} {finding.what}", flush=True)
            if finding.todo:
                print(f"  → {finding.todo}", flush=True)
            worst = max(worst, finding.state == "bad")
    return console.FAILURE if worst else 0


def _findings(check: Check, settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except VivavoceError as error:
        yield Finding("bad", error.given, " ".join(filter(None, (error.allowed, error.todo))))


def _marks() -> dict[str, str]:
    try:
        "✓!✗".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return {"good": "ok  ", "odd": "note", "bad": "FAIL"}
    return {"good": "✓", "odd": "!", "bad": "✗"}


def python_version(_: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        yield Finding("good", f"Python {version}")
    else:
        yield Finding(
            "bad",
            f"Python {version} is not one that the packages are built for.",
            "Install Python 3.10 to 3.13, delete .venv and run `make app`.",
        )
    if sys.prefix == sys.base_prefix:
        yield Finding(
            "odd",
            "This Python runs outside a virtual environment.",
            "`make app` makes .venv and uses it; packages of the system may not fit.",
        )


def packages(_: Settings) -> Iterator[Finding]:
    from commands import probe

    print("Importing every package, which takes a moment …", file=sys.stderr)
    found = list(probe.probe([wanted.name for wanted in probe.requirements(REQUIREMENTS)]))
    broken = [result for result in found if not result.ok]
    for result in broken:
        yield Finding(
            "bad",
            f"The package {result.package} does not import: {result.detail}",
            "Run `make app`, which installs what is missing.",
        )
    versions = {result.package: result.detail for result in found if result.ok}
    pins = {pin.name: pin.specifier for pin in probe.requirements(_lock())}
    for name, version in versions.items():
        if name in pins and not pins[name].contains(version, prereleases=True):
            yield Finding(
                "odd",
                f"{name} {version} is installed, {_lock().name} names {pins[name]}.",
                "Run `make app`, which installs what is named there.",
            )
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield Finding("good", f"{len(versions)} packages import: {listed}")


def _lock() -> Path:
    """The pins of the environment that this Python belongs to."""
    xla = Path(sys.prefix).name == ".venv-xla"
    return ROOT / ("requirements-xla.txt" if xla else "requirements.txt")


def ffmpeg(_: Settings) -> Iterator[Finding]:
    import imageio_ffmpeg

    todo = "Run `make app` again, or set IMAGEIO_FFMPEG_EXE to an ffmpeg of your own."
    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
        ran = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        yield Finding("bad", f"ffmpeg does not run: {error}", todo)
        return
    if ran.returncode:
        yield Finding("bad", f"ffmpeg ends with code {ran.returncode}: {ran.stderr[:200]}", todo)
    else:
        yield Finding("good", " ".join(ran.stdout.split()[:3]))


def folders(settings: Settings) -> Iterator[Finding]:
    settings.make_folders()
    for title, folder in (("Data", settings.data_dir), ("Models", settings.models)):
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"x")
        except OSError as error:
            yield Finding(
                "bad",
                f"The folder {folder} cannot be written to ({error.strerror}).",
                "Change its rights, or give another with --data-dir or --models-dir.",
            )
            continue
        free = shutil.disk_usage(folder).free
        state: Literal["good", "odd", "bad"] = (
            "bad" if free < FULL_DISK else "odd" if free < LOW_DISK else "good"
        )
        yield Finding(
            state,
            f"{title} folder {folder}, {free / 1024**3:.1f} GiB free",
            "" if state == "good" else "Free some space: models and long recordings need it.",
        )


def user_files(settings: Settings) -> Iterator[Finding]:
    from engines.text import Lexicon
    from studio import presets
    from studio.kept import KeptVoices

    Lexicon.load(settings.lexicon_dir)
    yield Finding("good", f"Lexicon in {settings.lexicon_dir}")
    loaded = presets.load(settings.presets_dir)
    yield Finding("good", f"{len(loaded.engines)} presets, {len(loaded.voices)} starter voices")
    kept = KeptVoices(settings.own_presets_dir / "voices", loaded)
    for fault in kept.faults():
        yield Finding("odd", fault.given, f"{fault.allowed} {fault.todo}")
    if voices := kept.voices():
        yield Finding("good", f"Voices of your own: {', '.join(voice.name for voice in voices)}")


def speech(settings: Settings) -> Iterator[Finding]:
    from contextlib import closing

    from engines.api import SpeechRequest
    from studio.jobs import Sound
    from studio.studio import Studio

    with closing(Studio(settings)) as studio:
        job = studio.submit(SpeechRequest("The birch canoe slid on the smooth planks."))
        loudest = max(
            (float(abs(event.samples).max()) for event in job.events() if isinstance(event, Sound)),
            default=0.0,
        )
    if loudest > 0.01:
        yield Finding("good", f"eSpeak NG speaks ({job.seconds_made:.1f} s of sound)")
    else:
        yield Finding("bad", "eSpeak NG made only silence.", "Run `make app`, then try again.")


def devices(_: Settings) -> Iterator[Finding]:
    from engines.runtime import device

    found = device.available()
    for info in found:
        note = f" ({info.note})" if info.note else ""
        yield Finding("good", f"Device {info.spec.name}: {info.title}{note}")
    for remark in device.remarks():
        yield Finding("odd", remark)


CHECKS: tuple[Check, ...] = (
    python_version,
    packages,
    ffmpeg,
    folders,
    user_files,
    speech,
    devices,
)
