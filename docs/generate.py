"""The README's table of engines × devices, from the declarations: `python -m docs.generate`."""

from __future__ import annotations

from pathlib import Path

from engines import registry
from engines.api import Capability

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- engines: made by `python -m docs.generate` -->", "<!-- engines: end -->"
DEVICES = {
    "cpu": "CPU",
    "cuda": "NVIDIA (cuda)",
    "mps": "Apple (mps)",
    "xla": "TPU (xla)",
    "onnx": "ONNX Runtime (onnx)",
    "onnx:cuda": "ONNX Runtime on NVIDIA (onnx:cuda)",
}


def engine_table() -> str:
    """A row for each engine of the registry, a column for each device."""
    capabilities = [registry.engine_class(name).capability for name in registry.names()]
    rows = [
        ["engine", *DEVICES.values(), "licence"],
        ["---"] * (len(DEVICES) + 2),
        *(
            [f"{c.title} (`{c.name}`)", *(_cell(c, runtime) for runtime in DEVICES), c.licence]
            for c in capabilities
        ),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(capability: Capability, runtime: str) -> str:
    """What is declared for a pair; one that is not declared is refused, like one that says so."""
    cells = []
    for support in capability.support:
        if support.runtime == runtime and support.status != "refused":
            word = "yes" if support.status == "supported" else support.status
            cells.append(word if support.dtype == "native" else f"{word} ({support.dtype})")
    return ", ".join(cells) or "–"


def with_table(readme: str) -> str:
    """The text of a README with the table between the markers made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{engine_table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8")), "utf-8")
