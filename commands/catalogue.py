"""What `say` can be told, looked up in the declarations: formats, controls, presets."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator

from engines import registry
from engines.controls import describe
from studio import presets
from studio.encode import FORMATS
from studio.settings import PRESETS_DIR


def catalogue() -> str:
    """Everything, for the end of a help text."""
    loaded = presets.load(PRESETS_DIR)
    return "\n".join(
        [
            f"formats: {', '.join(FORMATS)}",
            "",
            *(line for name in registry.names() for line in control_lines(name)),
            "",
            "presets (--preset):",
            *(_paragraph(f"{preset.id}: {preset.description}") for preset in loaded.engines),
        ]
    )


def control_lines(engine: str) -> Iterator[str]:
    """An engine's controls as paragraphs under a heading.

    Raises:
        UnknownEngine: there is no such engine.
    """
    kind = registry.engine_class(engine)
    yield f"controls of {kind.capability.title} (--engine {engine}, --set NAME=VALUE):"
    for spec in describe(kind.controls):
        yield _paragraph(f"{spec.name}: {spec.allowed} (default {spec.default}). {spec.help}")


def _paragraph(text: str) -> str:
    width = min(100, shutil.get_terminal_size().columns)
    return textwrap.fill(text, width, initial_indent="  ", subsequent_indent="      ")
