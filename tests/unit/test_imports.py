"""Imports point one way (DESIGN.md, section 1), and nothing heavy loads before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import registry

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchaudio", "transformers", "onnxruntime", "scipy", "TTS", "gradio", "pydub")
SHARED = {"nn", "text", "decode", "checkpoint"}  # what every family builds on
BASE = {"api", "errors", "controls", "voices"}  # types and messages
HOUSE = {"runtime", "memory"}  # where a stage runs, what is resident
FAMILIES = {file.parent.name for file in (ROOT / "engines").glob("*/__init__.py")} - SHARED - HOUSE

# What each part may import, beside itself and packages from outside.
MAY_IMPORT = {
    "app": {"commands", "engines.house"},
    "commands": {"ui", "server", "studio", "engines"},
    "ui": {"studio", "engines"},
    "server": {"ui", "studio", "engines"},
    "studio": {"engines"},
    "engines.registry": {"engines.base"},
    "engines.family": {"engines.base", "engines.shared", "engines.house"},
    "engines.shared": {"engines.base", "engines.house"},
    "engines.house": {"engines.base"},
    "engines.base": {"engines.house"},  # memory's type is named in api.EngineContext
}
OURS = {"app", "commands", "ui", "server", "studio", "engines", "bench", "tests", "docs"}


def part_of(module: str) -> str:
    """The part of the house that a module belongs to; a family's is its own name."""
    names = module.split(".")
    if names[0] != "engines" or len(names) == 1:
        return names[0]
    if names[1] in FAMILIES:
        return f"engines.{names[1]}"
    for kind, members in (("shared", SHARED), ("base", BASE), ("house", HOUSE)):
        if names[1] in members:
            return f"engines.{kind}"
    return f"engines.{names[1]}"


def allowed(importer: str, imported: str) -> bool:
    here, there = part_of(importer), part_of(imported)
    if here == there or there == "engines" == here:
        return True
    rule = f"engines.{'family'}" if here.removeprefix("engines.") in FAMILIES else here
    may = MAY_IMPORT[rule]
    return there in may or there.split(".")[0] in may


def modules() -> Iterator[tuple[str, Path]]:
    yield "app", ROOT / "app.py"
    for top in ("commands", "ui", "server", "studio", "engines"):
        for file in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), file


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything of ours that a module imports, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] in OURS)


@pytest.mark.parametrize(("name", "file"), [pytest.param(n, f, id=n) for n, f in modules()])
def test_imports_point_down(name: str, file: Path) -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {imported}"
        for line, imported in imports(file.read_text("utf-8"))
        if not allowed(name, imported)
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("importer", "imported", "fine"),
    [
        ("ui.tabs.speak", "studio.studio.Studio", True),
        ("server.openai", "engines.errors.VivavoceError", True),
        ("studio.route", "engines.registry", True),
        ("engines.espeak.engine", "engines.text.Lexicon", True),
        ("engines.espeak.engine", "engines.memory.MemoryManager", True),
        ("studio.studio", "server.openai", False),
        ("studio.studio", "ui.shell", False),
        ("engines.espeak.engine", "studio.jobs", False),
        ("engines.runtime.device", "engines.espeak.config", False),
        ("engines.memory", "engines.registry", False),
        ("engines.text.split", "engines.espeak.config", False),
        ("engines.registry", "engines.espeak.engine", False),
        ("ui.shell", "server.openai", False),
        ("commands.say", "app", False),
        ("studio.studio", "tests.fakes", False),
    ],
)
def test_the_rule_itself(importer: str, imported: str, fine: bool) -> None:
    assert allowed(importer, imported) is fine


def test_a_family_never_imports_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.FAMILIES", {"espeak", "xtts"})
    assert not allowed("engines.xtts.engine", "engines.espeak.engine")
    assert allowed("engines.xtts.engine", "engines.xtts.model")


def test_the_reader_sees_every_import() -> None:
    source = "import studio.jobs\ndef f():\n    from engines import text, nn\nimport json\n"
    assert list(imports(source)) == [
        (1, "studio.jobs"),
        (3, "engines.text"),
        (3, "engines.nn"),
    ]


LIGHT = (
    "app",
    "commands.main",
    "studio.studio",
    "engines.registry",
    *(module.partition(":")[0] for module in registry.FAMILIES.values()),
)


def test_nothing_heavy_loads_early() -> None:
    """One process imports the light modules in turn and says what each brought along."""
    script = (
        "import importlib, sys\n"
        f"for name in {LIGHT!r}:\n"
        "    importlib.import_module(name)\n"
        f"    loaded = [heavy for heavy in {HEAVY!r} if heavy in sys.modules]\n"
        "    if loaded: sys.exit(f'{name} loads {loaded}')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
