"""Each promise of docs/security.md names tests, and these exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
HELP = (ROOT / "commands" / "serve.py").read_text("utf-8")


def promises() -> list[tuple[str, list[str]]]:
    """Each row of the table: the promise, and the tests behind it."""
    table = PAGE.partition("<!-- promises")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    return [(promise, re.findall(r"`([^`]+)`", held)) for promise, held in rows[2:]]


def all_tests() -> set[str]:
    """`file::function` of every test."""
    return {
        f"{file.name}::{node.name}"
        for file in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_promise_is_held_by_tests_that_exist() -> None:
    listed, there = promises(), all_tests()
    assert len(listed) > 20
    for promise, held in listed:
        assert held, f"nothing holds: {promise}"
        for name in held:
            assert name in there, f"{promise} There is no {name}."


def test_every_flag_that_is_named_exists() -> None:
    for flag in set(re.findall(r"(--[a-z][a-z-]+)", PAGE.replace("<!--", "").replace("-->", ""))):
        assert f'"{flag}"' in HELP or flag == "--wyoming", flag


def test_every_flag_of_the_gate_is_explained() -> None:
    access = HELP.partition("def _add_access")[2].partition("def run")[0]
    for flag in re.findall(r'"(--[a-z-]+)"', access):
        assert flag in PAGE, flag
