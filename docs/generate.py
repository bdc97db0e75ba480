"""Tables made from what stands elsewhere: `python -m docs.generate`.

In the README engines × devices and what the benchmarks of models measured; in docs/coqui.md the
models that the coqui-tts library lists.
"""

from __future__ import annotations

from pathlib import Path

from engines import registry
from engines.api import Capability
from engines.coqui.catalogue import published

README = Path(__file__).resolve().parent.parent / "README.md"
COQUI = README.parent / "docs" / "coqui.md"
COQUI_BEGIN = "<!-- coqui: made by `python -m docs.generate` -->"
COQUI_END = "<!-- coqui: end -->"
BEGIN, END = "<!-- engines: made by `python -m docs.generate` -->", "<!-- engines: end -->"
SPEED_BEGIN = "<!-- speed: made by `python -m docs.generate` -->"
SPEED_END = "<!-- speed: end -->"
RESULTS = README.parent / "bench" / "results"
MEASURED = ("vits", "spark", "spark_llm", "spark_codec", "xtts")  # of bench/results, in this order
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


def coqui_table() -> str:
    """A row for each model of the library's list."""
    rows = [["name", "language", "licence", "vocoder"], ["---"] * 4]
    for model in published().values():
        if not model.name.startswith("vocoder"):
            vocoder = model.vocoder.partition("/")[2]
            rows.append([f"`{model.name}`", model.language or "several", model.licence, vocoder])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def speed_table() -> str:
    """Every ratio that the benchmarks of models measured, without the figures behind it."""
    rows = [["model", "what is compared", "ratio", "goal", "reached"], ["---"] * 5]
    for name in MEASURED:
        text = (RESULTS / f"{name}.md").read_text("utf-8")
        title = text.partition("\n")[0].removeprefix("# ")
        table = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:2] == "| "]
        rows += [[title, *row[:3], row[3].lower()] for row in table[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def with_table(readme: str) -> str:
    """The text of a README with the table of engines made anew."""
    return _between(readme, BEGIN, engine_table(), END)


def with_speed(readme: str) -> str:
    """The text of a README with the table of benchmarks made anew."""
    return _between(readme, SPEED_BEGIN, speed_table(), SPEED_END)


def with_models(text: str) -> str:
    """The text of docs/coqui.md with its table made anew."""
    return _between(text, COQUI_BEGIN, coqui_table(), COQUI_END)


def _between(text: str, begin: str, table: str, end: str) -> str:
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{table}\n{end}{after}"


if __name__ == "__main__":
    README.write_text(with_speed(with_table(README.read_text("utf-8"))), "utf-8")
    COQUI.write_text(with_models(COQUI.read_text("utf-8")), "utf-8")
