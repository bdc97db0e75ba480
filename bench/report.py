"""A benchmark's figures as a table: printed, and kept in bench/results."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured ratio. `goal` reads like "at most 2.00"."""

    what: str
    value: float
    limit: float
    at_most: bool
    detail: str

    @property
    def goal(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.limit:.2f}"

    @property
    def reached(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def publish(name: str, title: str, figures: Sequence[Figure]) -> int:
    """Print the table and write `bench/results/<name>.md`; returns 1 where a goal is missed."""
    lines = [
        f"# {title}",
        "",
        f"{_machine()}. Made by `python -m bench.{name}`; both sides of a ratio come from one run.",
        "",
        "| what | ratio | goal | reached | measured |",
        "|---|---|---|---|---|",
        *(
            f"| {f.what} | {f.value:.3f} | {f.goal} | {'yes' if f.reached else 'NO'} | {f.detail} |"
            for f in figures
        ),
    ]
    print("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n", "utf-8")
    return 0 if all(figure.reached for figure in figures) else 1


def _machine() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, "
        f"Python {platform.python_version()}"
    )
