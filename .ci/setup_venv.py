"""Make, mend or update a virtual environment so that it holds what its lock files pin.

    python3 .ci/setup_venv.py [--only linux-x86_64] .venv requirements.txt [requirements-dev.txt]

Uses the standard library alone, since nothing else is there yet. A stamp in the environment says
what was finished; without one the environment is taken for half made. It is then made anew,
because pip takes a package that it was stopped in the middle of for an installed one.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PIP = "pip==26.3"  # the one that comes with older Pythons takes several times as long
FIRST, LAST = (3, 10), (3, 13)
STAMP = "vivavoce-stamp.json"
LOG = "install.log"
BIG = 50.0  # MB; downloads above this are worth a line
PROGRESS_STEP = 25  # packages


class SetupError(Exception):
    """A set-up that cannot go on; the message says what to do."""


def say(message: str) -> None:
    print(message, flush=True)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Set up a virtual environment from lock files.")
    parser.add_argument("venv", type=Path)
    parser.add_argument("locks", type=Path, nargs="+")
    parser.add_argument("--only", metavar="SYSTEM-MACHINE", help="the one platform it is made for")
    options = parser.parse_args(argv)
    venv = options.venv.absolute()
    try:
        check_python(sys.version_info[:2])
        check_platform(venv.name, options.only)
        with one_at_a_time(venv):
            bring_up_to_date(venv, options.locks)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{venv.name} is not finished; the next run makes it anew.", file=sys.stderr)
        return 130
    return 0


def check_python(version: tuple[int, int]) -> None:
    if not FIRST <= version <= LAST:
        raise SetupError(
            f"This is Python {dotted(version)}. Vivavoce needs {dotted(FIRST)} to {dotted(LAST)}: "
            "install one of them, or name one: make app PYTHON=/path/to/python3.12"
        )


def check_platform(name: str, only: str | None) -> None:
    here = f"{sys.platform}-{platform.machine()}"
    if only not in (None, here):
        raise SetupError(
            f"{name} can only be made on {only}, for which its packages are published; this is "
            f"{here}. Run without it: make app, make test."
        )


def dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version[:2]))


@contextlib.contextmanager
def one_at_a_time(venv: Path) -> Iterator[None]:
    """Hold the lock on the folder around `venv`. pip inherits it, so that a set-up whose parent
    was killed keeps others out until pip is done."""
    folder = os.open(venv.parent, os.O_RDONLY)
    os.set_inheritable(folder, True)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another set-up is at work in {venv.parent}; waiting for it …")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def bring_up_to_date(venv: Path, locks: Sequence[Path]) -> None:
    """Do what is missing, and nothing if nothing is."""
    stamp = read_stamp(venv)
    if damage := what_is_broken(venv, stamp):
        if os.path.lexists(venv):
            say(f"{venv.name} {damage}; it is made anew.")
            remove(venv)
        create(venv)
        stamp = {"locks": {}, "site": []}
    changed = missing(venv, stamp)
    stale = [lock for lock in locks if changed or stamp["locks"].get(lock.name) != digest(lock)]
    if not stale:
        return
    (venv / STAMP).unlink(missing_ok=True)
    for lock in stale:
        install(venv, lock)
    done = {} if changed else stamp["locks"]
    write_stamp(venv, {**done, **{lock.name: digest(lock) for lock in stale}})
    say(f"{venv.name} is ready.")


def what_is_broken(venv: Path, stamp: dict | None) -> str:
    """Why the environment has to be made anew, in words that follow its name; "" if it need not."""
    if stamp is None:
        return "was not finished"
    if stamp["path"] != str(venv):
        return f"was made as {stamp['path']}, whose path its scripts hold"
    version = version_of(venv / "bin" / "python")
    if version is None:
        return "has no working Python"
    if version != stamp["python"]:
        return f"was made for Python {stamp['python']} and finds {version}"
    if os.environ.get("PYTHON") and version != dotted(sys.version_info):
        return f"holds Python {version}, and {dotted(sys.version_info)} was asked for"
    lost = [name for name in missing(venv, stamp) if not name.endswith(".dist-info")]
    if lost:
        return f"has lost {', '.join(lost[:3])}{' …' if len(lost) > 3 else ''}"
    return ""


def missing(venv: Path, stamp: dict) -> list[str]:
    """What was in site-packages when the stamp was written, and is not now."""
    return sorted(set(stamp["site"]) - set(installed(venv)))


def installed(venv: Path) -> list[str]:
    """Names in site-packages, without pip's own, which people upgrade by hand."""
    names = [entry.name for entry in venv.glob("lib/python3*/site-packages/*")]
    return sorted(n for n in names if n != "__pycache__" and not re.match(r"pip\b", n))


def version_of(python: Path) -> str | None:
    """Major and minor version of an interpreter; None if it does not run."""
    try:
        answer = subprocess.run(
            [python, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def read_stamp(venv: Path) -> dict | None:
    try:
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = isinstance(stamp, dict) and stamp.keys() >= {"path", "python", "locks", "site"}
    return stamp if complete else None


def write_stamp(venv: Path, locks: dict[str, str]) -> None:
    """Written under another name first, so that a stamp is never half a stamp."""
    stamp = {
        "path": str(venv),
        "python": version_of(venv / "bin" / "python"),
        "locks": locks,
        "site": installed(venv),
    }
    draft = venv / f"{STAMP}.new"
    draft.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    draft.replace(venv / STAMP)


def digest(lock: Path) -> str:
    try:
        return hashlib.sha256(lock.read_bytes()).hexdigest()
    except OSError as error:
        raise SetupError(f"{lock} cannot be read: {error.strerror}.") from None


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def create(venv: Path) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        add_ensurepip()
    say(f"Making {venv.name} with Python {platform.python_version()} …")
    run([base_python(), "-I", "-m", "venv", str(venv)])
    run([venv / "bin" / "python", "-I", "-m", "pip", "install", "--quiet", PIP])


def base_python() -> str:
    """The interpreter outside of any environment: the running one may be in the one that is
    about to be made anew."""
    outside = Path(sys.base_prefix) / "bin" / f"python{dotted(sys.version_info)}"
    return str(outside) if outside.exists() else sys.executable


def add_ensurepip() -> None:
    """Debian keeps the part of Python that makes environments in a package of its own."""
    package = f"python{dotted(sys.version_info)}-venv"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SetupError(
            f"This Python cannot make virtual environments: its module ensurepip is missing. "
            f"Install it and run this again (Debian and Ubuntu: sudo apt-get install {package})."
        )
    say(f"Installing {package}, which this Python lacks …")
    run(["apt-get", "update", "-qq"])
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package])
    importlib.invalidate_caches()


def run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        close_fds=False,
    )
    if done.returncode:
        words = " ".join(map(str, command))
        raise SetupError(
            f"This failed (exit code {done.returncode}): {words}\n{done.stdout[-3000:]}"
        )


def install(venv: Path, lock: Path) -> None:
    """Install a lock file with pip; its full output goes into the environment's log.

    The lock is complete but for what torch brings for the machine's accelerator, so only torch's
    own requirements are looked up: others name packages that would have to be compiled, in whose
    place the lock holds wheels.
    """
    pins = [line for line in lock.read_text("utf-8").splitlines() if re.match(r"[A-Za-z0-9]", line)]
    say(f"Installing {lock.name}: {len(pins)} pins. The first time takes some minutes.")
    (venv / LOG).unlink(missing_ok=True)
    pip_install(venv, lock, ["--no-deps", "-r", lock], len(pins))
    if torch := [pin.partition(";")[0].strip() for pin in pins if re.match(r"torch==", pin)]:
        pip_install(venv, lock, torch, 0)


def pip_install(venv: Path, lock: Path, what: Sequence[str | Path], total: int) -> None:
    """Modules are compiled when they are first imported: compiling all of them at once takes
    longer than everything else, and most are never used."""
    command = [venv / "bin" / "python", "-I", "-u", "-m", "pip", "install", "--no-compile"]
    command += ["--no-input", "--disable-pip-version-check", *what]
    with (
        (venv / LOG).open("a", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            close_fds=False,
        ) as pip,
    ):
        assert pip.stdout is not None
        report_progress(pip.stdout, log.write, total)
    if pip.returncode:
        tail = "\n".join((venv / LOG).read_text("utf-8").splitlines()[-15:])
        raise SetupError(
            f"pip could not install {lock.name}:\n{tail}\n"
            f"All it said is in {venv / LOG}. Look at the network and the free disk space, "
            "then run this again."
        )


def report_progress(lines: Iterator[str], keep, total: int) -> None:
    seen = 0
    for line in lines:
        keep(line)
        size = re.match(r"\s+Downloading (\S+) \(([\d.]+) (MB|GB)\)", line)
        if size and float(size[2]) * (1000 if size[3] == "GB" else 1) >= BIG:
            say(f"  downloading {size[1].split('-')[0]}, {size[2]} {size[3]}")
        elif re.match(r"(Collecting|Processing|Ignoring|Requirement already) ", line):
            seen += 1
            if seen % PROGRESS_STEP == 0 and seen <= total:
                say(f"  {seen} of {total} looked up")
        elif line.startswith("Installing collected packages"):
            say("  putting them in place …")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
