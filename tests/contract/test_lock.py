"""The locks pin what the requirements choose, for every platform, and hold no address."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-xla.txt")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
PARTS = ("app.py", "commands", "engines", "server", "studio", "ui")
OURS = {"app", "bench", "commands", "docs", "engines", "server", "studio", "tests", "ui"}
OPTIONAL = {
    "spaces",  # there on a Space alone, and used only where it is
    "torch_xla",  # in its own environment
    "jaconv",  # Japanese, Mandarin and Korean: the message says what to install
    "cutlet",
    "ko_speech_tools",
    "pyopenjtalk",
    "pypinyin",
}


def entries(name: str) -> list[Requirement]:
    """The requirements of a file, without comments, options and empty lines."""
    lines = (line.split(" #")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def environments() -> list[dict[str, str]]:
    """Every supported Python on each platform that the program is made for."""
    platforms = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]
    return [
        {
            **default_environment(),
            "python_version": python,
            "python_full_version": f"{python}.5",
            "sys_platform": system,
            "platform_machine": machine,
            "platform_system": system.capitalize(),
        }
        for python in PYTHONS
        for system, machine in platforms
    ]


def applies(marker: Marker | None, environment: dict[str, str]) -> bool:
    return marker is None or marker.evaluate(environment)


def pins(name: str, environment: dict[str, str]) -> dict[str, str]:
    """Package → version, as a lock pins it in an environment."""
    found: dict[str, str] = {}
    for pin in entries(name):
        if applies(pin.marker, environment):
            package = canonicalize_name(pin.name)
            assert package not in found, f"{name} pins {package} twice for {environment}"
            found[package] = str(pin.specifier).removeprefix("==")
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_exact_public_versions_and_no_address(name: str) -> None:
    for pin in entries(name):
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), f"{pin} is not an exact pin"
        assert pin.url is None
    text = (ROOT / name).read_text("utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted|@ |file:", text)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_leaves_to_torch_what_torch_brings(name: str) -> None:
    for pin in entries(name):
        assert not pin.name.startswith(("nvidia", "cuda", "triton", "pytorch-triton"))


@pytest.mark.parametrize(
    ("chosen", "lock"),
    [("requirements.in", "requirements.txt"), ("requirements-dev.in", "requirements-dev.txt")],
)
def test_every_chosen_package_is_pinned_wherever_it_is_wanted(chosen: str, lock: str) -> None:
    for environment in environments():
        pinned = pins(lock, environment)
        for wanted in entries(chosen):
            if applies(wanted.marker, environment):
                version = pinned[canonicalize_name(wanted.name)]
                assert wanted.specifier.contains(version, prereleases=True), f"{wanted}: {version}"


def test_the_torch_of_each_environment() -> None:
    for environment in environments():
        assert pins("requirements.txt", environment)["torch"] == "2.13.0"
        xla = pins("requirements-xla.txt", environment)
        assert (xla["torch"], xla["torch-xla"], xla["torchaudio"]) == ("2.9.0", "2.9.0", "2.9.0")


def test_the_xla_environment_is_the_same_program() -> None:
    replaced = {canonicalize_name(entry.name) for entry in entries("requirements-xla.in")}
    for environment in environments():
        ours, theirs = (
            pins("requirements.txt", environment),
            pins("requirements-xla.txt", environment),
        )
        assert set(ours) <= set(theirs)
        assert {p for p in ours if ours[p] != theirs[p]} <= replaced


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-xla.txt"])
def test_the_tests_own_packages_change_no_pin_of_the_program(lock: str) -> None:
    for environment in environments():
        program, tests = pins(lock, environment), pins("requirements-dev.txt", environment)
        changed = {p for p in program.keys() & tests.keys() if program[p] != tests[p]}
        assert not changed


@pytest.mark.parametrize(
    ("parts", "chosen"),
    [
        (PARTS, ("requirements.in",)),
        (
            ("bench", "tests"),
            (
                "requirements.in",
                "requirements-dev.in",
                "requirements-xla.in",
                "requirements-bench.txt",
            ),
        ),
    ],
)
def test_what_the_code_imports_was_chosen(parts: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    names = {canonicalize_name(entry.name) for file in chosen for entry in entries(file)}
    known = {"torch_xla": ["torch-xla"], "espnet2": ["espnet"], **packages_distributions()}
    unchosen = {
        module
        for module in imported_from_outside(parts)
        if not names & {canonicalize_name(package) for package in known.get(module, [])}
    }
    assert unchosen <= OPTIONAL, f"name these in {chosen[-1]}, with a reason each"


def imported_from_outside(parts: tuple[str, ...]) -> set[str]:
    files = [file for part in parts for file in (ROOT / part).rglob("*.py")]
    files += [ROOT / part for part in parts if part.endswith(".py")]
    found: set[str] = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_bytes()))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found - OURS - set(sys.stdlib_module_names)


def test_each_choice_has_a_reason() -> None:
    chosen = "requirements.in", "requirements-dev.in", "requirements-xla.in"
    for name in (*chosen, "requirements-bench.txt"):
        for line in (ROOT / name).read_text("utf-8").splitlines():
            if line and not line.startswith(("#", "-")):
                assert re.search(r" # \S", line), f"{name}: {line!r} has no reason"


def test_the_installed_packages_agree_with_each_other() -> None:
    check = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, timeout=100
    )
    left_out = {requirement.name for requirement in entries(".ci/overrides.in")}
    complaints = [
        line
        for line in check.stdout.splitlines()
        if not re.search(rf" requires ({'|'.join(left_out)}), which is not installed", line)
    ]
    assert complaints in ([], ["No broken requirements found."])


def test_what_the_locks_leave_out_is_there_under_another_name() -> None:
    import typing

    import webrtcvad

    assert webrtcvad.Vad and typing.Any


def test_a_space_installs_the_gradio_and_python_of_the_lock() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert readme.startswith("---\n")
    settings = yaml.safe_load(readme.split("---\n")[1])
    here = {**default_environment()}
    assert (settings["sdk"], settings["app_file"]) == ("gradio", "app.py")
    assert str(settings["sdk_version"]) == pins("requirements.txt", here)["gradio"]
    assert isinstance(settings["python_version"], str), "YAML reads an unquoted 3.10 as 3.1"
    assert SpecifierSet(">=3.10,<3.14").contains(settings["python_version"])
